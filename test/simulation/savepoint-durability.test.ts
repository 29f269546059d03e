/** A savepoint that was said to be there must be there after a power loss: its own name too, and that of a new parent. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Manifest } from '../../src/checkpoint/manifest.ts'
import {
  CheckpointDirectory,
  loadSavepoint,
} from '../../src/checkpoint/storage/checkpoint-directory.ts'
import type { Fence } from '../../src/core/ids.ts'
import { KEY_HASH_NAME } from '../../src/core/key-hash.ts'
import { Random } from './random.ts'
import { SimulatedDisk } from './simulated-disk.ts'

test('a published savepoint survives a power loss', async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const disk = new SimulatedDisk(new Random(seed))
    const files = disk.view(async (_what, operation) => operation())
    const store = await CheckpointDirectory.open({
      files,
      root: '/checkpoints',
      jobName: 'durable',
      lock: async () => ({
        fence: 1 as Fence,
        check: async () => {},
        reserve: async () => {},
        lastReserved: async () => 0,
        close: async () => {},
      }),
    })
    const directory = store.savepointDirectory('/savepoints', 1, 'attempt')

    await store.publishSavepoint(directory, emptySavepoint())
    disk.crash()

    assert.equal((await loadSavepoint(files, directory)).checkpointId, 1, `seed ${seed}`)
  }
})

function emptySavepoint(): Manifest {
  return {
    jobName: 'durable',
    lineage: 'lineage',
    checkpointId: 1,
    kind: 'savepoint',
    completedAtMs: 0,
    maxParallelism: 16,
    keyHash: KEY_HASH_NAME,
    isSelfContained: true,
    operators: [],
  }
}
