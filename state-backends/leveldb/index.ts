/** Keyed state on disk: for state that is larger than memory. */
import type { StateBackend } from '../../src/contract/state-backend.ts'
import { EngineError } from '../../src/core/errors.ts'
import { levelBackend } from './level-backend.ts'
import { levelDisk } from './level-table.ts'

/** How much memory each store takes; there is one for each subtask of an operator with keyed state. */
export interface LevelDbOptions {
  /** Cells kept in memory. Default: 64 MiB. */
  readonly cacheBytesMax?: number
  /**
   * Changes not written yet. When it is reached the subtask takes no input until the disk has caught up. Default: half of
   * `cacheBytesMax`.
   */
  readonly dirtyBytesMax?: number
  /** Blocks of the database kept uncompressed. Default: 8 MiB. */
  readonly blockCacheBytes?: number
  /** The database's own buffer for writes; it takes twice that. Default: 4 MiB. */
  readonly writeBufferBytes?: number
  /**
   * Table files of 2 MiB that the database keeps open. Default: 1500, of about 30 KB of memory each; 256 where tables can't but be
   * mapped into memory (Windows).
   */
  readonly tablesOpenMax?: number
}

const mebibyte = 1024 * 1024

/**
 * Keeps keyed state in LevelDB, with a cache in front. Choose it for state that may outgrow memory; checkpoints are
 * incremental. Throws `OPTION_INVALID` for a number that is not above zero.
 *
 * @experimental
 */
export function leveldb(options: LevelDbOptions = {}): StateBackend {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || (Number.isInteger(value) && value > 0)) continue
    throw new EngineError(
      'OPTION_INVALID',
      `leveldb: ${name} must be a whole number above 0, but is ${String(value)}`,
    )
  }
  const cacheBytesMax = options.cacheBytesMax ?? 64 * mebibyte
  const dirtyBytesMax = options.dirtyBytesMax ?? Math.ceil(cacheBytesMax / 2)
  const tableOptions = {
    blockCacheBytes: options.blockCacheBytes ?? 8 * mebibyte,
    writeBufferBytes: options.writeBufferBytes ?? 4 * mebibyte,
    ...(options.tablesOpenMax === undefined ? {} : { tablesOpenMax: options.tablesOpenMax }),
  }
  return levelBackend({
    bounds: { cacheBytesMax, dirtyBytesMax },
    disk: levelDisk(tableOptions),
  })
}
