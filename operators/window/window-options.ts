/** What a window that fires more than once is told: types for the job, and the same checked and with defaults for the operator. */
import type { Trigger } from '../../src/contract/trigger.ts'
import type { Window, WindowFunction } from '../../src/contract/window.ts'
import type { Duration } from '../../src/core/duration.ts'
import { ms } from '../../src/core/duration.ts'
import { EngineError } from '../../src/core/errors.ts'
import { checkChoice, checkOptionNames } from '../../src/core/options.ts'
import { afterWatermark } from './triggers/after-watermark.ts'
import { inSequence } from './triggers/in-sequence.ts'
import { repeated } from './triggers/repeated.ts'

/**
 * What a later pane of a window holds: the new rows only; all rows; or all rows, after a retraction of the pane before (of all panes
 * before, where windows have merged).
 */
export type Accumulation = 'discarding' | 'accumulating' | 'retracting'

/** What an accumulation brings into a stream's change kinds. */
export type RetractionsOf<A extends Accumulation> = A extends 'retracting' ? 'retract' : never

/** A window that can fire more than once must say how its panes relate: `accumulation` has no default then. */
export type WindowOptions<T, A extends Accumulation> = OnePane | ManyPanes<T, A>

/** The default: one pane, when the watermark passes the end. */
export interface OnePane {
  readonly trigger?: undefined
  readonly allowedLateness?: undefined
  readonly accumulation?: undefined
  readonly onTimePane?: undefined
  readonly closingPane?: undefined
  readonly timestamp?: undefined
}

/** Early or late panes: see `Accumulation`. */
export interface ManyPanes<in T, out A extends Accumulation> {
  /**
   * When panes are sent. Default: when the watermark passes the end, and once more for each late record. A trigger that has finished
   * leaves the window to this default. What no firing has sent is sent when the window is freed.
   */
  readonly trigger?: Trigger<T>
  /**
   * Event time after the end for which a window stays open: it is freed when the watermark passes `endMs - 1` plus this. A record is
   * late, counted and sent to `side.late` when all its windows, merged with those they join, are freed. Default `'0s'`.
   */
  readonly allowedLateness?: Duration
  readonly accumulation: A
  /** Whether a pane without new rows, or with an unchanged result, is sent at the end of the window. Default `'if-changed'`. */
  readonly onTimePane?: 'always' | 'if-changed'
  /**
   * The same for the pane when the window is freed, the only one that says `isLast`. `'always'` tells consumers that a window is
   * over, if need be with an empty pane. Default `'if-changed'`.
   */
  readonly closingPane?: 'always' | 'if-changed'
  /**
   * The timestamp of results: `endMs - 1` (`'end'`, the default), or that of the newest or oldest record of the pane. The watermark
   * behind the window stays below the timestamps of what is still to be sent: `'earliest'` holds it back for a whole window.
   * Records that come behind that watermark have no say; a pane of only such records has the timestamp `endMs - 1`.
   */
  readonly timestamp?: 'end' | 'latest' | 'earliest'
}

/** The options as the operator takes them. */
export interface PaneOptions<T> {
  /** Never finishes. */
  readonly trigger: Trigger<T>
  /** As the job gave it; for plans. */
  readonly triggerName: string
  /** What the trigger's state is made of, apart from that of the default; for savepoints. */
  readonly shape: string
  readonly latenessMs: number
  readonly accumulation: Accumulation
  readonly onTimePane: 'always' | 'if-changed'
  readonly closingPane: 'always' | 'if-changed'
  readonly timestamp: 'end' | 'latest' | 'earliest'
}

/** What is known of `where` beside its type. */
const known = {
  trigger: true,
  allowedLateness: true,
  accumulation: true,
  onTimePane: true,
  closingPane: true,
  timestamp: true,
} as const

/** Undefined: one pane, when the watermark passes the end. Throws `OPTION_INVALID`. */
export function paneOptions<T>(
  windows: WindowFunction<T, Window>,
  options: WindowOptions<T, Accumulation> = {},
): PaneOptions<T> | undefined {
  checkOptionNames(options, known, 'a window')
  if (Object.values(options).every((value) => value === undefined)) return undefined
  if (options.accumulation === undefined) {
    throw new EngineError(
      'OPTION_INVALID',
      `The window '${windows.name}' may fire more than once; say with accumulation what its later panes hold: 'discarding', 'accumulating' or 'retracting'`,
    )
  }
  const { trigger, allowedLateness, accumulation } = options
  const { onTimePane = 'if-changed', closingPane = 'if-changed', timestamp = 'end' } = options
  checkChoice(accumulation, ['discarding', 'accumulating', 'retracting'], 'accumulation')
  checkChoice(onTimePane, ['always', 'if-changed'], 'onTimePane')
  checkChoice(closingPane, ['always', 'if-changed'], 'closingPane')
  checkChoice(timestamp, ['end', 'latest', 'earliest'], 'timestamp')
  const latenessMs = allowedLateness === undefined ? 0 : ms(allowedLateness)
  if (latenessMs < 0) {
    throw new EngineError(
      'OPTION_INVALID',
      `allowedLateness must not be negative, but is '${String(allowedLateness)}'`,
    )
  }
  if (windows.clock === 'processing' && (latenessMs > 0 || timestamp !== 'end')) {
    throw new EngineError(
      'OPTION_INVALID',
      `The window '${windows.name}' goes by processing time, in which nothing is late and results belong to the end of the window; leave out ${latenessMs > 0 ? 'allowedLateness' : 'timestamp'}`,
    )
  }
  const byDefault = repeated<T>(afterWatermark())
  return {
    trigger: trigger === undefined ? byDefault : inSequence(trigger, byDefault),
    triggerName: trigger === undefined ? 'afterWatermark()' : trigger.name,
    shape: trigger === undefined ? 'default' : trigger.shape,
    latenessMs,
    accumulation,
    onTimePane,
    closingPane,
    timestamp,
  }
}

/** A window without options, of whose rows some may be taken back before it ends. */
export function onePane<T>(): PaneOptions<T> {
  return {
    trigger: repeated<T>(afterWatermark()),
    triggerName: 'afterWatermark()',
    shape: 'default',
    latenessMs: 0,
    accumulation: 'accumulating',
    onTimePane: 'if-changed',
    closingPane: 'if-changed',
    timestamp: 'end',
  }
}
