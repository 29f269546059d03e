/**
 * The streams a job is written with: types only. Four nouns, each with only what makes sense on it.
 *
 * Rules that hold for every signature
 *  - Whatever is found again after a redeploy (state, source positions, sink transactions) takes its `uid` as first argument.
 *    Leaving it out is a compile error.
 *  - A length of time is a `Duration` ('10s'); a point in time is a number of milliseconds since 1970 and its name ends in
 *    `Ms`; a number of things ends in `Count` or `Max`.
 *  - User functions are synchronous.
 *  - Streams are descriptions: nothing runs while a job is built. Every method returns a new stream.
 */
import type {
  KeyedProcessContext,
  ProcessContext,
  RecordHandler,
  RecordInfo,
  BroadcastAccess,
} from '../../operators/process.ts'
import type {
  Accumulation,
  RetractionsOf,
  WindowOptions,
} from '../../operators/window/window-options.ts'
import type { JoinKind } from '../../operators/join.ts'
import type { Aggregator } from '../contract/aggregator.ts'
import type { Timer } from '../contract/operator.ts'
import type { Sink } from '../contract/sink.ts'
import type { Source, WatermarkStrategy } from '../contract/source.ts'
import type { PaneOf, Window, WindowFunction } from '../contract/window.ts'
import type { Change, ChangeKind } from '../core/change.ts'
import type { DeadLetter } from '../core/dead-letter.ts'
import type { Duration } from '../core/duration.ts'
import type { Key } from '../core/key.ts'
import type { Schema } from '../core/schema.ts'
import type { States } from '../state/handles.ts'

declare const brand: unique symbol

/** What every operator understands. */
export interface OperatorOptions {
  /** Shown in plans and metrics. Default: the uid, else the operator's type. */
  readonly name?: string
  /** Subtasks of this operator. Default: the job's. Above `maxParallelism`: `PARALLELISM_ABOVE_MAX`. */
  readonly parallelism?: number
  /** `'start'` begins a new chain here, `'alone'` keeps this operator out of any. Default `'auto'`. */
  readonly chain?: 'auto' | 'start' | 'alone'
}

/** Options of a stateless operator; a uid is allowed, so that metrics and messages keep a name. */
export interface StatelessOptions extends OperatorOptions {
  readonly uid?: string
}

/** Event time of a source, beside what every operator understands. */
export interface SourceOptions<T> extends OperatorOptions {
  /** Event time of a record. Default: the source's own timestamp (Kafka's), else the time of arrival. */
  readonly timestampMs?: (value: T) => number
  /** Default: the source's own, else `monotonous()`. One generator per split; the minimum counts. */
  readonly watermarks?: WatermarkStrategy<T>
  /** A split without records for so long no longer holds the watermark back. Default: never. */
  readonly idleAfter?: Duration
}

/** What a job is built with: sources come from it, everything else from streams. */
export interface Env<P = unknown> {
  readonly params: P
  /**
   * Adds a source. Timestamps and watermarks are said here, once.
   *
   * @example
   * env.from('views', source, { timestampMs: (view) => view.atMs, watermarks: outOfOrder({ delay: '3s' }) })
   */
  from<T>(uid: string, source: Source<T>, options?: SourceOptions<T>): DataStream<T>
  /**
   * The records that sources with `onUndecodable: 'dead-letter'` could not decode: a stream like any other, told apart by
   * `operatorUid`. It has those of the sources added before it is read; a source whose dead letters nobody reads is
   * `DEAD_LETTERS_UNREAD`.
   *
   * @example
   * env.deadLetters.to('undecodable', kafkaSink({ brokers, topic: 'views-undecodable', value: deadLetterJson() }))
   */
  readonly deadLetters: DataStream<DeadLetter>
}

/**
 * Records of `T` in no particular distribution over subtasks. `C` says whether rows are only added or also taken back; operators
 * pass it on, so `map` and `filter` are written on values and work on both. On a stream with retractions their functions must be
 * deterministic: a retraction passes through them again, and must become what its row became.
 */
export interface DataStream<out T, out C extends ChangeKind = 'insert'> {
  readonly [brand]: { readonly stream: T; readonly changes: C }

  /** A function that returns a promise is refused at run time (`ASYNC_FUNCTION`). */
  map<R>(f: (value: T) => R, options?: StatelessOptions): DataStream<R, C>
  /** A type guard, also one inferred from the lambda, narrows the stream. `f` only looks: it must not change the value. */
  filter<S extends T>(f: (value: T) => value is S, options?: StatelessOptions): DataStream<S, C>
  filter(f: (value: T) => boolean, options?: StatelessOptions): DataStream<T, C>
  /** What `f` returns is iterated as the outputs have room: it may be without bound, a generator for instance. */
  flatMap<R>(f: (value: T) => Iterable<R>, options?: StatelessOptions): DataStream<R, C>
  /** Records of all in one stream; no order between them; the watermark is the minimum. */
  union<U, D extends ChangeKind>(
    other: DataStream<U, D>,
    ...more: DataStream<U, D>[]
  ): DataStream<T | U, C | D>

  /** Records of one key meet in one subtask. Deterministic; no clock, no random number. */
  keyBy<K extends Key>(select: (value: T) => K): KeyedStream<K, T, C>
  /** A window over all keys: one subtask does the work. */
  windowAll<W extends Window, A extends Accumulation = 'discarding'>(
    window: WindowFunction<T, W>,
    options?: WindowOptions<T, A>,
  ): WindowedStream<null, T, W, C | RetractionsOf<A>>

  /** How records get to the next operator. Default: forward where parallelism is equal, else rebalance. */
  forward(): DataStream<T, C>
  /** One to each subtask of the next operator in turn; where rows may be taken back, equal rows to the same subtask. */
  rebalance(): DataStream<T, C>
  /** Every record to every subtask of the next operator. As a named input of `process`: broadcast state. */
  broadcast(): BroadcastStream<T, C>
  /** `subtask` returns an index from 0 to `count - 1`; anything else fails with `PARTITION_OUT_OF_RANGE`. */
  partition(subtask: (value: T, count: number) => number): DataStream<T, C>

  /** One record at a time with side outputs and operator lifecycle, no keyed state. */
  process<E = never, const O extends Sides = {}>(
    this: DataStream<T, 'insert'>,
    uid: string,
    spec: { readonly emits?: Schema<E>; readonly side?: O } & OperatorOptions,
    open: (context: ProcessContext<E, SideTypes<O>>) => RecordHandler<T>,
  ): MultiStream<E, SideTypes<O>>

  /**
   * From here on every aggregate keeps its result up to date by changes: it takes back the result it gave before, then gives the new
   * one. All rows of this stream are still inserts.
   *
   * @example
   * views.asTable().keyBy((view) => view.user).count('per-user').keyBy((row) => row.value).count('users-per-count')
   */
  asTable(): DataStream<T, ChangeKind>
  /**
   * The changes themselves as records, for a process function or a log of changes. Behind an aggregate, with at most maps and filters
   * between, a result and the one it replaces are one `'update'`.
   */
  changes(): DataStream<Change<T>, 'insert'>

  /** Ends a stream. A sink that only appends does not accept a stream that takes rows back. */
  to(uid: string, sink: Sink<T, C>, options?: OperatorOptions): void
}

/** A stream whose every record goes to every subtask. */
export interface BroadcastStream<out T, out C extends ChangeKind = 'insert'> extends DataStream<
  T,
  C
> {
  readonly distribution: 'broadcast'
}

/** A stream with further, named outputs. Reading `side.x` adds the edge; an unread output costs nothing. */
export interface MultiStream<
  out T,
  out S extends object,
  out C extends ChangeKind = 'insert',
> extends DataStream<T, C> {
  readonly side: { readonly [N in keyof S]: DataStream<S[N]> }
}

/** What aggregates emit. */
export interface KeyedResult<out K, out R> {
  readonly key: K
  readonly value: R
}

/**
 * Records of `T` brought together by a key of type `K`. Offers only what needs a key.
 * Aggregates without a window emit the new result for every record, and keep state for every key they have seen. Where rows may be
 * taken back they take back the former result first, and forget a key that has no rows left.
 */
export interface KeyedStream<in out K extends Key, out T, out C extends ChangeKind = 'insert'> {
  readonly [brand]: { readonly key: (key: K) => K; readonly stream: T; readonly changes: C }

  count(uid: string, options?: OperatorOptions): DataStream<KeyedResult<K, number>, C>
  sum(
    uid: string,
    select: (value: T) => number,
    options?: OperatorOptions,
  ): DataStream<KeyedResult<K, number>, C>
  /** `f` must be associative and must not change its arguments. */
  reduce(
    uid: string,
    f: (left: T, right: T) => T,
    options?: OperatorOptions,
  ): DataStream<KeyedResult<K, T>, C>
  aggregate<R>(
    uid: string,
    aggregator: Aggregator<T, any, R>,
    options?: OperatorOptions,
  ): DataStream<KeyedResult<K, R>, C>

  /**
   * What, where, when and how in one call: the aggregate that follows says what is computed, `window` where in event time,
   * `options` when its panes are sent and how they relate. Without options: one pane, when the watermark passes the end.
   *
   * @example
   * .window(tumbling({ size: '1h' }), {
   *   trigger: afterWatermark({ early: every('1min') }),
   *   allowedLateness: '1d',
   *   accumulation: 'retracting',
   * })
   */
  window<W extends Window, A extends Accumulation = 'discarding'>(
    window: WindowFunction<T, W>,
    options?: WindowOptions<T, A>,
  ): WindowedStream<K, T, W, C | RetractionsOf<A>>

  /**
   * Keyed state, timers, side outputs and further inputs. `spec` declares, `open` runs once per subtask and
   * returns the handlers; what it closes over lives as long as the subtask and is not part of a checkpoint.
   */
  process<
    E = never,
    const S extends States = {},
    const O extends Sides = {},
    const I extends Inputs<K> = {},
    const B extends States = {},
  >(
    this: KeyedStream<K, T, 'insert'>,
    uid: string,
    spec: KeyedProcessSpec<E, S, O, I, B>,
    open: (context: KeyedProcessContext<K, E, S, SideTypes<O>, B>) => KeyedHandlers<K, T, I, B>,
  ): MultiStream<E, SideTypes<O>>

  /**
   * Joins for ever, as tables are joined in SQL: every row of one side meets every row of the other with the same key. Both sides are
   * kept as state, without bound in time. An inner join of rows that are only added only adds; an outer one takes the row without
   * partner back when a partner comes. A joined row has the later time of the two, which the watermark may have passed: windows
   * behind a join want `allowedLateness`. `f` must give the same for the same rows: it is called again when they are taken back.
   *
   * @example
   * orders.keyBy((order) => order.userId)
   *   .join('named', users.asTable().keyBy((user) => user.id), { kind: 'left' }, (order, user) => ({ ...order, name: user?.name }))
   */
  join<U, D extends ChangeKind, R, const J extends JoinKind = 'inner'>(
    uid: string,
    other: KeyedStream<K, U, D>,
    options: { readonly kind?: J } & OperatorOptions,
    f: (left: LeftOf<J, T>, right: RightOf<J, U>, key: K) => R,
  ): DataStream<R, C | D | (J extends 'inner' ? never : 'retract')>
}

/** The left row of a join: undefined where a right row stands alone. */
export type LeftOf<J extends JoinKind, T> = J extends 'right' | 'full' ? T | undefined : T

/** The right row of a join: undefined where a left row stands alone. */
export type RightOf<J extends JoinKind, U> = J extends 'left' | 'full' ? U | undefined : U

/** What aggregates over windows emit. */
export interface WindowResult<out K, out W, out R> extends KeyedResult<K, R>, PaneOf<K, W> {}

/**
 * Records by key and window. `side.late` has the records that came after their windows were freed; unread, they are counted
 * and dropped. `K` is `null` for `windowAll`.
 */
export interface WindowedStream<
  in out K extends Key | null,
  out T,
  out W extends Window,
  out C extends ChangeKind = 'insert',
> {
  readonly [brand]: {
    readonly key: (key: K) => K
    readonly stream: T
    readonly window: W
    readonly changes: C
  }

  count(
    uid: string,
    options?: OperatorOptions,
  ): MultiStream<WindowResult<K, W, number>, { late: T }, C>
  sum(
    uid: string,
    select: (value: T) => number,
    options?: OperatorOptions,
  ): MultiStream<WindowResult<K, W, number>, { late: T }, C>
  /** `f` must be associative and must not change its arguments. */
  reduce(
    uid: string,
    f: (left: T, right: T) => T,
    options?: OperatorOptions,
  ): MultiStream<WindowResult<K, W, T>, { late: T }, C>
  aggregate<R>(
    uid: string,
    aggregator: Aggregator<T, any, R>,
    options?: OperatorOptions,
  ): MultiStream<WindowResult<K, W, R>, { late: T }, C>
  /** All rows of a pane at once: state grows with the window. Prefer `aggregate`. */
  process<E, const O extends Sides = {}>(
    this: WindowedStream<K, T, W, 'insert'>,
    uid: string,
    spec: { readonly emits: Schema<E>; readonly side?: O } & OperatorOptions,
    open: (context: ProcessContext<E, SideTypes<O>>) => PaneHandler<K, T, W>,
  ): MultiStream<E, SideTypes<O> & { late: T }>
}

/** Handlers of a window function over all rows. */
export interface PaneHandler<K, T, W> {
  onPane(rows: Iterable<T>, at: PaneOf<K, W>): void
  close?(): void
}

/** Declared side outputs, by name. */
export type Sides = { readonly [name: string]: Schema<any> }

/** The record types of declared side outputs. */
export type SideTypes<O extends Sides> = {
  readonly [N in keyof O]: O[N] extends Schema<infer T> ? T : never
}

/** Further inputs of a keyed operator: streams of the same key type, or broadcast streams. */
export type Inputs<K extends Key> = {
  readonly [name: string]: KeyedStream<K, any> | BroadcastStream<any>
}

/** What a keyed process function declares before it runs. */
export interface KeyedProcessSpec<
  E,
  S extends States,
  O extends Sides,
  I,
  B extends States,
> extends OperatorOptions {
  /** What `emit` takes. Left out: nothing is emitted. */
  readonly emits?: Schema<E>
  readonly state?: S
  readonly side?: O
  readonly inputs?: I
  /** Equal in every subtask; written only while a broadcast record is handled. Kept in memory. */
  readonly broadcastState?: B
}

/** Handlers of a keyed subtask; the key at hand is that of the record or timer. */
export interface KeyedHandlers<K extends Key, T, I, B extends States> extends RecordHandler<T> {
  onTimer?(timer: Timer): void
  /** One handler per further input. */
  readonly inputs?: {
    readonly [N in keyof I]: I[N] extends BroadcastStream<infer U>
      ? (value: U, broadcast: BroadcastAccess<B>) => void
      : I[N] extends KeyedStream<K, infer U>
        ? (value: U, info: RecordInfo) => void
        : never
  }
}
