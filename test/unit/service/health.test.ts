import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JobReport } from '../../../src/service/control-protocol.ts'
import { failuresAfter, isReady, troublesOf } from '../../../src/service/health.ts'
import type { ChildFacts, HealthFacts } from '../../../src/service/health.ts'

const nowMs = 10_000_000
const report = (of: Partial<JobReport> = {}): JobReport =>
  ({
    status: 'running',
    startedAtMs: nowMs - 100_000,
    checkpoints: { directory: '/ck', intervalMs: 10_000 },
    checkpointCount: 7,
    restartCount: 0,
    lastFailure: null,
    ...of,
  }) as JobReport
const child: ChildFacts = {
  startedAtMs: nowMs - 100_000,
  runningSinceMs: nowMs - 90_000,
  answeredAtMs: nowMs - 500,
  report: report(),
}
const well: HealthFacts = { child, lastCheckpointAtMs: nowMs - 5_000, failuresInRow: 0 }

test('what makes a job unhealthy', () => {
  const none: readonly string[] = []
  const starting = { ...child, runningSinceMs: undefined, report: report({ status: 'starting' }) }
  const table: readonly (readonly [string, Partial<HealthFacts>, RegExp | undefined])[] = [
    ['all is well', {}, undefined],
    ['a checkpoint of exactly three intervals', { lastCheckpointAtMs: nowMs - 30_000 }, undefined],
    [
      'one that is older',
      { lastCheckpointAtMs: nowMs - 30_001 },
      /^no checkpoint for 30 s, which is more than 3 intervals of 10 s$/,
    ],
    ['none at all', { lastCheckpointAtMs: undefined }, /^no checkpoint for 90 s/],
    [
      'none yet, but it began to run just now',
      { lastCheckpointAtMs: undefined, child: { ...child, runningSinceMs: nowMs - 20_000 } },
      undefined,
    ],
    [
      'an old one, from before the crash',
      { lastCheckpointAtMs: nowMs - 60_000, child: { ...child, runningSinceMs: nowMs - 20_000 } },
      undefined,
    ],
    [
      'short intervals are asked for in seconds',
      {
        lastCheckpointAtMs: nowMs - 4_000,
        child: { ...child, report: report({ checkpoints: { directory: '', intervalMs: 100 } }) },
      },
      undefined,
    ],
    [
      'a job without checkpoints',
      { lastCheckpointAtMs: undefined, child: { ...child, report: report({ checkpoints: null }) } },
      undefined,
    ],
    ['two failures in a row', { failuresInRow: 2 }, undefined],
    ['three', { failuresInRow: 3 }, /^restart loop: 3 failures/],
    ['waiting after one crash', { child: undefined, failuresInRow: 1 }, undefined],
    ['waiting in a loop', { child: undefined, failuresInRow: 3 }, /^restart loop/],
    ['restoring for long', { child: starting, lastCheckpointAtMs: nowMs - 90_000 }, undefined],
    [
      'restoring for too long',
      { child: { ...starting, startedAtMs: nowMs - 600_001 } },
      /^the job is still starting after 600 s$/,
    ],
    [
      'no answer',
      { child: { ...child, answeredAtMs: nowMs - 61_000 } },
      /^the process of the job has not answered for 61 s$/,
    ],
  ]

  for (const [name, facts, expected] of table) {
    const troubles = troublesOf({ ...well, ...facts }, nowMs)
    if (expected === undefined) assert.deepEqual(troubles, none, name)
    else assert.match(troubles.join('; '), expected, name)
  }
})

test('a job is ready while it runs', () => {
  const withStatus = (status: JobReport['status']): HealthFacts => ({
    ...well,
    child: { ...child, report: report({ status }) },
  })

  assert.equal(isReady(withStatus('running')), true)
  for (const status of ['starting', 'restarting', 'stopping', 'failed'] as const) {
    assert.equal(isReady(withStatus(status)), false, status)
  }
  assert.equal(isReady({ ...well, child: undefined }), false)
  assert.equal(isReady({ ...well, child: { ...child, report: undefined } }), false)
})

test('failures add up until there is progress: a checkpoint, or a minute of running without checkpoints', () => {
  const before = report()
  const without = report({ checkpoints: null })
  const table: readonly (readonly [string, number, JobReport | undefined, JobReport, number])[] = [
    ['nothing new', 2, before, before, 2],
    ['a restart within the process', 2, before, report({ restartCount: 1 }), 3],
    ['a checkpoint', 2, before, report({ checkpointCount: 8 }), 0],
    ['both', 2, before, report({ checkpointCount: 8, restartCount: 1 }), 1],
    [
      'a new process with restarts',
      1,
      undefined,
      report({ restartCount: 2, checkpointCount: 0 }),
      3,
    ],
    ['no checkpoints, running for long', 2, without, without, 0],
    [
      'no checkpoints, failed just now',
      2,
      without,
      report({ checkpoints: null, lastFailure: { message: '', atMs: nowMs - 10 } }),
      2,
    ],
  ]

  for (const [name, row, former, now, expected] of table) {
    assert.equal(failuresAfter(row, { before: former, now, nowMs }), expected, name)
  }
})
