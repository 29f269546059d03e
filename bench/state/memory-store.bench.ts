/**
 * State in memory through the contract of a backend: values of a key, values of a key in slices of time, timers; and what a
 * snapshot costs while nothing changes.
 *
 *   node dist/bench/state/memory-store.bench.js [keys=100000] [ms=1000]
 */
import type { SnapshotWriter } from '../../src/contract/snapshot-storage.ts'
import type { CellState } from '../../src/contract/state-backend.ts'
import { keyGroupsOf } from '../../src/core/key-group.ts'
import { fmix32, hashKey } from '../../src/core/key-hash.ts'
import { MemoryStore } from '../../state-backends/memory/memory-store.ts'
import { newBench, options, print, report } from '../micro/tasks.ts'

const keyCount = Number(options.get('keys') ?? 100_000)
const BATCH = 1 << 16
const SLICES = 5
const TIMER_SPAN_MS = 60_000

const states: readonly CellState[] = [
  { name: 'count', kind: 'value', layout: 'key' },
  { name: 'object', kind: 'value', layout: 'key' },
  { name: 'slice', kind: 'value', layout: 'slice' },
  { name: 'timer', kind: 'timers', layout: 'timers' },
]
const maxParallelism = 128
const keys = Array.from({ length: BATCH }, (_, n) => (fmix32(n) >>> 0) % keyCount)
const hashes = keys.map((key) => hashKey(key))

const store = newStore()
const counts = store.cells<number>('count')
const objects = store.cells<{ count: number; sum: number }>('object')
const slices = store.slices<number>('slice')
const timers = store.timers('timer')
for (let key = 0; key < keyCount; key++) {
  store.useKey(key, hashKey(key))
  counts.put(0, 0)
  objects.put(0, { count: 0, sum: 0 })
}

function each(work: (n: number) => void): void {
  for (let n = 0; n < BATCH; n++) {
    store.useKey(keys[n] as number, hashes[n] as number)
    work(n)
  }
}

let fromMs = 0
const bench = newBench()
  .add('memory/get', () => each(() => counts.get(0)))
  .add('memory/get and put a number', () => each(() => counts.put(0, (counts.get(0) ?? 0) + 1)))
  .add('memory/edit and put an object', () =>
    each((n) => {
      const value = objects.edit(0) ?? { count: 0, sum: 0 }
      value.count += 1
      value.sum += n
      objects.put(0, value)
    }),
  )
  .add('memory/get and put in one of five slices', () =>
    each((n) => slices.put(n % SLICES, (slices.get(n % SLICES) ?? 0) + 1)),
  )
  .add('timers/add and take out, spread over a minute', () => {
    each((n) => timers.add(fromMs + ((n * 7919) % TIMER_SPAN_MS)))
    fromMs += TIMER_SPAN_MS
    while (timers.poll(fromMs));
  })
  .add('timers/add and take out, all at one time', () => {
    fromMs += TIMER_SPAN_MS
    each(() => timers.add(fromMs))
    while (timers.poll(fromMs));
  })
await report(bench, BATCH, 'a key')

let entries = 0
const writer: SnapshotWriter = {
  isFull: false,
  page: ({ keys: paged }) => void (entries += paged.length),
  file: () => Promise.reject(new Error('State in memory has no files')),
  close: (format) => Promise.resolve({ format, keyGroups: allGroups(), files: [] }),
  abort: () => Promise.resolve(),
}
const barriers: number[] = []
const steps: number[] = []
for (let round = 0; round < 10; round++) {
  entries = 0
  const startedMs = performance.now()
  const snapshot = store.snapshot({ checkpointId: round + 1, kind: 'checkpoint', writer })
  const takenMs = performance.now()
  while (snapshot.step(1000) === 'more');
  const writtenMs = performance.now()
  await snapshot.finished
  barriers.push((takenMs - startedMs) * 1e6)
  steps.push(((writtenMs - takenMs) * 1e6) / entries)
}
print(`snapshot/barrier, ${keyCount} keys`, median(barriers), 'a snapshot')
print('snapshot/walk, without encoding', median(steps), 'an entry')

function newStore(): MemoryStore {
  return new MemoryStore({
    operatorUid: 'bench',
    subtaskIndex: 0,
    keyGroups: allGroups(),
    maxParallelism,
    states,
    restore: [],
    workDirectory: () => '.',
    wake: () => {},
    fail(error) {
      throw error
    },
  })
}

function allGroups(): ReturnType<typeof keyGroupsOf> {
  return keyGroupsOf(0, { parallelism: 1, maxParallelism })
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN
}
