/**
 * Keys by time, for timers, on disk: `TimerIndex` in intervals of time that split as they fill.
 *
 * The time axis is covered, where there are entries, by *intervals*: aligned, disjoint, of 8^exponent ms. An interval has a
 * *bucket* for each key group with entries, a bucket has *segments* of up to `SEGMENT_ENTRIES`; a segment is a cell. What is
 * next is the first interval: it is *hot*, which means that its segments are loaded, pinned, and in a heap by time.
 *
 *  1. `add` finds the interval, or makes the widest one that overlaps no other, and appends to the bucket's last segment.
 *  2. An interval above `INTERVAL_ENTRIES_MAX` is split at once into narrower ones, so one step never moves more than that.
 *  3. `poll` makes the first interval hot and takes the heap's top out of its segment.
 *  4. An interval of one millisecond is never split; it is loaded in parts, since its entries have no order.
 *
 * Invariants
 *  - An entry stands in exactly one segment, and in the heap exactly if its segment is loaded as part of a hot interval.
 *  - Segments and buckets are never empty, intervals neither; what is found empty is removed, on disk too.
 *  - Segments are cells of the cache, so a snapshot sees all of one moment. An entry that comes and goes between two writes costs no
 *    write but that of its segment.
 *
 * Bounds: at most `HOT_INTERVALS_MAX` intervals are loaded, which is for timers that are added behind the first interval; in
 * memory are also some numbers for each bucket and segment. After a restore an interval's count is a guess from its
 * segments until it is loaded.
 */
import type { TimerIndex } from '../../src/contract/state-backend.ts'
import { assert } from '../../src/core/errors.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { keyGroupOf } from '../../src/core/key-group.ts'
import { hashKey } from '../../src/core/key-hash.ts'
import { ABSENT } from './cell-cache.ts'
import type { CellCache, CellEntry } from './cell-cache.ts'
import type { CellPrefix, TimersKey } from './key-layout.ts'
import type { KeyAtHand } from './slice-keys.ts'
import { EXPONENT_MAX, Interval, cool, newInterval, pin, splitExponent } from './timer-interval.ts'
import type { Bucket } from './timer-interval.ts'
import { SEGMENTS_MAX, Segment, SegmentCells } from './timer-segment.ts'
import type { TimerEntry } from './timer-segment.ts'

/** Entries of one segment: a value of a few KB. */
const SEGMENT_ENTRIES = 256
/** Entries of an interval before it is split. */
const INTERVAL_ENTRIES_MAX = 8192
/** Intervals that are loaded at a time. */
const HOT_INTERVALS_MAX = 4
/** What an entry takes in a segment, about. */
const ENTRY_BYTES = 32

export interface TimerBucketsOptions {
  readonly cache: CellCache
  readonly at: KeyAtHand
  readonly stateId: number
  readonly maxParallelism: number
  /** The number of its slot of the cache. */
  readonly slotId: number
}

/** The timers of one state. */
export class TimerBuckets implements TimerIndex {
  timestampMs: number = Number.NaN
  readonly #cache: CellCache
  readonly #at: KeyAtHand
  readonly #segments: SegmentCells
  readonly #maxParallelism: number
  /** Ascending. */
  readonly #intervals: Interval[] = []
  /** The one used last stands last. */
  readonly #hot: Interval[] = []

  constructor(options: TimerBucketsOptions) {
    this.#cache = options.cache
    this.#at = options.at
    this.#maxParallelism = options.maxParallelism
    this.#segments = new SegmentCells(options.cache, options)
  }

  /** Takes a segment of an opened database into the index. */
  restore({ group }: CellPrefix, { start, exponent, segment }: TimersKey): void {
    const index = this.#search(start)
    let interval = this.#intervals[index]
    if (interval?.start !== start) {
      interval = new Interval(start, exponent)
      this.#intervals.splice(index + 1, 0, interval)
    }
    assert(interval.exponent === exponent, `Intervals of timers overlap at ${start}`)
    interval.bucket(group).segments.push(segment)
    interval.count += SEGMENT_ENTRIES / 2
  }

  add(timestampMs: number): void {
    this.#cache.trim()
    const time = timestampMs + 0
    assert(!Number.isNaN(time), 'A timer has a time')
    const group = keyGroupOf(this.#at.hash, this.#maxParallelism)
    this.#insert(this.#intervalOf(time, EXPONENT_MAX), group, time, this.#at.key)
  }

  peek(): number {
    this.#cache.trim()
    return this.#top()?.timestampMs ?? Infinity
  }

  poll(upToMs: number): boolean {
    this.#cache.trim()
    const top = this.#top()
    if (top === undefined || top.timestampMs > upToMs) return false
    const interval = this.#intervals[0] as Interval
    interval.heap.pop()
    this.#takeOut(interval, top)
    this.timestampMs = top.timestampMs
    this.#at.useKey(top.key, hashKey(top.key))
    return true
  }

  /** The earliest entry, in the heap of the first interval. */
  #top(): TimerEntry | undefined {
    for (;;) {
      const first = this.#intervals[0]
      if (first === undefined) return undefined
      if (first.isHot && first.heap.count === 0) this.#loadMore(first)
      if (!first.isHot) this.#heat(first)
      if (first.isHot) {
        this.#usedLast(first)
        return first.heap.top
      }
    }
  }

  #usedLast(interval: Interval): void {
    if (this.#hot.at(-1) === interval) return
    this.#hot.splice(this.#hot.indexOf(interval), 1)
    this.#hot.push(interval)
  }

  #insert(interval: Interval, group: number, timestampMs: number, key: AnyKey): void {
    const bucket = interval.bucket(group)
    const segment = this.#tail(interval, bucket)
    const { entry } = segment
    this.#cache.change(entry)
    if (entry.value === ABSENT) this.#cache.put(entry, new Segment())
    assert(entry.value !== ABSENT, 'A segment that is appended to exists')
    if (bucket.loaded.has(segment.number)) {
      const timer = { timestampMs, key, entry, segment: segment.number, group, position: 0 }
      entry.value.append(timer)
      interval.heap.push(timer)
    } else {
      entry.value.add(timestampMs, key)
    }
    this.#cache.grow(entry, ENTRY_BYTES)
    interval.count++
    if (interval.count > INTERVAL_ENTRIES_MAX && interval.exponent > 0) this.#split(interval)
  }

  /** The segment that takes the next entry of a bucket. */
  #tail(interval: Interval, bucket: Bucket): NumberedSegment {
    const last = bucket.segments.at(-1)
    if (last !== undefined) {
      const entry = bucket.loaded.get(last) ?? this.#load(interval, bucket, last)
      assert(entry.value !== ABSENT, 'The segments of a bucket are not empty')
      if (entry.value.count < SEGMENT_ENTRIES) return { number: last, entry }
    }
    const number = last === undefined ? 0 : last + 1
    assert(
      number < SEGMENTS_MAX,
      `More than ${SEGMENTS_MAX} segments of timers at ${interval.start}`,
    )
    const { start, exponent } = interval
    const entry = this.#segments.claim({ start, exponent, group: bucket.group, segment: number })
    bucket.segments.push(number)
    if (interval.isHot) {
      const isLoaded = interval.exponent > 0 || interval.heap.count < INTERVAL_ENTRIES_MAX
      if (isLoaded) pin(bucket, number, entry)
      else interval.unloaded.push({ bucket, segment: number })
    }
    return { number, entry }
  }

  #load(interval: Interval, bucket: Bucket, segment: number): CellEntry<Segment> {
    const { start, exponent } = interval
    return this.#segments.load({ start, exponent, group: bucket.group, segment })
  }

  /** Takes a loaded entry out of its segment, and whatever is empty then. */
  #takeOut(interval: Interval, timer: TimerEntry): void {
    const { entry } = timer
    this.#cache.change(entry)
    assert(entry.value !== ABSENT, 'The segment of a timer exists')
    entry.value.takeOut(timer)
    interval.count--
    if (entry.value.count > 0) {
      this.#cache.grow(entry, -ENTRY_BYTES)
      return
    }
    const bucket = interval.bucket(timer.group)
    this.#removeSegment(bucket, timer.segment, entry)
    if (bucket.segments.length === 0) interval.buckets.delete(bucket.group)
    if (interval.buckets.size === 0) this.#removeInterval(interval)
  }

  #removeSegment(bucket: Bucket, segment: number, entry: CellEntry<Segment>): void {
    this.#cache.remove(entry)
    entry.isPinned = false
    bucket.loaded.delete(segment)
    const at = bucket.segments.lastIndexOf(segment)
    if (at >= 0) bucket.segments.splice(at, 1)
  }

  #removeInterval(interval: Interval): void {
    this.#intervals.splice(this.#intervals.indexOf(interval), 1)
    const at = this.#hot.indexOf(interval)
    if (at >= 0) this.#hot.splice(at, 1)
  }

  /** Loads an interval, or splits it where it turns out to hold too much. */
  #heat(interval: Interval): void {
    if (this.#hot.length === HOT_INTERVALS_MAX) cool(this.#hot.shift() as Interval)
    this.#hot.push(interval)
    interval.isHot = true
    for (const bucket of interval.buckets.values()) {
      for (const segment of bucket.segments) interval.unloaded.push({ bucket, segment })
    }
    this.#loadMore(interval)
  }

  #loadMore(interval: Interval): void {
    const isPartial = interval.exponent === 0
    const timers: TimerEntry[] = []
    for (;;) {
      if (isPartial && timers.length >= INTERVAL_ENTRIES_MAX) break
      const next = interval.unloaded.pop()
      if (next === undefined) break
      const entry = this.#load(interval, next.bucket, next.segment)
      assert(entry.value !== ABSENT, 'A segment that the index knows is there')
      pin(next.bucket, next.segment, entry)
      entry.value.collect(timers, entry, next.segment, next.bucket.group)
    }
    interval.heap.fill(timers)
    if (isPartial) return
    interval.count = timers.length
    if (interval.count > INTERVAL_ENTRIES_MAX) this.#split(interval)
  }

  /** Replaces an interval by narrower ones with the same entries. */
  #split(interval: Interval): void {
    if (!interval.isHot) return this.#heat(interval)
    assert(interval.unloaded.length === 0, 'An interval is split when it is loaded')
    const timers = interval.heap.entries
    for (const bucket of interval.buckets.values()) {
      for (const [segment, entry] of bucket.loaded) {
        this.#cache.remove(entry)
        entry.isPinned = false
        bucket.loaded.delete(segment)
      }
    }
    this.#removeInterval(interval)
    interval.isHot = false
    const exponent = splitExponent(interval, timers)
    for (const { timestampMs, key, group } of timers) {
      this.#insert(this.#intervalOf(timestampMs, exponent), group, timestampMs, key)
    }
  }

  /** The interval that holds a time; if there is none a new one, up to 8^exponentMax ms wide. */
  #intervalOf(timestampMs: number, exponentMax: number): Interval {
    const index = this.#search(timestampMs)
    const before = this.#intervals[index]
    if (before?.contains(timestampMs)) {
      return before
    }
    const after = this.#intervals[index + 1]
    const interval = newInterval(timestampMs, exponentMax, before, after)
    this.#intervals.splice(index + 1, 0, interval)
    return interval
  }

  /** The index of the last interval that begins at or before a time; -1 if there is none. */
  #search(timestampMs: number): number {
    let low = 0
    let high = this.#intervals.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#intervals[middle] as Interval).start <= timestampMs) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}

interface NumberedSegment {
  readonly number: number
  readonly entry: CellEntry<Segment>
}
