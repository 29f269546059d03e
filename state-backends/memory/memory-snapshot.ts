/**
 * A snapshot of a memory store, written slice by slice while the store changes.
 *
 * Steps
 *  1. At the barrier every table is told to keep what it has, every timer queue is captured: a few assignments each.
 *  2. `step` walks the tables and collects entries by state and key group; a full page is encoded and handed to the writer,
 *     which counts as much as walking its entries.
 *     Values that changed before the walk came to them were kept aside by their table and are collected like the others.
 *  3. After the last table come the timers, then the pages that are not full; then the writer is closed.
 *
 * Invariant: what waits in an open page cannot change any more: objects are copied when they are collected.
 */
import type { KeyedSnapshot } from '../../src/contract/state-backend.ts'
import type {
  SnapshotHandle,
  SnapshotWriter,
  StatePage,
} from '../../src/contract/snapshot-storage.ts'
import { Deferred } from '../../src/core/deferred.ts'
import { EngineError } from '../../src/core/errors.ts'
import { keyGroupOf } from '../../src/core/key-group.ts'
import { hashKey } from '../../src/core/key-hash.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { copyValue } from '../../src/core/value.ts'
import type { KeyTable } from './key-table.ts'
import type { CapturedTimers } from './timer-queue.ts'

/** Entries of a page: many in one value of the database make writing it cheap, few keep the stop short in which it is encoded. */
const PAGE_ENTRIES_MAX = 1024

/** A table and the state it belongs to. */
export interface SnapshotPart {
  readonly state: string
  readonly table: KeyTable<unknown>
  /** Where the state is sliced. */
  readonly slice?: number
}

export interface MemorySnapshotOptions {
  readonly parts: readonly SnapshotPart[]
  readonly timers: readonly { readonly state: string; readonly rows: CapturedTimers }[]
  readonly writer: SnapshotWriter
  readonly maxParallelism: number
  /** The snapshot is over, one way or the other. */
  readonly ended: () => void
}

interface OpenPage {
  readonly keys: AnyKey[]
  readonly subs: number[]
  readonly values: unknown[]
  hasSubs: boolean
}

export class MemorySnapshot implements KeyedSnapshot {
  readonly finished: Promise<SnapshotHandle>
  readonly #options: MemorySnapshotOptions
  readonly #pages = new Map<string, (OpenPage | undefined)[]>()
  /** Closed pages that the writer has not taken yet: it gets one a step, or the pages of all key groups would be full at once. */
  readonly #ready: StatePage[] = []
  #partIndex = 0
  #timerIndex = 0
  #timerRow = 0
  #isOver = false
  readonly #result = new Deferred<SnapshotHandle>()
  readonly #timerStates: ReadonlySet<string>

  constructor(options: MemorySnapshotOptions) {
    this.#options = options
    this.#timerStates = new Set(options.timers.map(({ state }) => state))
    this.finished = this.#result.promise
    // whoever abandons a snapshot need not listen to it
    this.finished.catch(() => {})
    for (const { state, table, slice } of options.parts) {
      table.beginSnapshot((key, sub, value) => this.#collect(state, key, slice ?? sub, value))
    }
  }

  step(entriesMax: number): 'more' | 'waiting' | 'written' {
    if (this.#isOver) return 'written'
    const { parts, timers, writer } = this.#options
    let left = entriesMax
    while (left > 0) {
      const [page] = this.#ready
      if (page !== undefined) {
        if (writer.isFull) return 'waiting'
        this.#ready.shift()
        writer.page(page)
        left -= page.keys.length
      } else if (this.#partIndex < parts.length) left -= this.#walkPart(left)
      else if (this.#timerIndex < timers.length) left -= this.#walkTimers(left)
      else if (this.#pages.size > 0) this.#closePages()
      else {
        this.#end()
        this.#result.resolve(writer.close('pages'))
        return 'written'
      }
    }
    return 'more'
  }

  abandon(): void {
    if (this.#isOver) return
    this.#end()
    // the writer's own failure to clean up leaves a file that the sweeper removes
    this.#options.writer.abort().catch(() => {})
    this.#result.reject(new EngineError('CHECKPOINT_FAILED', 'The snapshot was abandoned'))
  }

  /** Entries looked at. */
  #walkPart(entriesMax: number): number {
    const { state, table, slice } = this.#options.parts[this.#partIndex] as SnapshotPart
    const walked = table.walk(Math.min(entriesMax, PAGE_ENTRIES_MAX), (key, sub, value) =>
      this.#collect(state, key, slice ?? sub, value),
    )
    if (walked === 0) {
      table.endSnapshot()
      this.#partIndex += 1
    }
    return walked
  }

  #walkTimers(rowsMax: number): number {
    const { state, rows } = this.#options.timers[this.#timerIndex] as {
      state: string
      rows: CapturedTimers
    }
    const from = rows.from + this.#timerRow
    const to = Math.min(rows.to, from + rowsMax)
    for (let row = from; row < to; row++) {
      this.#collect(state, rows.keys[row] as AnyKey, rows.times[row] as number, undefined)
    }
    this.#timerRow += to - from
    if (to === rows.to) {
      this.#timerIndex += 1
      this.#timerRow = 0
    }
    return Math.max(1, to - from)
  }

  #collect(state: string, key: AnyKey, sub: number, value: unknown): void {
    const group = keyGroupOf(hashKey(key), this.#options.maxParallelism)
    let pages = this.#pages.get(state)
    if (pages === undefined) {
      pages = []
      this.#pages.set(state, pages)
    }
    const page = (pages[group] ??= { keys: [], subs: [], values: [], hasSubs: false })
    page.keys.push(key)
    page.subs.push(sub)
    if (sub !== 0) page.hasSubs = true
    page.values.push(typeof value === 'object' ? copyValue(value) : value)
    if (page.keys.length === PAGE_ENTRIES_MAX) {
      pages[group] = undefined
      this.#closePage(state, group, page)
    }
  }

  #closePage(state: string, group: number, page: OpenPage): void {
    const isTimers = this.#timerStates.has(state)
    this.#ready.push({
      group,
      state,
      keys: page.keys,
      ...(page.hasSubs || isTimers ? { subs: page.subs } : {}),
      ...(isTimers ? {} : { values: page.values }),
    })
  }

  /** Closes the pages that are not full. */
  #closePages(): void {
    for (const [state, pages] of this.#pages) {
      pages.forEach((page, group) => {
        if (page !== undefined) this.#closePage(state, group, page)
      })
    }
    this.#pages.clear()
  }

  #end(): void {
    this.#isOver = true
    this.#pages.clear()
    this.#ready.length = 0
    for (const { table } of this.#options.parts) table.endSnapshot()
    this.#options.ended()
  }
}
