import { leveldb } from '../../state-backends/leveldb/index.ts'
import { levelBackend } from '../../state-backends/leveldb/level-backend.ts'
import { simulatedTables } from '../unit/state-backends/leveldb/simulated-table.ts'
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

// The disk is late and writes take effect in parts; whoever looks at the wrong time sees it.
stateBackendSuite('leveldb on a simulated disk', () => {
  let turns = 0
  return levelBackend({
    bounds: { cacheBytesMax: 20_000, dirtyBytesMax: 20_000 },
    disk: simulatedTables({ turns: () => (turns = (turns * 5 + 3) % 7) }),
  })
})
