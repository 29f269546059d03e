/** What a slot needs beside its plan, made the same way in a worker and in the calling thread. The only place that names backends. */
import { join } from 'node:path'
import type { ChannelBounds } from '../channel/channel.ts'
import { nullSnapshotStorage } from '../checkpoint/null-store.ts'
import { nodeFileSystem } from '../checkpoint/storage/node-file-system.ts'
import { SnapshotDirectory } from '../checkpoint/storage/snapshot-directory.ts'
import type { SnapshotStorage } from '../contract/snapshot-storage.ts'
import type { LevelDbOptions, StateBackend } from '../contract/state-backend.ts'

/** Plain data: it crosses threads. */
export interface SlotSetup {
  readonly state: 'memory' | 'leveldb'
  readonly leveldb: LevelDbOptions
  /** The checkpoint directory and the place for working files; undefined where nothing is kept. */
  readonly checkpoints: { readonly root: string; readonly work: string } | undefined
  /** Where working files go that no checkpoint needs: a directory of this process. */
  readonly scratch: string
  readonly exactlyOnce: boolean
  readonly bounds: ChannelBounds
}

export interface SlotParts {
  readonly backend: StateBackend
  readonly storage: SnapshotStorage
  readonly workDirectory: (attempt: string, operatorUid: string, subtaskIndex: number) => string
}

export async function slotParts(setup: SlotSetup, slotIndex: number): Promise<SlotParts> {
  const base = setup.checkpoints?.work ?? setup.scratch
  const snapshots = new SnapshotDirectory({
    files: nodeFileSystem,
    root: setup.checkpoints?.root ?? setup.scratch,
    work: join(base, `slot-${slotIndex}`),
    pages: 'database',
  })
  return {
    backend: await loadBackend(setup),
    storage:
      setup.checkpoints === undefined
        ? nullSnapshotStorage((handle) => snapshots.reader(handle))
        : snapshots,
    workDirectory: (attempt, operatorUid, subtaskIndex) =>
      join(base, 'state', attempt, `${operatorUid}-${subtaskIndex}`),
  }
}

async function loadBackend(setup: SlotSetup): Promise<StateBackend> {
  switch (setup.state) {
    case 'memory':
      return (await import('../../state-backends/memory/index.ts')).memory
    case 'leveldb':
      return (await import('../../state-backends/leveldb/index.ts')).leveldb(setup.leveldb)
  }
}
