/**
 * A subtask hung after a checkpoint was published and before it had committed. No checkpoint follows one that is not confirmed, so
 * none ever timed out and the job stood still for good.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nullCheckpointStore } from '../../../src/checkpoint/null-store.ts'
import type { EngineError } from '../../../src/core/errors.ts'
import { silentLogger } from '../../../src/core/log.ts'
import { CheckpointCoordinator } from '../../../src/job/checkpoint-coordinator.ts'
import { ManualTime } from '../../../src/testing/manual-time.ts'

test('a checkpoint that is never committed counts as failed after each time-out', async () => {
  const time = new ManualTime()
  const failed: string[] = []
  const fatal: EngineError[] = []
  const coordinator = new CheckpointCoordinator({
    jobName: 'unconfirmed',
    lineage: () => 'lineage',
    maxParallelism: 16,
    attempt: () => 'attempt',
    store: nullCheckpointStore(),
    settings: {
      intervalMs: 10,
      minPauseMs: 0,
      timeoutMs: 1000,
      failuresMax: 1,
      retainCount: 1,
      selfContainedEvery: 1,
    },
    clock: time.clock,
    scheduler: time.scheduler,
    logger: silentLogger,
    dealers: [],
    subtasks: () => new Map([['0/0', 'source#0']]),
    send: () => {},
    onCompleted: () => {},
    onFailed: ({ message }) => failed.push(message),
    onFatal: (error) => fatal.push(error),
  })
  coordinator.resume()
  const taken = coordinator.takeCheckpoint()
  await settle()
  coordinator.onAcknowledged(1, { taskId: 0, subtaskIndex: 0, operators: [] })
  await taken
  await settle()

  time.nowMs = 1000
  time.runDue()
  assert.equal(fatal.length, 0)
  time.nowMs = 2000
  time.runDue()

  assert.match(
    failed.join('\n'),
    /Checkpoint 1 was taken but not committed within 1000 ms by source#0/,
  )
  assert.equal(failed.length, 2)
  assert.equal(fatal[0]?.code, 'CHECKPOINT_FAILURES_EXCEEDED')
  await coordinator.close()
  assert.equal(time.nextTimerMs(), Infinity)
})

function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
