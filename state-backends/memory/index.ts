/** The entry point `millrace/memory`: keyed state on the heap. */
import type { StateBackend } from '../../src/contract/state-backend.ts'
import { EngineError } from '../../src/core/errors.ts'
import { MemoryStore } from './memory-store.ts'

/**
 * Keyed state in memory: the fastest, as long as it fits. Snapshots are written in canonical pages.
 *
 * Errors: `CHECKPOINT_CORRUPT` when a snapshot to restore from cannot be read.
 */
export const memory: StateBackend = {
  name: 'memory',
  async open(options) {
    const store = new MemoryStore(options)
    for (const reader of options.restore) {
      if (reader.handle.format !== 'pages') {
        throw new EngineError(
          'SAVEPOINT_MISMATCH',
          `The checkpoint holds state in the files of '${reader.handle.format}', which 'memory' cannot read; ` +
            `take a savepoint with the former backend and start from that`,
          { operatorUid: options.operatorUid, subtaskIndex: options.subtaskIndex },
        )
      }
      for await (const page of reader.pages(options.keyGroups)) store.load(page)
    }
    return store
  },
}
