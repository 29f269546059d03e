/**
 * Timers of one store: keys by time, in buckets of about a second, so that the aligned timers of many windows cost an array entry
 * each and no heap operation.
 *
 * Invariants
 *  - Every entry of a bucket below `#activeBucket` is in the active part: sorted rows from `#position` on, and `#late`, a small
 *    heap of what was added after they were sorted.
 *  - Rows that a snapshot has captured never change: buckets are only appended to, sorting makes new rows.
 *  - Entries come out in the order of time.
 */
import type { TimerIndex } from '../../src/contract/state-backend.ts'
import type { AnyKey } from '../../src/core/key.ts'
import type { MemoryStore } from './memory-store.ts'

const BUCKET_MS = 1024
/** Room for an entry's number below its time, so that both sort as one double. */
const ENTRIES_SORTED_TOGETHER = 2 ** 32

interface Rows {
  earliestMs: number
  readonly times: number[]
  readonly keys: AnyKey[]
  readonly hashes: number[]
}

/** Rows as they were at a barrier. */
export interface CapturedTimers {
  readonly times: readonly number[]
  readonly keys: readonly AnyKey[]
  readonly from: number
  readonly to: number
}

export class TimerQueue implements TimerIndex {
  timestampMs = 0
  readonly #store: MemoryStore
  readonly #buckets = new Map<number, Rows>()
  /** The numbers of the buckets, as a binary heap. */
  readonly #order: number[] = []
  #activeBucket = -Infinity
  #active: Rows = newRows()
  #position = 0
  readonly #late: LateEntry[] = []
  #nextMs = Infinity

  constructor(store: MemoryStore) {
    this.#store = store
  }

  add(timestampMs: number): void {
    this.insert(timestampMs, this.#store.key, this.#store.hash)
  }

  insert(timestampMs: number, key: AnyKey, hash: number): void {
    const bucket = Math.floor(timestampMs / BUCKET_MS)
    if (timestampMs < this.#nextMs) this.#nextMs = timestampMs
    if (bucket <= this.#activeBucket) {
      push(this.#late, { timestampMs, key, hash }, isEarlierEntry)
      return
    }
    let rows = this.#buckets.get(bucket)
    if (rows === undefined) {
      rows = newRows()
      this.#buckets.set(bucket, rows)
      push(this.#order, bucket, isLess)
    }
    if (timestampMs < rows.earliestMs) rows.earliestMs = timestampMs
    rows.times.push(timestampMs)
    rows.keys.push(key)
    rows.hashes.push(hash)
  }

  /** Cheap: a field. */
  peek(): number {
    return this.#nextMs
  }

  poll(upToMs: number): boolean {
    const dueMs = this.#nextMs
    if (dueMs > upToMs || dueMs === Infinity) return false
    const [bucket] = this.#order
    if (bucket !== undefined && bucket <= Math.floor(dueMs / BUCKET_MS)) this.#activate(bucket)
    const sortedMs = this.#active.times[this.#position]
    const late = this.#late[0]
    if (late !== undefined && (sortedMs === undefined || late.timestampMs < sortedMs)) {
      pop(this.#late, isEarlierEntry)
      this.#take(late.timestampMs, late.key, late.hash)
    } else {
      const at = this.#position++
      this.#take(dueMs, this.#active.keys[at] as AnyKey, this.#active.hashes[at] as number)
    }
    this.#nextMs = this.#earliest()
    return true
  }

  /** All entries as they are now; the rows are shared and stay as they are up to `to`. */
  capture(): CapturedTimers[] {
    const captured: CapturedTimers[] = []
    const { times, keys } = this.#active
    if (this.#position < times.length) {
      captured.push({ times, keys, from: this.#position, to: times.length })
    }
    if (this.#late.length > 0) {
      captured.push({
        times: this.#late.map((entry) => entry.timestampMs),
        keys: this.#late.map((entry) => entry.key),
        from: 0,
        to: this.#late.length,
      })
    }
    for (const rows of this.#buckets.values()) {
      captured.push({ times: rows.times, keys: rows.keys, from: 0, to: rows.times.length })
    }
    return captured
  }

  #take(timestampMs: number, key: AnyKey, hash: number): void {
    this.timestampMs = timestampMs
    this.#store.useKey(key, hash)
  }

  #earliest(): number {
    const [bucket] = this.#order
    return Math.min(
      this.#active.times[this.#position] ?? Infinity,
      this.#late[0]?.timestampMs ?? Infinity,
      bucket === undefined ? Infinity : (this.#buckets.get(bucket) as Rows).earliestMs,
    )
  }

  #activate(bucket: number): void {
    const rows = this.#buckets.get(bucket) as Rows
    this.#buckets.delete(bucket)
    pop(this.#order, isLess)
    this.#activeBucket = bucket
    this.#active = sortedRows(rows, bucket * BUCKET_MS)
    this.#position = 0
  }
}

interface LateEntry {
  readonly timestampMs: number
  readonly key: AnyKey
  readonly hash: number
}

function newRows(): Rows {
  return { earliestMs: Infinity, times: [], keys: [], hashes: [] }
}

/** The rows in the order of time, those of one time in the order they were added. */
function sortedRows(rows: Rows, startMs: number): Rows {
  const { times, keys, hashes } = rows
  let isSorted = true
  let isWhole = true
  for (let i = 0; i < times.length; i++) {
    const time = times[i] as number
    if (i > 0 && time < (times[i - 1] as number)) isSorted = false
    if (!Number.isInteger(time)) isWhole = false
  }
  if (isSorted) return rows
  const order = isWhole ? orderOfWhole(times, startMs) : orderOfAny(times)
  const sorted = newRows()
  for (const row of order) {
    sorted.times.push(times[row] as number)
    sorted.keys.push(keys[row] as AnyKey)
    sorted.hashes.push(hashes[row] as number)
  }
  return sorted
}

/** Row numbers by time. Time within the bucket and row number make one double, since doubles sort natively. */
function orderOfWhole(times: readonly number[], startMs: number): Float64Array {
  return Float64Array.from(times, (time, row) => (time - startMs) * ENTRIES_SORTED_TOGETHER + row)
    .sort()
    .map((each) => each % ENTRIES_SORTED_TOGETHER)
}

function orderOfAny(times: readonly number[]): number[] {
  return times
    .map((_, row) => row)
    .sort((a, b) => (times[a] as number) - (times[b] as number) || a - b)
}

function isLess(a: number, b: number): boolean {
  return a < b
}

function isEarlierEntry(a: LateEntry, b: LateEntry): boolean {
  return a.timestampMs < b.timestampMs
}

function push<T>(heap: T[], item: T, isBefore: (a: T, b: T) => boolean): void {
  let at = heap.push(item) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (!isBefore(item, heap[parent] as T)) break
    heap[at] = heap[parent] as T
    at = parent
  }
  heap[at] = item
}

function pop<T>(heap: T[], isBefore: (a: T, b: T) => boolean): void {
  const item = heap.pop() as T
  const { length } = heap
  if (length === 0) return
  let at = 0
  for (;;) {
    let child = at * 2 + 1
    if (child >= length) break
    if (child + 1 < length && isBefore(heap[child + 1] as T, heap[child] as T)) child += 1
    if (!isBefore(heap[child] as T, item)) break
    heap[at] = heap[child] as T
    at = child
  }
  heap[at] = item
}
