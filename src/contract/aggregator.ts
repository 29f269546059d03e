/** How many values become one. */
import type { Schema } from '../core/schema.ts'

/**
 * How many values become one. `add` and `merge` may change and return their first argument.
 * Laws: `merge` is associative and commutative; `add(a, v)` equals `merge(a, add(create(), v))`. They let the engine
 * combine before the exchange, share panes between sliding windows and merge sessions.
 * Accumulators are kept in state: numbers, strings, arrays, plain objects and the like (docs/values.md), no class instances.
 */
export interface Aggregator<in T, in out A, out R> {
  create(): A
  add(accumulator: A, value: T): A
  merge(into: A, from: A): A
  /** The inverse of `add`. With it a slide or a retraction costs one step; without it rows are kept. */
  subtract?(accumulator: A, value: T): A
  /** Must not change the accumulator. */
  result(accumulator: A): R
  /** Whether merging in any grouping gives exactly the same result. Sums of floating-point numbers do not. Default false. */
  readonly isExact?: boolean
  /**
   * Whether accumulators may hold parts of the values they were given, strings above all. Those are then kept in memory of their
   * own, which costs a copy a record. Default true; false for accumulators of numbers, or that copy what they keep.
   */
  readonly keepsValues?: boolean
  /** The accumulator's schema, when it is to be checked or evolved. */
  readonly state?: Schema<A>
}
