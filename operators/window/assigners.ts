/**
 * Windows of a fixed length, and the one window that has it all. Pure, and written to the contract that users' own window
 * functions are written to; sessions and calendar units have files of their own.
 */
import type { TimeWindow, WindowFunction } from '../../src/contract/window.ts'
import type { Duration } from '../../src/core/duration.ts'
import { formatMs, ms, positiveMs } from '../../src/core/duration.ts'
import { fmix32, hashKey } from '../../src/core/key-hash.ts'
import type { AnyKey } from '../../src/core/key.ts'

/**
 * Event time or processing time. Default `'event'`. In processing time windows end by the machine's clock; those that are open when
 * the input ends do not fire, since their time has not come.
 */
export interface ClockOption {
  readonly clock?: 'event' | 'processing'
}

/** Where windows of a fixed length begin. */
export interface AlignedOptions extends ClockOption {
  /** Added to 1970, UTC: `'-1h'` begins days when they begin in UTC+1. Default `'0s'`. */
  readonly offset?: Duration
  /**
   * Whether each key's windows begin at a time of its own, spread evenly over all keys. So the results of all keys do not come at
   * once; they are not comparable between keys. Default false: windows are the same for every key, and cost less.
   */
  readonly unaligned?: boolean
}

/**
 * Windows of `size` side by side, aligned to 1970 plus `offset`.
 *
 * @example
 * stream.keyBy((view) => view.page).window(tumbling({ size: '1min' })).count('views-per-page')
 */
export function tumbling(
  options: { readonly size: Duration } & AlignedOptions,
): WindowFunction<unknown, TimeWindow> {
  const sizeMs = positiveMs(options.size, 'size of tumbling windows')
  return ofFixedLength(`tumbling ${formatMs(sizeMs)}`, sizeMs, sizeMs, options)
}

/**
 * A window of `size` every `every`. One partial result is kept for a piece of time, not per window. Where `every` is longer, time is
 * sampled: a record between two windows is in none, and goes where late records go.
 *
 * @example
 * stream.keyBy((view) => view.page).window(sliding({ size: '1h', every: '5min' })).count('views-per-page')
 */
export function sliding(
  options: { readonly size: Duration; readonly every: Duration } & AlignedOptions,
): WindowFunction<unknown, TimeWindow> {
  const sizeMs = positiveMs(options.size, 'size of sliding windows')
  const everyMs = positiveMs(options.every, 'every of sliding windows')
  const name = `sliding ${formatMs(sizeMs)} every ${formatMs(everyMs)}`
  return ofFixedLength(name, sizeMs, everyMs, options)
}

/** Half the length of the global window: whole milliseconds are exact throughout it, and a `Date` reaches further. */
const GLOBAL_REACH_MS = 2 ** 52

/**
 * One window for all records of a key, whatever their time; its ends lie 142,000 years before and after 1970. Without a trigger it
 * fires when the input ends.
 *
 * @example
 * stream.keyBy((view) => view.page).window(globalWindow()).count('views-per-page')
 */
export function globalWindow(): WindowFunction<unknown, TimeWindow> {
  const window = Object.freeze({ startMs: -GLOBAL_REACH_MS, endMs: GLOBAL_REACH_MS })
  const windows = Object.freeze([window])
  return { name: 'global', clock: 'event', assignsOne: true, assign: () => windows }
}

function ofFixedLength(
  name: string,
  sizeMs: number,
  everyMs: number,
  options: AlignedOptions,
): WindowFunction<unknown, TimeWindow> {
  const { clock = 'event', offset = '0s', unaligned = false } = options
  const offsetMs = ms(offset)
  const fullName = offsetMs === 0 ? name : `${name} offset ${formatMs(offsetMs)}`
  if (unaligned) {
    return {
      name: `${fullName} unaligned`,
      clock,
      assign: (_value, timestampMs, key) =>
        windowsAt(timestampMs, sizeMs, everyMs, offsetMs + phaseOf(key, everyMs)),
    }
  }
  return {
    name: fullName,
    clock,
    aligned: { sizeMs, everyMs, offsetMs },
    assign: (_value, timestampMs) => windowsAt(timestampMs, sizeMs, everyMs, offsetMs),
  }
}

/** The windows that hold a time, the earliest first. */
function windowsAt(
  timestampMs: number,
  sizeMs: number,
  everyMs: number,
  offsetMs: number,
): TimeWindow[] {
  const windows: TimeWindow[] = []
  const lastStart = Math.floor((timestampMs - offsetMs) / everyMs) * everyMs + offsetMs
  for (let startMs = lastStart; startMs > timestampMs - sizeMs; startMs -= everyMs) {
    windows.push({ startMs, endMs: startMs + sizeMs })
  }
  return windows.reverse()
}

/**
 * By how much a key's windows are shifted, from 0 to just below `everyMs`. Of the key alone, so the same after a restore. The hash is
 * mixed once more: its high bits choose the subtask, and the keys of one subtask shall not all have the same shift.
 */
function phaseOf(key: AnyKey, everyMs: number): number {
  return Math.floor(((fmix32(hashKey(key)) >>> 0) / 2 ** 32) * everyMs)
}
