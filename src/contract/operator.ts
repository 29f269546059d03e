/**
 * The contract between the engine and an operator.
 *
 * An operator is written once and knows neither threads, nor clocks, nor where its state lives. A *description* is part of the
 * job graph: data and functions, the same in every thread. Its `open` makes the *instance* of one subtask.
 *
 * What an instance may rely on
 *  - Its methods are called on one thread, one at a time, in the order of its input.
 *  - Before `process` and `onTimer`, `context.time` and (for keyed operators) the key at hand are set.
 *  - `context.time` tells of a retraction only within `process`, and only where the description has `takesRetractions`.
 *  - Between two calls the engine may take a snapshot: what matters after a restart is in declared state, timers or `snapshot`.
 *  - After a throw the instance is closed and never called again; the restart strategy decides what happens to the job.
 * What it must not do
 *  - Wait, block, or keep a promise per record. Work that takes time is started here and ended by `context.mailbox`.
 *  - Read a clock, a random number, a file: what it needs comes in through the context (connectors excepted).
 *  - Emit without bound in one call. What may do so stops when `context.gate.isClosed` and goes on in `resume`.
 */
import type { AnyKey } from '../core/key.ts'
import type { Logger } from '../core/log.ts'
import type { Metrics } from '../core/metrics.ts'
import type { Clock, RecordTime } from '../core/time.ts'
import type { CellState, KeyedCells, SliceCells } from './state-backend.ts'
import type { TimerIndex } from './state-backend.ts'

/** An operator as it stands in the job graph. */
export interface OperatorDescription {
  /** The operator's kind in plans, messages and metrics: `'map'`, `'window'`. */
  readonly type: string
  /** How many inputs it tells apart. A union of streams is one input. */
  readonly inputCount: number
  /** Whether every input is partitioned by key, except those of `broadcastInputs`. */
  readonly isKeyed: boolean
  /** Inputs, by index, that every subtask gets whole. */
  readonly broadcastInputs?: readonly number[]
  /** Names of its side outputs. */
  readonly sides?: readonly string[]
  /** Keyed state, known before the job runs: a savepoint is checked against it and the plan shows it. */
  readonly states?: readonly CellState[]
  /**
   * How non-keyed items are dealt out after a restore: one by one over the subtasks (`'split'`, the default), all items of a former
   * subtask in order to one subtask (`'by-subtask'`), or all items to every subtask (`'union'`).
   */
  readonly itemsRestore?: ItemsRestore
  /**
   * Whose an emitted value is. `'engine'`: nobody else's from then on. `'user'`: a user function may keep what it returned and change
   * it later, so it is copied before it waits in a queue. `'input'`: what came in is handed on, unchanged.
   */
  readonly emits: 'engine' | 'user' | 'input'
  /**
   * Whether its state keeps values of records beyond the call (an aggregate of rows, say). Their strings are then read from a
   * frame one by one, so that no kept string pins its whole frame in memory.
   */
  readonly keepsValues?: boolean
  /** User functions, in a fixed order: compared between threads by their source text, and called by `fused`. */
  readonly functions?: readonly UserFunction[]
  /** The operator as source text, for chains that are compiled into one function. Must do what the instance does. */
  readonly fused?: FusedOperator
  /**
   * Whether it hands watermarks on itself, with `context.emitWatermark`, because records it has taken may still be under way
   * (asynchronous requests). Otherwise the engine does, after `onWatermark`.
   */
  readonly holdsWatermarks?: boolean
  /**
   * Whether it understands records that take a row back (`RecordTime.isRetraction`). Default false: a job that feeds it a stream which
   * may have some is refused when it is built.
   */
  readonly takesRetractions?: boolean
  /** Whether its main output may have some: `true`, or `'passed'`, where its input may. Default false. */
  readonly emitsRetractions?: boolean | 'passed'
  /** How it is cut in two around the exchange that feeds it, if it can be. */
  readonly preAggregation?: PreAggregation
  /** What of the operator's options must be equal in every thread and is shown in plans. */
  readonly details?: Readonly<Record<string, string | number | boolean>>
  /** Runs once per subtask, before its first record. May be asynchronous: the job starts when all are open. */
  open(context: OperatorContext): OperatorInstance | Promise<OperatorInstance>
}

/**
 * An operator with one keyed input that can be cut in two around its exchange: what comes before gathers values per key and emits
 * partial results, what comes behind merges those. Only where merging in any grouping gives exactly the same result and the
 * watermark alone decides what is emitted.
 */
export interface PreAggregation {
  /** The part before the exchange. `select` gives the key of a value. It holds nothing over a snapshot. */
  before(select: (value: unknown) => unknown): OperatorDescription
  /** The part behind it: states, sides and results of the whole operator, so that either restores what the other left. */
  readonly behind: OperatorDescription
  /** The key of a partial result. */
  readonly select: (partial: unknown) => unknown
  /** Side outputs that carry values as they came in: where one of them is read, the operator is left whole. */
  readonly wholeSides: readonly string[]
}

/** See `OperatorDescription.itemsRestore`. */
export type ItemsRestore = 'split' | 'by-subtask' | 'union'

/** A function of the job's author, called as it is given, never re-parsed. */
export type UserFunction = (...args: never[]) => unknown

/** A stateless operator as source text. */
export interface FusedOperator {
  /**
   * Statements that handle the record `value`. `names` are the names of the description's `functions` in the text;
   * `emit(expression)` is the text that hands a value on; it may stand once only.
   */
  source(names: readonly string[], emit: (expression: string) => string): string
  /** Functions of the operator's own that the text calls, by the names it calls them. */
  readonly bindings?: Readonly<Record<string, unknown>>
}

/** Where records go. The record's timestamp and kind are those of `context.time`. */
export interface Output {
  emit(value: unknown): void
}

/** Closed while some output of the subtask has no room. Emitting is still allowed then; feeding the chain is not. */
export interface Gate {
  readonly isClosed: boolean
}

/** Actions of the outside world (a request that ended, a file that was written), run on the subtask's thread between records. */
export interface Mailbox {
  /** May be called from any callback. An action that throws fails the subtask. */
  submit(action: () => void): void
}

/** What `open` is given. */
export interface OperatorContext {
  readonly jobName: string
  readonly operatorUid: string
  readonly subtaskIndex: number
  readonly parallelism: number
  readonly maxParallelism: number
  /** The main output. */
  readonly output: Output
  /** A side output by name. Emitting to one that nobody reads costs nothing. */
  side(name: string): Output
  readonly time: RecordTime
  readonly gate: Gate
  readonly mailbox: Mailbox
  /** The combined watermark of the inputs, as far as the operator has been told. `-Infinity` before the first. */
  watermarkMs(): number
  /** Only for operators that hold watermarks: nothing not later than `watermarkMs` will be emitted any more. */
  emitWatermark(watermarkMs: number): void
  /** Processing time, the engine's clock: the only one that replays. */
  readonly clock: Clock
  /** Keyed operators only; `STATE_NO_KEY` for others. */
  readonly keyed: KeyedContext
  /** `onWake` is called once processing time has reached `processingTimeMs`. The latest call counts. */
  wakeAt(processingTimeMs: number): void
  readonly metrics: Metrics
  readonly logger: Logger
  /** Aborted when the subtask is cancelled or stopped. */
  readonly signal: AbortSignal
  /** The items of `snapshot` that fall to this subtask after a restore; empty on a first start. */
  readonly restoredItems: readonly unknown[]
}

/** Keyed state of one subtask, with the key at hand. Handles for users are built of it in src/state. */
export interface KeyedContext {
  /** The key at hand; throws `STATE_NO_KEY` where there is none: while opening, at the end, in callbacks. */
  key(): AnyKey
  cells<V>(state: string): KeyedCells<V>
  slices<V>(state: string): SliceCells<V>
  timers(state: string): TimerIndex
}

/**
 * A state of this name, with layout `'timers'`, is polled by the engine: entries that the watermark has passed arrive at `onTimer`,
 * each right after the record that set it or before the watermark is handed on.
 */
export const EVENT_TIMERS = '#event-timers'

/** The same for processing time. */
export const PROCESSING_TIMERS = '#processing-timers'

/** A timer that came due. Event-time timers of a subtask come in the order of their time. */
export interface Timer {
  readonly clock: 'event' | 'processing'
  readonly timestampMs: number
}

/**
 * One subtask of an operator. Methods that answer a boolean are resumable: `false` means stopped because the gate closed;
 * the engine calls `resume` when there is room again, until it answers `true`, and feeds nothing in between.
 */
export interface OperatorInstance {
  /** A record of input `input`. Always finishes its own record; see `resume` for what it may leave behind. */
  process(value: unknown, input: number): void
  /**
   * The combined watermark rose to `watermarkMs`. Called after the timers up to it have fired and before it is handed on.
   */
  onWatermark?(watermarkMs: number): boolean
  /**
   * An entry of the timer index of the key at hand came due; it may be a double or out of date (`TimerIndex`). `context.time` is
   * its time for event time; for processing time it is the watermark, or the clock where there is none.
   */
  onTimer?(timer: Timer): void
  /** Processing time reached what `wakeAt` asked for. */
  onWake?(nowMs: number): boolean
  /** All subtasks of the region are open, and so is everything that a restore had to finish; records are about to come. */
  onStart?(): void
  /** Goes on with what was left behind when the gate closed. */
  resume?(): boolean
  /** All inputs have ended; the last watermark has been handled. */
  onEnd?(): boolean
  /**
   * Before a snapshot, and before those that follow are told that no records come for a while: hand on what is held back
   * (partial aggregates).
   */
  handOn?(): boolean
  /**
   * At the barrier: what is not keyed state. `items` are in the value model and may be changed afterwards; `durable` settles
   * when what the snapshot refers to outside (files, sent records) would survive a crash. A rejection aborts the checkpoint.
   */
  snapshot?(checkpoint: SnapshotPoint): OperatorSnapshot
  /** Checkpoint `checkpointId` is complete: commit what it covers. Not called for savepoints that the job outlives. */
  onCheckpointComplete?(checkpointId: number): void
  /** Whether nothing is left to commit; asked before a subtask that has ended may go. Default: true. */
  isCommitted?(): boolean
  /** Whether it takes records now. While false the engine feeds nothing to its chain; `mailbox` wakes it. Default: true. */
  hasRoom?(): boolean
  /** May be called twice. Waits for what is under way. */
  close?(): void | Promise<void>
}

/** Which snapshot is taken. */
export interface SnapshotPoint {
  readonly checkpointId: number
  readonly kind: 'checkpoint' | 'savepoint'
}

/** The non-keyed part of an operator's snapshot. */
export interface OperatorSnapshot {
  readonly items: readonly unknown[]
  readonly durable?: Promise<void>
  /** Whether items are completed until `durable` settles; then they are taken as they are after it. */
  readonly isCompletedLater?: boolean
}
