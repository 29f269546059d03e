/**
 * Checkpoints of a job that keeps none: its last one still ends the epochs of its sinks and makes them commit, but nothing of it
 * can be restored. Such a job may be started from a checkpoint or savepoint of another place all the same.
 */
import type {
  SnapshotHandle,
  SnapshotStorage,
  SnapshotTarget,
  SnapshotWriter,
} from '../contract/snapshot-storage.ts'
import { EngineError } from '../core/errors.ts'
import type { Fence } from '../core/ids.ts'
import type { CheckpointStore } from './checkpoint-store.ts'

/** A store that forgets. */
export function nullCheckpointStore(): CheckpointStore {
  let lastId = 0
  const refuse = (): never => {
    throw new EngineError(
      'CHECKPOINTS_NOT_CONFIGURED',
      'The job keeps no checkpoints, so it cannot be saved or restored; give it a checkpoint directory',
    )
  }
  return {
    fence: 0 as Fence,
    list: async () => [],
    load: refuse,
    verify: refuse,
    async reserve() {
      lastId += 1
      return lastId
    },
    async checkOwner() {},
    ownsLineage: async () => true,
    async takeLineage() {},
    ledger: () => ({ entries: async () => [], add: refuse, owns: async () => true }),
    async publish() {},
    async discard() {},
    async sweep() {},
    savepointDirectory: refuse,
    publishSavepoint: refuse,
    discardSavepoint: refuse,
    async close() {},
  }
}

/** Snapshots that are written nowhere. What the job was started from is read like any other: by `reader`. */
export function nullSnapshotStorage(reader: SnapshotStorage['reader']): SnapshotStorage {
  return { writer: (target) => new NullWriter(target), reader }
}

class NullWriter implements SnapshotWriter {
  readonly isFull = false
  readonly #target: SnapshotTarget

  constructor(target: SnapshotTarget) {
    this.#target = target
  }

  page(): void {}

  async file(): Promise<void> {}

  async close(format: string): Promise<SnapshotHandle> {
    return { format, keyGroups: this.#target.keyGroups, files: [] }
  }

  async abort(): Promise<void> {}
}
