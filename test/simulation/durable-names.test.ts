/**
 * What was said to be there must be there after a power loss.
 *
 * Both stories are the simulation's: a savepoint whose own name was not durable; and a process that was stopped between giving a
 * manifest its name and syncing the directory. The next restored that checkpoint and committed its output; then the power
 * failed, the manifest was gone, and the checkpoint before it gave the same output again.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Manifest } from '../../src/checkpoint/manifest.ts'
import type { FileSystem } from '../../src/checkpoint/storage/file-system.ts'
import {
  CheckpointDirectory,
  loadSavepoint,
} from '../../src/checkpoint/storage/checkpoint-directory.ts'
import type { Fence } from '../../src/core/ids.ts'
import { KEY_HASH_NAME } from '../../src/core/key-hash.ts'
import { Random } from './random.ts'
import { SimulatedDisk, systemError } from './simulated-disk.ts'

const SEED_COUNT = 30

test('a published savepoint survives a power loss', async () => {
  for (let seed = 1; seed <= SEED_COUNT; seed++) {
    const disk = new SimulatedDisk(new Random(seed))
    const files = disk.view(async (_what, operation) => operation())
    const store = await openStore(files)
    const directory = store.savepointDirectory('/savepoints', 1, 'attempt')

    await store.publishSavepoint(directory, emptyManifest('savepoint'))
    disk.crash()

    assert.equal((await loadSavepoint(files, directory)).checkpointId, 1, `seed ${seed}`)
  }
})

test('a checkpoint that was loaded survives a power loss, whoever published it and how far', async () => {
  for (let seed = 1; seed <= SEED_COUNT; seed++) {
    const disk = new SimulatedDisk(new Random(seed))
    const files = disk.view(async (_what, operation) => operation())
    const stopped = disk.view(async (what, operation) => {
      if (what === 'sync /checkpoints/manifests') throw systemError('EIO', what)
      return operation()
    })
    const former = await openStore(stopped)
    await assert.rejects(former.publish(emptyManifest('checkpoint'), 'attempt'))
    const store = await openStore(files)

    const [newest] = await store.list()
    await store.load(newest as number)
    disk.crash()

    assert.deepEqual(await store.list(), [1], `seed ${seed}`)
  }
})

function openStore(files: FileSystem): Promise<CheckpointDirectory> {
  return CheckpointDirectory.open({
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
}

function emptyManifest(kind: Manifest['kind']): Manifest {
  return {
    jobName: 'durable',
    lineage: 'lineage',
    checkpointId: 1,
    kind,
    completedAtMs: 0,
    maxParallelism: 16,
    keyHash: KEY_HASH_NAME,
    isSelfContained: true,
    operators: [],
  }
}
