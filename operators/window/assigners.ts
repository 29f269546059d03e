/** The window functions of the engine: pure, and written to the contract that users' own are written to. */
import type { TimeWindow, Window, WindowFunction, WindowMerge } from '../../src/contract/window.ts'
import { EngineError } from '../../src/core/errors.ts'
import type { Duration } from '../../src/core/duration.ts'
import { formatMs, ms, positiveMs } from '../../src/core/duration.ts'

/**
 * Event time or processing time. Default `'event'`. In processing time windows end by the machine's clock; those that are open when
 * the input ends do not fire, since their time has not come.
 */
export interface ClockOption {
  readonly clock?: 'event' | 'processing'
}

/**
 * Windows of `size` side by side, aligned to 1970 plus `offset`.
 *
 * @example
 * stream.keyBy((view) => view.page).window(tumbling({ size: '1min' })).count('views-per-page')
 */
export function tumbling(
  options: { readonly size: Duration; readonly offset?: Duration } & ClockOption,
): WindowFunction<unknown, TimeWindow> {
  const sizeMs = positiveMs(options.size, 'size of tumbling windows')
  return aligned(`tumbling ${formatMs(sizeMs)}`, sizeMs, sizeMs, options)
}

/** A window of `size` every `every`. One partial result is kept for a piece of time, not per window. */
export function sliding(
  options: {
    readonly size: Duration
    readonly every: Duration
    readonly offset?: Duration
  } & ClockOption,
): WindowFunction<unknown, TimeWindow> {
  const sizeMs = positiveMs(options.size, 'size of sliding windows')
  const everyMs = positiveMs(options.every, 'every of sliding windows')
  return aligned(`sliding ${formatMs(sizeMs)} every ${formatMs(everyMs)}`, sizeMs, everyMs, options)
}

/**
 * Ends `gap` after its last record. Sessions that only touch become one, as in Flink; `touching: 'apart'` keeps them
 * apart, as Beam does.
 */
export function session<T = unknown>(
  options: {
    readonly gap: Duration | ((value: T) => Duration)
    readonly touching?: 'merge' | 'apart'
  } & ClockOption,
): WindowFunction<T, TimeWindow> {
  const { gap, touching = 'merge' } = options
  const gapOf =
    typeof gap === 'function'
      ? (value: T) => positiveMs(gap(value), 'gap of a session')
      : constant(positiveMs(gap, 'gap of sessions'))
  const name = typeof gap === 'function' ? 'session gap per record' : `session ${formatMs(ms(gap))}`
  return {
    name: touching === 'apart' ? `${name} apart` : name,
    clock: options.clock ?? 'event',
    mergesOverlapping: touching === 'apart' ? 'strictly' : 'touching',
    assignsOne: true,
    assign(value, timestampMs) {
      return [{ startMs: timestampMs, endMs: timestampMs + gapOf(value) }]
    },
    merge: (windows) => mergeOverlapping(windows, touching === 'merge'),
  }
}

/** Joins windows, ordered by start, that overlap (or, if `touching`, only touch). Pure; the paper's MergeWindows for sessions. */
export function mergeOverlapping(windows: readonly Window[], touching: boolean): WindowMerge[] {
  const merges: WindowMerge[] = []
  let group: Window[] = []
  let startMs = 0
  let endMs = 0
  const finish = (): void => {
    if (group.length > 1) merges.push({ merged: group, into: { startMs, endMs } })
  }
  for (const window of windows) {
    const joins = group.length > 0 && (touching ? window.startMs <= endMs : window.startMs < endMs)
    if (joins) {
      group.push(window)
      endMs = Math.max(endMs, window.endMs)
    } else {
      finish()
      group = [window]
      startMs = window.startMs
      endMs = window.endMs
    }
  }
  finish()
  return merges
}

function aligned(
  name: string,
  sizeMs: number,
  everyMs: number,
  options: { readonly offset?: Duration } & ClockOption,
): WindowFunction<unknown, TimeWindow> {
  const offsetMs = options.offset === undefined ? 0 : ms(options.offset)
  if (everyMs > sizeMs) {
    throw new EngineError(
      'OPTION_INVALID',
      `Windows of ${formatMs(sizeMs)} every ${formatMs(everyMs)} leave gaps in which records would be lost; make size at least every`,
    )
  }
  return {
    name: offsetMs === 0 ? name : `${name} offset ${formatMs(offsetMs)}`,
    clock: options.clock ?? 'event',
    aligned: { sizeMs, everyMs, offsetMs },
    assign(_value, timestampMs) {
      const windows: TimeWindow[] = []
      const lastStart = Math.floor((timestampMs - offsetMs) / everyMs) * everyMs + offsetMs
      for (let startMs = lastStart; startMs > timestampMs - sizeMs; startMs -= everyMs) {
        windows.push({ startMs, endMs: startMs + sizeMs })
      }
      return windows.reverse()
    },
  }
}

function constant(value: number): () => number {
  return () => value
}
