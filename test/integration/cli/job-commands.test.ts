/** Running jobs found, asked, told and ended from other processes. */
import assert from 'node:assert/strict'
import { readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { JobReport } from '../../../src/service/control-protocol.ts'
import { CountingJob, counting } from '../../support/counting-job.ts'

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1)

test('a running job is listed, saved, and stopped with drain and savepoint', async () => {
  await using place = await CountingJob.make()
  await using job = place.start('counting.ts', '--threads', '1')
  await job.says('First start: begins with nothing')
  const report = await place.reportOnce(
    ({ status, lastCheckpoint }) => status === 'running' && lastCheckpoint !== null,
  )

  const list = await place.call('list')
  const listed = await place.call('list', '--json')
  const checkpoint = await place.call('checkpoint', 'counting', '--json')
  const savepoint = await place.call('savepoint', 'counting')
  const savepointElsewhere = await place.call('savepoint', String(job.pid), 'my-savepoints')
  const stopped = await place.call('stop', 'counting', '--drain', '--savepoint', 'last')
  const ended = await job.ended
  const nobody = await place.call('list')
  const late = await place.call('stop', 'counting')

  assert.equal(report.pid, job.pid)
  assert.equal(report.checkpoints?.directory, place.at('.millrace', 'checkpoints', 'counting'))
  assert.match(list.out, /^JOB +PID +STATUS/)
  assert.match(list.out, new RegExp(`counting +${job.pid} +running`))
  const [fields] = JSON.parse(listed.out) as readonly JobReport[]
  assert.equal(fields?.job, 'counting')
  assert.equal(fields?.tasks.length, report.tasks.length)
  assert.ok((JSON.parse(checkpoint.out) as { checkpointId: number }).checkpointId > 0)
  assert.ok(savepoint.out.startsWith(place.at('.millrace', 'savepoints', 'counting')))
  assert.ok(savepointElsewhere.out.startsWith(place.at('my-savepoints')))
  assert.ok(stopped.out.startsWith(place.at('last')), stopped.log)
  await stat(join(stopped.out.trim(), 'savepoint'))
  assert.equal(ended.code, 0, ended.log)
  assert.match(ended.log, /Stopped after .* records read/)
  const output = await place.output()
  assert.deepEqual(output, upTo(output.length))
  assert.equal(nobody.out, 'No job runs\n')
  assert.deepEqual(await readdir(place.options.runDirectory), [])
  assert.equal(late.code, 4)
  assert.match(late.log, /CONTROL_UNREACHABLE: No job 'counting'/)
})

test('SIGTERM takes a last checkpoint and exits 0; the next start goes on there, after SIGKILL too', async () => {
  await using place = await CountingJob.make()
  const starts: readonly (readonly [signal: NodeJS.Signals, begins: string, threads: string])[] = [
    ['SIGTERM', 'First start: begins with nothing', '1'],
    ['SIGKILL', 'Resumes from checkpoint', '0'],
    ['SIGINT', 'Resumes from checkpoint', '1'],
  ]
  for (const [signal, begins, threads] of starts) {
    await using job = place.start('counting.ts', '--threads', threads)
    await job.says(begins)
    await place.reportOnce(({ pid, checkpointCount }) => pid === job.pid && checkpointCount >= 2)

    job.signal(signal)
    const { code, log } = await job.ended

    assert.equal(code, signal === 'SIGKILL' ? null : 0, log)
    const output = await place.output()
    assert.deepEqual(output, upTo(output.length))
    if (signal === 'SIGKILL') {
      assert.equal((await readdir(place.options.runDirectory)).length, 1)
      assert.equal((await place.call('list')).out, 'No job runs\n')
    } else {
      assert.match(log, /Stopped after/)
    }
    assert.deepEqual(await readdir(place.options.runDirectory), [])
  }
})

test('a second signal ends at once, with the exit code of the signal', async () => {
  await using place = await CountingJob.make()
  await writeFile(
    place.at('stuck.js'),
    `import { generate, job, printSink } from 'millrace'
    export default job('stuck', (env) => {
      env.from('in', generate({ record: (n) => n })).map((n) => { for (;;) n++ }).to('out', printSink())
    })`,
  )
  await using job = place.start('stuck.js', '--threads', '1')
  await job.says('First start')
  await place.reportOnce(({ status }) => status === 'running')

  job.signal('SIGTERM')
  await job.says('SIGTERM: a second one ends at once')
  job.signal('SIGINT')
  const { code } = await job.ended

  assert.equal(code, 130)
  assert.deepEqual(await readdir(place.options.runDirectory), [])
})

test('a savepoint of another job is refused before the job starts, with the mapping', async () => {
  await using place = await CountingJob.make()
  await writeFile(
    place.at('other.ts'),
    counting.replace("job('counting'", "job('other'").replace("count('count')", "count('visits')"),
  )
  await using job = place.start('counting.ts', '--threads', '1')
  await place.reportOnce(({ checkpointCount }) => checkpointCount >= 1)
  const savepoint = (await place.call('savepoint', 'counting')).out.trim()
  const cancelled = await place.call('cancel', 'counting')
  const { code, log } = await job.ended

  const refused = await place.call('run', 'other.ts', '--from', savepoint, '--threads', '1')

  assert.equal(cancelled.out, 'cancelled\n')
  assert.equal(code, 5, log)
  assert.equal(refused.code, 3)
  assert.match(refused.log, /SAVEPOINT_MISMATCH: Savepoint \d+ of job 'counting' does not fit/)
  assert.match(refused.log, /The mapping was:\n +numbers \(generate\): restored\n/)
  assert.match(refused.log, /visits \(count\): new, starts empty/)
  assert.match(refused.log, /count \(count\): in no operator of the job, dropped/)
  assert.doesNotMatch(refused.log, /First start|Restored from/)

  const anew = await place.call('run', 'counting.ts', '--from', 'none', '--threads', '1')
  assert.equal(anew.code, 2)
  assert.match(anew.log, /CHECKPOINT_DIRECTORY_NOT_EMPTY/)
})

test('a job that waits for its restart tells its failure, refuses to be drained, and can be stopped', async () => {
  await using place = await CountingJob.make()
  const failing = "if (row.value === 100) throw new Error('boom'); return row.value"
  await writeFile(place.at('failing.ts'), counting.replace('row.value)', `{ ${failing} })`))
  const restart = ['--restart', 'fixed', '--restart-delay', '1h']
  await using job = place.start('failing.ts', '--threads', '1', ...restart)
  const report = await place.reportOnce(({ status }) => status === 'restarting')

  const drained = await place.call('stop', 'counting', '--drain')
  const stopped = await place.call('stop', 'counting')
  const { code, log } = await job.ended

  assert.match(report.lastFailure?.message ?? '', /boom/)
  assert.equal(report.restartCount, 1)
  assert.equal(drained.code, 4)
  assert.match(drained.log, /JOB_NOT_RUNNING: .*is restarting/)
  assert.equal(stopped.out, 'stopped\n')
  assert.equal(code, 0, log)
  assert.match(log, /it is restarting, so there will be no further checkpoint/)
})
