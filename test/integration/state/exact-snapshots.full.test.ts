/** The long form of exact-snapshots.test.ts: more keys, at full speed, in worker threads. */
import { describe, test } from 'node:test'
import { exactSnapshots } from '../../support/exact-snapshots.ts'

describe('each retained checkpoint is exactly the state at its position, at full speed', () => {
  test('in memory, with 20,000 keys', () =>
    exactSnapshots({
      options: { state: 'memory' },
      keyCount: 20_000,
      checkpointCount: 10,
      intervalMs: 300,
      threads: 2,
    }))

  // a subtask has 20,000 keys of some 14 cells, of about 300 bytes each in the cache
  test('on leveldb, whose cache holds a hundredth of 40,000 keys', () =>
    exactSnapshots({
      options: { state: 'leveldb', leveldb: { cacheBytesMax: 840_000 } },
      keyCount: 40_000,
      checkpointCount: 10,
      intervalMs: 500,
      threads: 2,
    }))
})
