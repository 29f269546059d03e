/**
 * A slot was lost while a checkpoint was being published. The checkpoint came to be all the same, and its confirmation was
 * waited for although the subtasks that would have committed it were gone: no further checkpoint was begun.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nullCheckpointStore } from '../../../src/checkpoint/null-store.ts'
import { Deferred } from '../../../src/core/deferred.ts'
import { silentLogger } from '../../../src/core/log.ts'
import { CheckpointCoordinator } from '../../../src/job/checkpoint-coordinator.ts'
import type { SlotCommand } from '../../../src/runtime/slot-protocol.ts'

test('checkpoints go on after subtasks ended while one was being published', async () => {
  const published = new Deferred<void>()
  const sent: SlotCommand['kind'][] = []
  const timers: (() => void)[] = []
  const coordinator = new CheckpointCoordinator({
    jobName: 'blocked',
    lineage: () => 'lineage',
    maxParallelism: 16,
    attempt: () => 'attempt',
    store: { ...nullCheckpointStore(), publish: () => published.promise },
    settings: {
      intervalMs: 10,
      minPauseMs: 0,
      timeoutMs: 1000,
      failuresMax: 0,
      retainCount: 1,
      selfContainedEvery: 1,
    },
    clock: { now: () => 0, elapsed: () => 0 },
    scheduler: {
      after: (delayMs, run) => {
        if (delayMs < 1000) timers.push(run)
        return () => timers.splice(timers.indexOf(run), 1)
      },
    },
    logger: silentLogger,
    dealers: [],
    subtasks: () => new Map([['0/0', 'source#0']]),
    send: ({ kind }) => sent.push(kind),
    onCompleted: () => {},
    onFailed: () => {},
    onFatal: () => {},
  })
  coordinator.resume()
  const taken = coordinator.takeCheckpoint()
  await settle()
  coordinator.onAcknowledged(1, { taskId: 0, subtaskIndex: 0, operators: [] })

  const blocked = coordinator.block()
  published.resolve()
  await Promise.all([blocked, taken])
  coordinator.resume()
  for (const run of timers.splice(0)) run()
  await settle()

  assert.deepEqual(sent, ['trigger', 'trigger'])
  await coordinator.close()
})

function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
