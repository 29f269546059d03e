/** `millrace run` as a service: a supervisor that is asked over HTTP, and whose job is killed. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFile, readdir, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { listJobs } from '../../../src/service/control-client.ts'
import type { JobReport } from '../../../src/service/control-protocol.ts'
import { Command } from '../../support/commands.ts'
import { CountingJob } from '../../support/counting-job.ts'
import { until } from '../../support/running-jobs.ts'

const TOKEN = 'a token of some length'
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1)

/** What a process that is started so may use. */
function heapLimitMiB(...options: readonly string[]): number {
  const text = "Math.round(require('node:v8').getHeapStatistics().heap_size_limit / 2 ** 20)"
  return Number(execFileSync(process.execPath, [...options, '-p', text], { encoding: 'utf8' }))
}

interface Answer {
  readonly status: number
  readonly text: string
}

/** A service of the counting job, and what it answers. */
class Service implements AsyncDisposable {
  readonly command: Command

  constructor(
    place: CountingJob,
    args: readonly string[],
    environment: Record<string, string> = {},
  ) {
    this.command = new Command(
      ['run', 'counting.ts', '--threads', '1', '--checkpoint-interval', '200ms', ...args],
      { ...place.options, environment },
    )
  }

  async ask(method: 'GET' | 'POST', path: string, token?: string): Promise<Answer> {
    const response = await fetch(`${await this.#address()}${path}`, {
      method,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    })
    return { status: response.status, text: await response.text() }
  }

  /** Waits until an answer has that status, and says what is looked for. */
  async until(path: string, status: number, lines: readonly RegExp[] = []): Promise<Answer> {
    let answer: Answer | undefined
    await until(`${path} answers ${status}`, async () => {
      const { text } = (answer = await this.ask('GET', path))
      return answer.status === status && lines.every((line) => line.test(text))
    })
    return answer as Answer
  }

  /** The process of the job, once it takes checkpoints and is another than `former`. */
  async job(former?: number): Promise<JobReport> {
    let report: JobReport | undefined
    await until('the job takes checkpoints', async () => {
      const { status, text } = await this.ask('GET', '/v1/job', TOKEN)
      if (status !== 200) return false
      report = JSON.parse(text) as JobReport
      return report.pid !== former && report.checkpointCount >= 2
    })
    return report as JobReport
  }

  async #address(): Promise<string> {
    await this.command.says('Listens on')
    return /Listens on (http:\/\/[\w.:]+)/.exec(this.command.log)?.[1] ?? ''
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.command[Symbol.asyncDispose]()
  }
}

test('a job that is killed comes back by itself from its newest checkpoint, and HTTP answers all the while', async () => {
  await using place = await CountingJob.make()
  await using service = new Service(place, ['--http', '127.0.0.1:0', '--log-format', 'json'], {
    MILLRACE_HTTP_TOKEN: TOKEN,
  })
  await service.until('/ready', 200)
  const { pid } = await service.job()

  process.kill(pid, 'SIGKILL')
  const between = await service.until('/ready', 503)
  const alive = await service.ask('GET', '/health')
  const refused = await service.ask('POST', '/v1/savepoint', TOKEN)
  const second = await service.job(pid)
  const ready = await service.until('/ready', 200)
  // figures of subtasks come in their own time
  await service.until('/metrics', 200, [
    /^millrace_job_up 1$/m,
    /^millrace_supervisor_restarts_total 1$/m,
    /^millrace_checkpoints_total\{job="counting"\} [1-9]/m,
    /^millrace_records_written_total\{job="counting",operator="out",subtask="0"\} [1-9]/m,
    /^millrace_state_cells\{job="counting",task=".*count.*",subtask="0"\} [1-9]/m,
    /^millrace_nodejs_eventloop_lag_seconds /m,
    /^millrace_supervisor_process_cpu_seconds_total /m,
  ])
  const noToken = await service.ask('POST', '/v1/savepoint')
  const wrongToken = await service.ask('POST', '/v1/stop', `${TOKEN}.`)
  const savepoint = await service.ask('POST', '/v1/savepoint', TOKEN)
  service.command.signal('SIGTERM')
  const { code, log } = await service.command.ended

  assert.equal((JSON.parse(between.text) as { status: string }).status, 'restarting')
  assert.equal(alive.status, 200, alive.text)
  assert.equal(refused.status, 409, refused.text)
  assert.match(refused.text, /JOB_NOT_RUNNING/)
  assert.notEqual(second.pid, pid)
  assert.equal((JSON.parse(ready.text) as { restartCount: number }).restartCount, 1)
  assert.deepEqual([noToken.status, wrongToken.status, savepoint.status], [401, 401, 200])
  const { path } = JSON.parse(savepoint.text) as { path: string }
  assert.ok(path.startsWith(place.at('.millrace', 'savepoints', 'counting')), path)
  assert.equal(code, 0, log)
  const entries = log
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { level: string; msg: string; pid: number })
  const warnings = entries.filter(({ level }) => level !== 'info').map(({ msg }) => msg)
  assert.deepEqual(warnings, [
    'The process of the job ended with signal SIGKILL; starting it again in 1000 ms',
  ])
  assert.ok(entries.some(({ msg, pid: by }) => by === second.pid && msg.startsWith('Resumes from')))
  assert.ok(!log.includes(TOKEN))
  const output = await place.output()
  assert.deepEqual(output, upTo(output.length))
})

test('a service that began with a savepoint goes on from its own checkpoints, not from those it left behind', async () => {
  await using place = await CountingJob.make()
  await using first = place.start('counting.ts', '--threads', '1')
  await place.reportOnce(({ checkpointCount }) => checkpointCount >= 1)
  const savepoint = (await place.call('savepoint', 'counting')).out.trim()
  const left = await place.reportOnce(({ checkpointCount }) => checkpointCount >= 3)
  first.signal('SIGKILL')
  await first.ended
  await using service = new Service(
    place,
    ['--from', savepoint, '--http', '0', '--control', 'off'],
    {
      MILLRACE_HTTP_TOKEN: TOKEN,
    },
  )
  const { pid, restored } = await service.job()

  process.kill(pid, 'SIGKILL')
  const second = await service.job(pid)
  const found = await place.call('list')
  const stopped = await service.ask('POST', '/v1/stop', TOKEN)
  const { code, log } = await service.command.ended

  assert.equal(restored?.kind, 'savepoint')
  assert.equal(second.restored?.kind, 'checkpoint')
  const newest = left.lastCheckpoint?.checkpointId ?? 0
  assert.ok((second.restored?.checkpointId ?? 0) > newest, log)
  assert.equal(found.out, 'No job runs\n')
  assert.equal(stopped.status, 200)
  assert.equal(code, 0, log)
})

test('a token that was not given is made, and kept in a file of the user', async () => {
  await using place = await CountingJob.make()
  await using service = new Service(place, ['--http', '0'])
  await service.until('/ready', 200)
  const [, file] = /the token for it is in (.*)/.exec(service.command.log) ?? []

  const stopped = await service.ask('POST', '/v1/stop', await readFile(file ?? '', 'utf8'))
  const { code } = await service.command.ended

  assert.equal(stopped.status, 200, stopped.text)
  assert.equal(code, 0)
  assert.deepEqual(await readdir(place.options.runDirectory), [])
})

test('what a restart cannot help ends the supervisor; a crash again and again does so after its restarts', async () => {
  await using place = await CountingJob.make()
  await writeFile(
    place.at('wrong.ts'),
    `import { getHeapStatistics } from 'node:v8'
    console.error('limit ' + Math.round(getHeapStatistics().heap_size_limit / 2 ** 20))
    export default 'no job'`,
  )
  await writeFile(place.at('crash.ts'), `process.abort()`)
  const run = (...args: readonly string[]): Command => new Command(['run', ...args], place.options)
  const twice = ['--supervisor-restarts', '2', '--supervisor-delay', '10ms']
  await using wrong = run('wrong.ts', '--supervise', '--max-old-space', '64')
  await using crash = run('crash.ts', '--supervise', ...twice)
  await using open = run('counting.ts', '--http', '0.0.0.0:0')

  const [ofWrong, ofCrash, ofOpen] = await Promise.all([wrong.ended, crash.ended, open.ended])

  assert.equal(ofWrong.code, 3, ofWrong.log)
  assert.doesNotMatch(ofWrong.log, /starting it again/)
  // beside what the young generation has, which differs between versions of Node
  const limitMiB = Number(/limit (\d+)/.exec(ofWrong.log)?.[1])
  assert.equal(limitMiB, heapLimitMiB('--max-old-space-size=64'))
  assert.ok(limitMiB < heapLimitMiB(), `the heap limit is ${limitMiB} MiB`)
  assert.equal(ofCrash.code, 134, ofCrash.log)
  assert.equal(ofCrash.log.match(/starting it again in/g)?.length, 2)
  assert.match(ofCrash.log, /it was restarted 2 time\(s\) .* gives up/)
  assert.equal(ofOpen.code, 2)
  assert.match(ofOpen.log, /CONFIG_INVALID: .*\n.*so it needs a token: set MILLRACE_HTTP_TOKEN/)
})

test('a job that does not stop is killed at the deadline; one whose supervisor is killed ends', async () => {
  await using place = await CountingJob.make()
  await writeFile(
    place.at('stuck.ts'),
    `import { fromArray, job, printSink } from 'millrace'
    export default job('stuck', (env) => {
      env
        .from('in', fromArray([1]))
        .map(() => {
          process.stderr.write('never returns\\n')
          for (;;);
        })
        .to('out', printSink())
    })`,
  )
  const stuckArgs = ['run', 'stuck.ts', '--stop-deadline', '200ms']
  await using orphaned = place.start('counting.ts', '--threads', '1', '--supervise')
  await place.reportOnce(({ checkpointCount }) => checkpointCount > 0)
  await using stuck = new Command([...stuckArgs, '--threads', '0', '--supervise'], place.options)
  await using alone = new Command([...stuckArgs, '--threads', '1'], place.options)
  await stuck.says('never returns')
  await alone.says('never returns')

  stuck.signal('SIGTERM')
  alone.signal('SIGTERM')
  orphaned.signal('SIGKILL')
  const ended = await stuck.ended
  const endedAlone = await alone.ended

  assert.equal(ended.code, 6, ended.log)
  assert.equal(endedAlone.code, 6, endedAlone.log)
  assert.match(endedAlone.log, /has not stopped within 200 ms \(--stop-deadline\)/)
  assert.match(
    ended.log,
    /has not stopped within 200 ms of SIGTERM \(--stop-deadline\) and is killed/,
  )
  await until('the job without a supervisor is gone', async () => {
    const jobs = await listJobs(place.options.runDirectory)
    return jobs.every(({ entry }) => entry.job !== 'counting')
  })
  const output = await place.output()
  assert.deepEqual(output, upTo(output.length))
})
