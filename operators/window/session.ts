/** Sessions: windows that last as long as records keep coming. Pure. */
import type { TimeWindow, Window, WindowFunction, WindowMerge } from '../../src/contract/window.ts'
import type { Duration } from '../../src/core/duration.ts'
import { formatMs, ms, positiveMs } from '../../src/core/duration.ts'
import type { ClockOption } from './assigners.ts'

/** As many different gaps are remembered; more are computed each time. */
const GAPS_REMEMBERED_MAX = 256

/**
 * A record's session lasts for `gap` after it; sessions of a key that overlap are one. Sessions that only touch become one
 * too, as in Flink; `touching: 'apart'` keeps them apart, as Beam does. The gap may be the record's own: then the session ends
 * where the last of its gaps ends, whichever record that is of.
 *
 * @example
 * clicks.keyBy((click) => click.user).window(session({ gap: '30min' })).count('clicks-per-visit')
 */
export function session<T = unknown>(
  options: {
    readonly gap: Duration | ((value: T) => Duration)
    readonly touching?: 'merge' | 'apart'
  } & ClockOption,
): WindowFunction<T, TimeWindow> {
  const { gap, touching = 'merge' } = options
  const gapOf = typeof gap === 'function' ? perRecord(gap) : constant(positiveMs(gap, GAP))
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

const GAP = 'gap of a session'

/** Joins windows, ordered by start, that overlap or (if `touching`) only touch. */
function mergeOverlapping(windows: readonly Window[], touching: boolean): WindowMerge[] {
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

/** Gaps are text, and few are different: each is read once. */
function perRecord<T>(gap: (value: T) => Duration): (value: T) => number {
  const known = new Map<Duration, number>()
  return (value) => {
    const text = gap(value)
    let gapMs = known.get(text)
    if (gapMs === undefined) {
      gapMs = positiveMs(text, GAP)
      if (known.size < GAPS_REMEMBERED_MAX) known.set(text, gapMs)
    }
    return gapMs
  }
}

function constant(value: number): () => number {
  return () => value
}
