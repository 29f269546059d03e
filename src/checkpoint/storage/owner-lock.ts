/**
 * Who owns a checkpoint directory. Two things together, since neither is enough:
 *  - a lock that the operating system takes away when its holder dies, however it dies (LevelDB's, on a small database);
 *  - a fence, a number in a file that grows with each owner: one that was stopped, lost its lock to a file system's whim and
 *    wakes up again finds a higher number and publishes and commits nothing.
 *
 * The database also holds the last checkpoint id that was given out, so that ids never repeat within a lineage.
 */
import { join } from 'node:path'
import { Level } from 'level'
import { EngineError } from '../../core/errors.ts'
import type { Fence } from '../../core/ids.ts'
import type { FileSystem } from './file-system.ts'

/** The coordinator's hold on a checkpoint directory. */
export interface OwnerLock {
  readonly fence: Fence
  /** Throws `FENCED` where another owner has come. */
  check(): Promise<void>
  /** Makes `checkpointId` the last one given out, durably. */
  reserve(checkpointId: number): Promise<void>
  /** The last one given out; 0 where there was none. */
  lastReserved(): Promise<number>
  close(): Promise<void>
}

const FENCE_FILE = 'fence'
const LAST_ID_KEY = 'last-checkpoint-id'

/** Takes the lock, or throws `CHECKPOINT_DIRECTORY_IN_USE`. */
export async function acquireOwnerLock(files: FileSystem, root: string): Promise<OwnerLock> {
  const database = new Level<string, string>(join(root, 'owner'))
  try {
    await database.open()
  } catch (error) {
    throw isLocked(error)
      ? new EngineError(
          'CHECKPOINT_DIRECTORY_IN_USE',
          `The checkpoint directory ${root} belongs to another running job; stop that, or give this one a directory of its own`,
          { cause: error },
        )
      : unusable(root, error)
  }
  const path = join(root, FENCE_FILE)
  const fence = ((await readFence(files, path)) + 1) as Fence
  await files.write(path, Buffer.from(String(fence)))
  await files.sync(path)
  await files.sync(root)
  return {
    fence,
    async check() {
      const present = await readFence(files, path)
      if (present === fence) return
      throw new EngineError(
        'FENCED',
        `Another process has taken over the checkpoint directory ${root} (fence ${present}, this one has ${fence}); this one stops`,
      )
    },
    async reserve(checkpointId) {
      await database.put(LAST_ID_KEY, String(checkpointId), { sync: true })
    },
    async lastReserved() {
      return Number((await database.get(LAST_ID_KEY)) ?? 0)
    },
    close: () => database.close(),
  }
}

/** The error for a directory that cannot be written. */
export function unusable(root: string, cause: unknown): EngineError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new EngineError(
    'CHECKPOINT_DIRECTORY_UNUSABLE',
    `The checkpoint directory ${root} cannot be used: ${why}`,
    { cause },
  )
}

async function readFence(files: FileSystem, path: string): Promise<number> {
  if ((await files.size(path)) === undefined) return 0
  const fence = Number(Buffer.from(await files.read(path)).toString('utf8'))
  return Number.isSafeInteger(fence) ? fence : 0
}

function isLocked(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && cause.code === 'LEVEL_LOCKED') return true
  }
  return false
}
