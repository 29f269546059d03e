/** Where in time a record belongs. */
import type { AnyKey } from '../core/key.ts'

/** From `startMs` to just before `endMs`. */
export interface TimeWindow {
  readonly startMs: number
  /** Exclusive. */
  readonly endMs: number
}

/** A window ends; until the watermark passes `endMs` its state is kept. */
export type Window = TimeWindow

/**
 * Where in event time a record belongs. Pure: the same for the same arguments, on any machine, at any time.
 *
 * @example
 * // quarters of an hour that begin at a full hour of the record's own clock
 * const quarters: WindowFunction<Reading, TimeWindow> = {
 *   name: 'quarters',
 *   assign({ offsetMs }, timestampMs) {
 *     const startMs = Math.floor((timestampMs + offsetMs) / 900_000) * 900_000 - offsetMs
 *     return [{ startMs, endMs: startMs + 900_000 }]
 *   },
 * }
 */
export interface WindowFunction<in T, out W extends Window> {
  /** As plans show it: `tumbling 10s`. */
  readonly name: string
  /**
   * The windows of a record, called once for each. Those that the record is in need not hold its timestamp. None at all is allowed:
   * such a record goes where late ones go. `key` is null for `windowAll`.
   */
  assign(value: T, timestampMs: number, key: AnyKey): readonly W[]
  /**
   * If there, windows are of each key's own. Given all windows of a key that are open, no two alike, ordered by start and then by
   * end, whenever a record brought a new one; says which become which. What is not named stays. A window may be named alone, to
   * make it longer or shorter.
   */
  merge?(windows: readonly Window[]): readonly WindowMerge[]
  /** Default `'event'`. Processing-time windows cannot be replayed to equal results; the plan says so. */
  readonly clock?: 'event' | 'processing'
  /**
   * Says that windows of `sizeMs` begin every `everyMs`, aligned to 1970 plus `offsetMs`, whatever the record. The engine
   * then keeps one partial result for a piece of time instead of one per window.
   */
  readonly aligned?: AlignedWindows
  /**
   * Says that `merge` joins windows that overlap (`'strictly'`), or overlap or touch (`'touching'`), and nothing else. The engine
   * then need not call it for each record.
   */
  readonly mergesOverlapping?: 'strictly' | 'touching'
  /** Says that `assign` gives exactly one window for each value. */
  readonly assignsOne?: boolean
}

/** Windows that become one: all they hold is in `into`, and nothing is lost. */
export interface WindowMerge {
  readonly merged: readonly Window[]
  readonly into: Window
}

/** Windows that are the same for every key. */
export interface AlignedWindows {
  readonly sizeMs: number
  readonly everyMs: number
  readonly offsetMs: number
}

/** Which firing of a window this is. */
export interface Pane {
  readonly timing: 'early' | 'on-time' | 'late'
  /** From 0, over all panes of the window; `onTimeIndex` from 0 at the on-time pane, -1 before. */
  readonly index: number
  readonly onTimeIndex: number
  readonly isFirst: boolean
  readonly isLast: boolean
}

/** Whose pane it is. */
export interface PaneOf<out K, out W> {
  readonly key: K
  readonly window: W
  readonly pane: Pane
}
