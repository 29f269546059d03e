/**
 * Keyed state as users see it. Values are values: what `get` answers is a copy that belongs to the caller, what `set` is given
 * is copied, so changing an object that was read or emitted changes nothing until it is set, on every backend. Numbers,
 * strings and other primitives cost no copy.
 */
import type { Key } from '../core/key.ts'

/** One value of the key at hand. */
export interface ValueState<in out T, out D = undefined> {
  get(): T | D
  set(value: T): void
  clear(): void
}

/** The list of the key at hand, in the order values were added. */
export interface ListState<in out T> {
  add(value: T): void
  set(values: Iterable<T>): void
  /** Reads piece by piece; the list must not be changed while it is read. */
  values(): Iterable<T>
  isEmpty(): boolean
  clear(): void
}

/** The map of the key at hand, to read. `entries` has the bounds `from` (inclusive) and `to` (exclusive). */
export interface ReadonlyMapState<in out M, out V> {
  get(key: M): V | undefined
  has(key: M): boolean
  /** In key order, without loading all of it. Entries may be set and deleted while it is read. */
  entries(range?: { readonly from?: M; readonly to?: M }): Iterable<readonly [M, V]>
  isEmpty(): boolean
}

/** The map of the key at hand. */
export interface MapState<in out M extends Key, in out V> extends ReadonlyMapState<M, V> {
  set(key: M, value: V): void
  delete(key: M): void
  clear(): void
}

/** The accumulator of the key at hand; `get` answers its result, undefined if nothing was added. */
export interface AggregatingState<in T, out R> {
  add(value: T): void
  get(): R | undefined
  clear(): void
}

/** A state handle without what writes. */
export type ReadonlyHandle<H> =
  H extends MapState<infer M, infer V>
    ? ReadonlyMapState<M, V>
    : Pick<H, keyof H & ('get' | 'values' | 'isEmpty')>

/** Timers of the key at hand. One timer per key, clock and millisecond; restored with the state. */
export interface Timers {
  /** A time that the watermark has passed already fires at once, after the record at hand. */
  setEventTime(timestampMs: number): void
  setProcessingTime(timestampMs: number): void
  deleteEventTime(timestampMs: number): void
  deleteProcessingTime(timestampMs: number): void
  /** The engine's clock: the only one that replays. */
  processingTimeMs(): number
}
