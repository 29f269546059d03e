/**
 * The keyed state of one operator subtask in memory: a table per state, and per slice where a state is sliced.
 *
 * Invariants
 *  - One value lives in one place: the tables and the timer queues are all there is.
 *  - At most one snapshot runs. It sees each table as it was at the barrier (key-table.ts) and each timer queue as captured then.
 * Used on the subtask's thread only. Nothing here waits.
 */
import type {
  CellState,
  KeyedCells,
  KeyedSnapshot,
  KeyedStore,
  KeyedStoreOptions,
  SliceCells,
  SliceCursor,
  SnapshotRequest,
  StoreStatistics,
  TimerIndex,
} from '../../src/contract/state-backend.ts'
import type { StatePage } from '../../src/contract/snapshot-storage.ts'
import { InvariantError } from '../../src/core/errors.ts'
import { hashKey } from '../../src/core/key-hash.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { KeyTable } from './key-table.ts'
import { MemorySnapshot } from './memory-snapshot.ts'
import type { SnapshotPart } from './memory-snapshot.ts'
import { TimerQueue } from './timer-queue.ts'

/** Tables smaller than this lie in the processor's cache anyway. */
const WARMED_ENTRIES_MIN = 16_384

export class MemoryStore implements KeyedStore {
  key: AnyKey = null
  hash = 0
  /** Counts the keys at hand, so that cells can tell whether what they looked up last is still meant. */
  sequence = 0
  readonly #options: KeyedStoreOptions
  readonly #cells = new Map<string, TableCells>()
  readonly #slices = new Map<string, TableSlices>()
  readonly #timers = new Map<string, TimerQueue>()
  /** Those with one cell per key. */
  readonly #warmed: TableCells[] = []
  /** What warming saw; kept, so that the compiler cannot leave the work out. */
  seen = 0
  #snapshot: MemorySnapshot | undefined

  constructor(options: KeyedStoreOptions) {
    this.#options = options
    for (const state of options.states) this.#declare(state)
  }

  useKey(key: AnyKey, hash: number): void {
    this.key = key
    this.hash = hash
    this.sequence += 1
  }

  warm(hashes: Int32Array, from: number, to: number): void {
    for (const { table } of this.#warmed) {
      if (table.liveCount >= WARMED_ENTRIES_MIN) this.seen ^= table.warm(hashes, from, to)
    }
  }

  cells<V>(state: string): KeyedCells<V> {
    return declared(this.#cells, state) as unknown as KeyedCells<V>
  }

  slices<V>(state: string): SliceCells<V> {
    return declared(this.#slices, state) as unknown as SliceCells<V>
  }

  timers(state: string): TimerIndex {
    return declared(this.#timers, state)
  }

  hasRoom(): boolean {
    return true
  }

  work(): boolean {
    return false
  }

  snapshot(request: SnapshotRequest): KeyedSnapshot {
    const parts: SnapshotPart[] = []
    for (const [state, cells] of this.#cells) parts.push({ state, table: cells.table })
    for (const [state, slices] of this.#slices) {
      for (const [slice, { table }] of slices.tables) parts.push({ state, table, slice })
    }
    const timers = [...this.#timers].flatMap(([state, queue]) =>
      queue.capture().map((rows) => ({ state, rows })),
    )
    const snapshot = new MemorySnapshot({
      parts,
      timers,
      writer: request.writer,
      maxParallelism: this.#options.maxParallelism,
      ended: () => {
        if (this.#snapshot === snapshot) this.#snapshot = undefined
      },
    })
    this.#snapshot = snapshot
    return snapshot
  }

  onCheckpointComplete(): void {}

  statistics(): StoreStatistics {
    let cellCount = 0
    for (const cells of this.#cells.values()) cellCount += cells.table.liveCount
    for (const slices of this.#slices.values()) {
      for (const { table } of slices.tables.values()) cellCount += table.liveCount
    }
    return { cellCount }
  }

  async close(): Promise<void> {
    this.#snapshot?.abandon()
  }

  /** Takes over what a snapshot held. States that are no longer declared are left out: the engine has allowed it. */
  load(page: StatePage): void {
    const cells = this.#cells.get(page.state)
    const slices = this.#slices.get(page.state)
    const timers = this.#timers.get(page.state)
    for (let row = 0; row < page.keys.length; row++) {
      const key = page.keys[row] as AnyKey
      const sub = page.subs?.[row] ?? 0
      this.useKey(key, hashKey(key))
      const target = cells ?? slices
      if (target !== undefined) target.put(sub, page.values?.[row])
      else timers?.add(sub)
    }
  }

  #declare(state: CellState): void {
    switch (state.layout) {
      case 'key': {
        const cells = new TableCells(this, false)
        this.#cells.set(state.name, cells)
        this.#warmed.push(cells)
        break
      }
      case 'page':
        this.#cells.set(state.name, new TableCells(this, true))
        break
      case 'slice':
        this.#slices.set(state.name, new TableSlices(this))
        break
      case 'timers':
        this.#timers.set(state.name, new TimerQueue(this))
        break
    }
  }
}

function declared<T>(states: ReadonlyMap<string, T>, name: string): T {
  const state = states.get(name)
  if (state === undefined) throw new InvariantError(`State '${name}' was used but not declared`)
  return state
}

/** The cells of one table. Remembers the entry it looked up last: an operator mostly reads and then writes the same. */
class TableCells implements KeyedCells<unknown> {
  readonly table: KeyTable<unknown>
  readonly #store: MemoryStore
  #sequence = -1
  #sub = 0
  #entry = -1

  constructor(store: MemoryStore, hasSubs: boolean) {
    this.#store = store
    this.table = new KeyTable(hasSubs)
  }

  get(sub: number): unknown {
    const entry = this.#find(sub)
    return entry < 0 ? undefined : this.table.value(entry)
  }

  edit(sub: number): unknown {
    const entry = this.#find(sub)
    return entry < 0 ? undefined : this.table.edit(entry)
  }

  put(sub: number, value: unknown): void {
    const entry = this.#find(sub)
    if (entry >= 0) this.table.set(entry, value)
    else this.#entry = this.table.insert(this.#store.key, this.#store.hash, sub, value)
  }

  remove(sub: number): void {
    const entry = this.#find(sub)
    if (entry < 0) return
    this.table.remove(entry, this.#store.hash)
    this.#entry = -1
  }

  #find(sub: number): number {
    const store = this.#store
    if (this.#sequence === store.sequence && this.#sub === sub) return this.#entry
    this.#sequence = store.sequence
    this.#sub = sub
    this.#entry = this.table.find(store.key, store.hash, sub)
    return this.#entry
  }
}

/**
 * One table per slice: records mostly go to the same few slices, whose small tables stay in the processor's cache, and a
 * slice that is over is dropped whole. While a snapshot runs it keeps the tables it began with, dropped or not.
 */
class TableSlices implements SliceCells<unknown> {
  readonly tables = new Map<number, TableCells>()
  readonly #store: MemoryStore
  #lastSlice = NaN
  #lastCells: TableCells | undefined

  constructor(store: MemoryStore) {
    this.#store = store
  }

  get(slice: number): unknown {
    return this.#cells(slice)?.get(0)
  }

  edit(slice: number): unknown {
    return this.#cells(slice)?.edit(0)
  }

  put(slice: number, value: unknown): void {
    const cells = this.#cells(slice) ?? this.#add(slice)
    cells.put(0, value)
  }

  remove(slice: number): void {
    const cells = this.#cells(slice)
    if (cells === undefined) return
    cells.remove(0)
    if (cells.table.liveCount === 0) this.drop(slice)
  }

  slices(): readonly number[] {
    return [...this.tables.keys()].sort((a, b) => a - b)
  }

  keys(slice: number): SliceCursor {
    const cells = this.#cells(slice)
    return cells === undefined ? emptyCursor : new TableCursor(this.#store, cells.table)
  }

  drop(slice: number): void {
    this.tables.delete(slice)
    if (slice === this.#lastSlice) this.#lastSlice = NaN
  }

  #cells(slice: number): TableCells | undefined {
    if (slice === this.#lastSlice) return this.#lastCells
    const cells = this.tables.get(slice)
    if (cells !== undefined) {
      this.#lastSlice = slice
      this.#lastCells = cells
    }
    return cells
  }

  #add(slice: number): TableCells {
    const cells = new TableCells(this.#store, false)
    this.tables.set(slice, cells)
    this.#lastSlice = slice
    this.#lastCells = cells
    return cells
  }
}

const emptyCursor: SliceCursor = { next: () => false }

class TableCursor implements SliceCursor {
  readonly #store: MemoryStore
  readonly #table: KeyTable<unknown>
  #entry = 0

  constructor(store: MemoryStore, table: KeyTable<unknown>) {
    this.#store = store
    this.#table = table
  }

  next(): boolean {
    const table = this.#table
    while (this.#entry < table.entryCount) {
      const entry = this.#entry++
      if (table.value(entry) === undefined) continue
      const key = table.key(entry)
      this.#store.useKey(key, hashKey(key))
      return true
    }
    return false
  }
}
