/** What a user function that throws does to a job, with each restart strategy, from the failure to the output. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { start } from '../../../src/index.ts'
import type { EngineError, RestartOptions, RunningJob } from '../../../src/index.ts'
import counting from '../../support/counting/job.ts'
import type { Trouble } from '../../support/counting/job.ts'
import { chosen, countingModule, place } from '../../support/counting/place.ts'
import type { Place } from '../../support/counting/place.ts'
import { checkOutput } from '../../support/counting/records.ts'

const SIZE = { recordCount: 20_000, fileCount: 4, keyCount: 80 }

interface Started extends AsyncDisposable {
  readonly here: Place
  readonly running: RunningJob
  /** The delays that were announced, in ms. */
  readonly delays: number[]
  /** What the delays were for. */
  readonly reasons: string[]
}

async function started(
  t: TestContext,
  restart: RestartOptions,
  { kind, count, isLasting }: { kind: Trouble['kind']; count: number; isLasting?: boolean },
): Promise<Started> {
  const here = await place(t, SIZE)
  const delays: number[] = []
  const reasons: string[] = []
  const running = start(counting, {
    params: {
      ...here.params,
      pace: { recordsPerSecond: 40_000 },
      trouble: { kind, ids: chosen(here, count), ...(isLasting ? {} : { once: here.once }) },
    },
    parallelism: 2,
    threads: 2,
    module: countingModule,
    state: 'leveldb',
    checkpoints: { directory: here.checkpoints, interval: '100ms' },
    restart,
    logger: {
      info() {},
      warn(text) {
        const delay = /restarting in ([\d.]+) ms/.exec(text)
        if (delay === null) return
        delays.push(Number(delay[1]))
        reasons.push(text)
      },
      error() {},
    },
  })
  return {
    here,
    running,
    delays,
    reasons,
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  }
}

/** Two failures may have led to one restart, but not all of them. */
function checkDelays(delays: readonly number[], expected: readonly number[]): void {
  assert(delays.length > 1, `${delays.length} restarts`)
  assert.deepEqual(delays, expected.slice(0, delays.length))
}

const threw = /job 'counting', operator 'counts', subtask [01]: A function threw: record \d+ is bad/

test('none: the first failure ends the job, and names operator and subtask', async (t) => {
  await using job = await started(t, { kind: 'none' }, { kind: 'throw', count: 1 })

  await assert.rejects(job.running.finished, { code: 'USER_FUNCTION_FAILED', message: threw })

  assert.equal(job.running.status, 'failed')
  assert.deepEqual(job.delays, [])
})

test('fixed delay: goes on from the newest checkpoint, as often as allowed', async (t) => {
  const restart = { kind: 'fixed', delay: '30ms', attemptsMax: 3 } as const
  await using job = await started(t, restart, { kind: 'throw', count: 3 })

  const { lateRecords } = await job.running.finished

  checkDelays(job.delays, [30, 30, 30])
  for (const reason of job.reasons) assert.match(reason, threw)
  assert.equal(job.running.figures.restarts, job.delays.length)
  assert.equal(lateRecords, 0)
  checkOutput(job.here.params.rows, job.here.params.windows, SIZE)
})

test('fixed delay: a poison record ends the job when the attempts are used up', async (t) => {
  const restart = { kind: 'fixed', delay: '10ms', attemptsMax: 2 } as const
  await using job = await started(t, restart, { kind: 'throw', count: 1, isLasting: true })

  const error = await job.running.finished.then(
    () => undefined,
    (reason: unknown) => reason as EngineError,
  )

  assert.equal(error?.code, 'RESTARTS_EXHAUSTED')
  assert.match(error.message, threw)
  assert.match(error.message, /restarted 2 times, as often as allowed/)
  assert.equal(error.job, 'counting')
  assert.equal(error.operatorUid, 'counts')
  assert(error.subtaskIndex === 0 || error.subtaskIndex === 1, `subtask ${error.subtaskIndex}`)
  assert.deepEqual(job.delays, [10, 10])
})

test('exponential: delays double up to the longest', async (t) => {
  const restart = {
    kind: 'exponential',
    delay: '10ms',
    delayMax: '40ms',
    resetAfter: '10min',
  } as const
  await using job = await started(t, restart, { kind: 'throw', count: 4 })

  await job.running.finished

  checkDelays(job.delays, [10, 20, 40, 40])
  checkOutput(job.here.params.rows, job.here.params.windows, SIZE)
})

test('failure rate: ends the job when failures come too fast', async (t) => {
  const restart = { kind: 'failure-rate', failuresMax: 2, within: '10min', delay: '10ms' } as const
  await using job = await started(t, restart, { kind: 'throw', count: 1, isLasting: true })

  await assert.rejects(job.running.finished, {
    code: 'RESTARTS_EXHAUSTED',
    message: /operator 'counts', subtask [01].*failed 3 times within 10min/,
  })

  assert.deepEqual(job.delays, [10, 10])
})

test('failure rate: failures that are rare enough are outlived', async (t) => {
  // each is long past when the next one comes
  const restart = { kind: 'failure-rate', failuresMax: 1, within: '1ms', delay: '10ms' } as const
  await using job = await started(t, restart, { kind: 'throw', count: 3 })

  await job.running.finished

  checkDelays(job.delays, [10, 10, 10])
  checkOutput(job.here.params.rows, job.here.params.windows, SIZE)
})
