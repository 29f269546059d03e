import { leveldb } from '../../state-backends/leveldb/index.ts'
import { stateBackendSuite } from './state-backend.ts'

stateBackendSuite('leveldb', () => leveldb())

// Hardly anything stays in memory: every operation reads, every change is written before the next.
stateBackendSuite('leveldb with a cache of one cell', () =>
  leveldb({ cacheBytesMax: 1, dirtyBytesMax: 1 }),
)

// A few dozen cells: eviction, batches and snapshots meet in every order.
stateBackendSuite('leveldb with a small cache', () =>
  leveldb({ cacheBytesMax: 30_000, dirtyBytesMax: 15_000, writeBufferBytes: 65_536 }),
)
