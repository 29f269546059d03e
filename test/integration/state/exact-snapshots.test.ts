/** Checkpoints hold exactly the state at their barrier, whatever happens while they are written. */
import { describe, test } from 'node:test'
import { exactSnapshots } from '../../support/exact-snapshots.ts'

describe(
  'each retained checkpoint is exactly the state at its position',
  { timeout: 300_000 },
  () => {
    test('in memory', () =>
      exactSnapshots({
        options: { state: 'memory' },
        keyCount: 2000,
        recordsPerSecond: 20_000,
        checkpointCount: 12,
        intervalMs: 40,
        threads: 0,
      }))

    // a subtask has 500 keys of some 14 cells, of about 300 bytes each in the cache
    test('on leveldb, whose cache holds a hundredth of the keys', () =>
      exactSnapshots({
        options: {
          state: 'leveldb',
          leveldb: { cacheBytesMax: 21_000, dirtyBytesMax: 21_000, writeBufferBytes: 65_536 },
        },
        keyCount: 1000,
        recordsPerSecond: 5000,
        checkpointCount: 8,
        intervalMs: 40,
        threads: 0,
      }))
  },
)
