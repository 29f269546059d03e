/**
 * A worker thread that dies, however it dies, is replaced, and the job goes on from its newest checkpoint: the output is exactly that
 * of a run that nothing happened to.
 */
import assert from 'node:assert/strict'
import { extname } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import { start } from '../../../src/index.ts'
import type { RunningJob } from '../../../src/index.ts'
import counting from '../../support/counting/job.ts'
import type { CountingParams } from '../../support/counting/job.ts'
import stillborn from '../../support/counting/stillborn-job.ts'
import { Deferred } from '../../../src/core/deferred.ts'
import { Life } from '../../support/counting/life.ts'
import { chosen, countingModule, place } from '../../support/counting/place.ts'
import type { Place } from '../../support/counting/place.ts'
import { checkOutput } from '../../support/counting/records.ts'

const SIZE = { recordCount: 60_000, fileCount: 6, keyCount: 240 }
const PACE = { recordsPerSecond: 30_000 }

function started(
  { checkpoints }: Place,
  params: CountingParams,
  state: 'memory' | 'leveldb',
): RunningJob {
  return start(counting, {
    params,
    parallelism: 3,
    threads: 2,
    module: countingModule,
    state,
    checkpoints: { directory: checkpoints, interval: '200ms' },
    restart: { kind: 'fixed', delay: '20ms', attemptsMax: 100 },
  })
}

test('a worker that a user function ends is replaced', async (t) => {
  const here = await place(t, SIZE)
  const ids = chosen(here, 4)
  const params: CountingParams = {
    ...here.params,
    pace: PACE,
    trouble: { kind: 'exit', ids, once: here.once },
  }

  await using running = started(here, params, 'leveldb')
  const { lateRecords } = await running.finished

  const { restarts } = running.figures
  assert(restarts > 0 && restarts <= ids.length, `${restarts} restarts`)
  assert.match(running.figures.lastFailure?.message ?? '', /worker thread of slot \d.*code 3/)
  assert.equal(lateRecords, 0)
  checkOutput(params.rows, params.windows, SIZE)
})

test('a worker whose user function never returns is ended and replaced', async (t) => {
  const here = await place(t, SIZE)
  const ids = chosen(here, 1)
  const warnings: string[] = []
  const params: CountingParams = {
    ...here.params,
    pace: PACE,
    trouble: { kind: 'loop', ids, once: here.once },
  }

  await using running = start(counting, {
    params,
    parallelism: 3,
    threads: 2,
    module: countingModule,
    checkpoints: { directory: here.checkpoints, interval: '200ms', timeout: '3s' },
    restart: { kind: 'fixed', delay: '20ms', attemptsMax: 100 },
    closeTimeout: '500ms',
    logger: { info() {}, warn: (line) => void warnings.push(line), error() {} },
  })
  await running.finished

  assert.match(warnings.join('\n'), /worker thread of slot \d did not close .* within 500 ms/)
  checkOutput(params.rows, params.windows, SIZE)
})

test('a job that is cancelled while a worker does not return leaves no timer behind', async (t) => {
  const here = await place(t, SIZE)
  const timers = (): number =>
    process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = timers()
  const isRestarting = new Deferred<void>()
  await using running = start(counting, {
    params: {
      ...here.params,
      pace: PACE,
      trouble: { kind: 'loop', ids: chosen(here, 1), once: here.once },
    },
    parallelism: 3,
    threads: 2,
    module: countingModule,
    checkpoints: { directory: here.checkpoints, interval: '200ms', timeout: '3s' },
    restart: { kind: 'fixed', delay: '20ms', attemptsMax: 100 },
    closeTimeout: '1h',
    logger: {
      info() {},
      warn: (line) => void (/restarting/.test(line) && isRestarting.resolve()),
      error() {},
    },
  })
  await isRestarting.promise

  await running.cancel()

  await assert.rejects(running.finished, { code: 'JOB_CANCELLED' })
  assert.ok(timers() <= before, 'no timer keeps the process alive')
})

test('a worker that is ended from outside, at any moment, is replaced', async (t) => {
  const here = await place(t, SIZE)
  const params: CountingParams = { ...here.params, pace: PACE }
  const workers = new Set<Worker>()
  const onWorker = (worker: Worker): void => {
    workers.add(worker)
    worker.once('exit', () => workers.delete(worker))
  }
  process.on('worker', onWorker)
  t.after(() => process.off('worker', onWorker))

  await using running = started(here, params, 'memory')
  let ended = 0
  let isOver = false
  const killing = (async () => {
    for (; ended < 6; ended++) {
      // while it runs, or as soon as there is a worker: then mostly while it restores
      const isAtOnce = ended % 3 === 2
      while (!isOver && (workers.size < 2 || (!isAtOnce && running.status !== 'running'))) {
        await sleep(1)
      }
      await sleep(here.random.between(0, isAtOnce ? 100 : 300))
      if (isOver) return
      if (workers.size > 0) await here.random.pick([...workers]).terminate()
    }
  })()
  const { lateRecords } = await running.finished
  isOver = true
  await killing

  assert(ended > 2, `${ended} were ended`)
  assert(running.figures.restarts > 2, `${running.figures.restarts} restarts`)
  assert.equal(lateRecords, 0)
  checkOutput(params.rows, params.windows, SIZE)
})

test('workers that never come up are given up as the restart strategy says', async () => {
  await using running = start(stillborn, {
    threads: 1,
    module: new URL(
      `../../support/counting/stillborn-job${extname(import.meta.url)}`,
      import.meta.url,
    ),
    restart: { kind: 'fixed', delay: '10ms', attemptsMax: 2 },
  })

  await assert.rejects(running.finished, {
    code: 'RESTARTS_EXHAUSTED',
    message: /worker thread of slot 0 ended: it exited with code 7 .*restarted 2 times/,
  })
  assert.equal(running.figures.restarts, 2)
})

// In a process of its own, whose workers get little memory.
test('a worker that runs out of memory is replaced', async (t) => {
  const here = await place(t, SIZE)
  const [id] = chosen(here, 1)
  const life = new Life(
    {
      params: {
        ...here.params,
        pace: PACE,
        trouble: { kind: 'out of memory', ids: [id as number], once: here.once },
      },
      options: {
        parallelism: 2,
        checkpoints: { directory: here.checkpoints, interval: '200ms' },
        restart: { kind: 'fixed', delay: '20ms', attemptsMax: 3 },
      },
      threads: 2,
    },
    here.temporary,
    ['--max-old-space-size=80'],
  )
  t.after(() => life.kill())

  const end = await life.end()

  assert.equal(end?.kind, 'finished', `${JSON.stringify(end)} ${life.log.join('\n')}`)
  assert.equal(end.restarts, 1)
  assert.match(life.log.join('\n'), /memory/)
  checkOutput(here.params.rows, here.params.windows, SIZE)
})
