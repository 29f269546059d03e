/**
 * Declared states, as users write them in `state: { ... }` and as the engine finds them again.
 *
 * Each kind is built of cells (contract/state-backend.ts), so it is the same on every backend:
 *   value, reducing, aggregating   one cell
 *   list                           a head and segments of values
 *   map                            a head and pages of entries in key order
 */
import type { Aggregator } from '../contract/aggregator.ts'
import type { CellLayout } from '../contract/state-backend.ts'
import type { AggregatingState, ListState, MapState, ValueState } from '../contract/state.ts'
import type { Key } from '../core/key.ts'
import { reducer } from './reducer.ts'
import type { Schema } from '../core/schema.ts'

declare const brand: unique symbol

/** What a state is to the user; stands in checkpoints and savepoints, where it must not change. */
export type StateKind = 'value' | 'list' | 'map' | 'reducing' | 'aggregating'

/** A declared state; the name is its property name in `state: { ... }` and is found again under it. */
export interface StateSpec<out H> {
  readonly [brand]?: { readonly state: H }
  readonly kind: StateKind
  /** @internal */
  readonly defaultValue?: unknown
  /** @internal */
  readonly aggregator?: Aggregator<never, unknown, unknown>
}

/** What can be said of a state beside its type. */
export interface StateOptions<T> {
  /** Only gives the type today: `schema: type<View>()`. */
  readonly schema?: Schema<T>
}

/**
 * One value per key; with `default`, `get` never answers undefined. Setting undefined clears it.
 *
 * @example
 * state: { count: valueState({ default: 0 }), last: valueState<string>() }
 */
export function valueState<T>(
  options: StateOptions<T> & { readonly default: T },
): StateSpec<ValueState<T, T>>
export function valueState<T>(options?: StateOptions<T>): StateSpec<ValueState<T>>
export function valueState<T>(
  options: StateOptions<T> & { readonly default?: T } = {},
): StateSpec<ValueState<T, T | undefined>> {
  return { kind: 'value', defaultValue: options.default }
}

/** Values per key in the order they were added. */
export function listState<T>(_options: StateOptions<T> = {}): StateSpec<ListState<T>> {
  return { kind: 'list' }
}

/** A map per key. Iterates in key order without loading all of it. */
export function mapState<M extends Key, V>(
  _options: StateOptions<V> = {},
): StateSpec<MapState<M, V>> {
  return { kind: 'map' }
}

/** One value per key, folded by `f`, which must not change its arguments. */
export function reducingState<T>(
  f: (left: T, right: T) => T,
  _options: StateOptions<T> = {},
): StateSpec<AggregatingState<T, T>> {
  return {
    kind: 'reducing',
    aggregator: reducer(f) as unknown as Aggregator<never, unknown, unknown>,
  }
}

/** One accumulator per key; `get` answers its result. */
export function aggregatingState<T, A, R>(
  aggregator: Aggregator<T, A, R>,
  _options: StateOptions<A> = {},
): StateSpec<AggregatingState<T, R>> {
  return {
    kind: 'aggregating',
    aggregator: aggregator as unknown as Aggregator<never, unknown, unknown>,
  }
}

/** How the cells of a kind lie. */
export function layoutOf(kind: StateKind): CellLayout {
  return kind === 'list' || kind === 'map' ? 'page' : 'key'
}
