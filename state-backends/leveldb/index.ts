/** Keyed state on disk: for state that is larger than memory. */
import type { LevelDbOptions, StateBackend } from '../../src/contract/state-backend.ts'
import { EngineError } from '../../src/core/errors.ts'
import { levelBackend } from './level-backend.ts'
import { levelDisk } from './level-table.ts'

export type { LevelDbOptions }

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
  const dirtyBytesMax = options.dirtyBytesMax ?? Math.ceil(cacheBytesMax * 0.75)
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
