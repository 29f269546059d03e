/**
 * When a window sends a pane: a small state machine per key and window.
 *
 * Its state is plain data (docs/values.md) and lies with the window: restored with it, merged when windows merge, freed with it. All
 * methods are pure but for their first argument, which they may change and return.
 *
 * How a window is driven
 *  - For each record, also one that takes a row back: `onRecord`. Where the record made windows one, or the window longer: `merge` before it.
 *  - After each record and each time that was asked for: `isReady`; if so `onFire`, and the pane is sent (an empty one only
 *    where the options of the window say so).
 *  - Then it is asked when it may become ready without a record, on either clock.
 *  - A finished one is never ready again. The window then goes on by the default: it fires when the watermark passes its end,
 *    and for each late record.
 */
import type { UserFunction } from './operator.ts'
import type { Window } from './window.ts'

/** What a trigger sees of time. Reused: not to be kept. */
export interface TriggerTime {
  /** The window as it is now. */
  readonly window: Window
  /** For windows in processing time: the last millisecond that is over. */
  readonly watermarkMs: number
  /** The watermark of that part of the records that the trigger's `percentile` says; not below `watermarkMs`. */
  readonly percentileMs: number
  /** Processing time. A time has passed once the clock is beyond it, so that whatever arrives at that time counts. */
  readonly nowMs: number
}

/** A trigger. `S` is its state; see the file's header for who calls what when. */
export interface Trigger<in T = unknown, in out S = any> {
  /** As plans show it: `every(1min)`. */
  readonly name: string
  /** What its state is made of: triggers with equal shapes can go on with each other's state after a redeploy. */
  readonly shape: string
  /** User functions in it. */
  readonly functions: readonly UserFunction[]
  /** Which part of the records its watermark is to wait for; undefined: all. All of a composite are the same. */
  readonly percentile: number | undefined
  /** Whether it goes by processing time: a replay may divide its panes differently. */
  readonly isTimed: boolean
  /** Whether, when the watermark passes the end, it fires if there is anything new. If not, what was in time may wait longer. */
  readonly firesAtEnd: boolean
  /** The state before the first record. */
  create(): S
  onRecord(state: S, value: T, at: TriggerTime): S
  /** The state of a window that several became, or one that has grown; at least one. */
  merge(states: readonly [S, ...S[]], at: TriggerTime): S
  isReady(state: S, at: TriggerTime): boolean
  /** The window fires because this was ready. */
  onFire(state: S, at: TriggerTime): S
  isFinished(state: S): boolean
  /** The watermark, of all records or of a part, at which it may become ready; Infinity if none. */
  nextWatermarkMs(state: S, at: TriggerTime): number
  /** The processing time at which it may become ready; Infinity if none. */
  nextWakeMs(state: S, at: TriggerTime): number
}
