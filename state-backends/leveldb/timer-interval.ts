/**
 * An interval of time that holds timers: aligned at its width of 8^exponent ms, so that two intervals are disjoint or one contains the
 * other; only disjoint ones are kept.
 *
 * Invariants
 *  - `contains` answers true for at most one of disjoint intervals.
 *  - Beyond `ALIGNED_MAX`, where floating point has no milliseconds left, each time has an interval of its own.
 */
import type { CellEntry } from './cell-cache.ts'
import { TimerHeap } from './timer-heap.ts'
import type { Segment, TimerEntry } from './timer-segment.ts'

/** The widest intervals are of 8^9 ms, a day and a half. */
export const EXPONENT_MAX = 9
/** Times beyond this are too far apart for intervals in floating point; each has one of its own. */
const ALIGNED_MAX = 2 ** 50

/** Timers of one key group in one interval. */
export class Bucket {
  readonly group: number
  /** The numbers of its segments; the last one is appended to. */
  readonly segments: number[] = []
  /** Those that are pinned and in the heap of a hot interval. */
  readonly loaded: Map<number, CellEntry<Segment>> = new Map()

  constructor(group: number) {
    this.group = group
  }
}

/** With its timers, by key group. */
export class Interval {
  readonly start: number
  readonly exponent: number
  readonly buckets: Map<number, Bucket> = new Map()
  readonly heap: TimerHeap = new TimerHeap()
  /** Segments of a hot interval that are not in the heap yet. */
  readonly unloaded: { readonly bucket: Bucket; readonly segment: number }[] = []
  isHot = false
  count = 0

  constructor(start: number, exponent: number) {
    this.start = start
    this.exponent = exponent
  }

  contains(timestampMs: number): boolean {
    return timestampMs === this.start || timestampMs < this.start + 8 ** this.exponent
  }

  bucket(group: number): Bucket {
    let bucket = this.buckets.get(group)
    if (bucket === undefined) {
      bucket = new Bucket(group)
      this.buckets.set(group, bucket)
    }
    return bucket
  }
}

/** Keeps a segment of a hot interval in memory. */
export function pin(bucket: Bucket, segment: number, entry: CellEntry<Segment>): void {
  entry.isPinned = true
  bucket.loaded.set(segment, entry)
}

/** Lets an interval's segments go; they stay in the cache as long as there is room. */
export function cool(interval: Interval): void {
  interval.isHot = false
  interval.heap.fill([])
  interval.unloaded.length = 0
  for (const bucket of interval.buckets.values()) {
    for (const entry of bucket.loaded.values()) entry.isPinned = false
    bucket.loaded.clear()
  }
}

/** The widest aligned interval around a time that overlaps neither neighbour. */
export function newInterval(
  timestampMs: number,
  exponentMax: number,
  before: Interval | undefined,
  after: Interval | undefined,
): Interval {
  const isAligned = Math.abs(timestampMs) < ALIGNED_MAX
  for (let exponent = isAligned ? exponentMax : 0; exponent > 0; exponent--) {
    const width = 8 ** exponent
    const start = Math.floor(timestampMs / width) * width
    const isFree =
      (before === undefined || before.start < start) &&
      (after === undefined || after.start >= start + width)
    if (isFree) return new Interval(start, exponent)
  }
  return new Interval(Math.floor(timestampMs), 0)
}

/** The widest intervals that part the entries into several; narrower than before in any case. */
export function splitExponent(interval: Interval, timers: readonly TimerEntry[]): number {
  let first = Infinity
  let last = -Infinity
  for (const { timestampMs } of timers) {
    first = Math.min(first, timestampMs)
    last = Math.max(last, timestampMs)
  }
  const partsMin = 4
  let exponent = interval.exponent - 1
  while (exponent > 0) {
    const width = 8 ** exponent
    if (Math.floor(last / width) - Math.floor(first / width) >= partsMin - 1) break
    exponent--
  }
  return exponent
}
