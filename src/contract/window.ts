/** Where in time a record belongs. */

/** From `startMs` to just before `endMs`. */
export interface TimeWindow {
  readonly startMs: number
  /** Exclusive. */
  readonly endMs: number
}

/** A window ends; until the watermark passes `endMs` its state is kept. */
export type Window = TimeWindow

/**
 * Where in event time a record belongs. `assign` is called once per record; `merge`, if there, makes windows
 * per key and is given all windows of a key, ordered by start, after each new one. Pure.
 */
export interface WindowFunction<in T, out W extends Window> {
  /** As plans show it: `tumbling 10s`. */
  readonly name: string
  assign(value: T, timestampMs: number): readonly W[]
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

/** Windows that overlap or touch and become one. */
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
