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
import { ByteWriter } from '../../src/core/byte-writer.ts'
import { assert } from '../../src/core/errors.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { KeyReader, writeKey } from '../../src/core/key-bytes.ts'
import { keyGroupOf } from '../../src/core/key-group.ts'
import { fmix32, hashKey } from '../../src/core/key-hash.ts'
import { ABSENT } from './cell-cache.ts'
import type { CellCache, CellEntry, CellSlot } from './cell-cache.ts'
import { writeDouble, writeTimersKey } from './key-layout.ts'
import type { CellPrefix, TimersKey } from './key-layout.ts'
import type { KeyAtHand } from './slice-keys.ts'

/** Entries of one segment: a value of a few KB. */
const SEGMENT_ENTRIES = 256
/** Segments of one bucket; an interval above a millisecond has far fewer. */
const SEGMENTS_MAX = 2 ** 20
/** Entries of an interval before it is split. */
const INTERVAL_ENTRIES_MAX = 8192
/** Intervals that are loaded at a time. */
const HOT_INTERVALS_MAX = 4
/** The widest intervals are of 8^9 ms, a day and a half. */
const EXPONENT_MAX = 9
/** Times beyond this are too far apart for intervals in floating point; each has one of its own. */
const ALIGNED_MAX = 2 ** 50
/** What an entry takes in a segment, about. */
const ENTRY_BYTES = 32

const groupsMax = 32_768

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
  readonly #slot: CellSlot<Segment>
  readonly #maxParallelism: number
  /** Ascending. */
  readonly #intervals: Interval[] = []
  /** The one used last stands last. */
  readonly #hot: Interval[] = []

  constructor(options: TimerBucketsOptions) {
    this.#cache = options.cache
    this.#at = options.at
    this.#maxParallelism = options.maxParallelism
    this.#slot = segmentSlot(options)
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
    const hash = startHash(interval.start)
    const sub = segmentSub(interval.exponent, bucket.group, number)
    const entry = this.#cache.claim(this.#slot, interval.start, hash, sub, true)
    bucket.segments.push(number)
    if (interval.isHot) {
      const isLoaded = interval.exponent > 0 || interval.heap.count < INTERVAL_ENTRIES_MAX
      if (isLoaded) pin(bucket, number, entry)
      else interval.unloaded.push({ bucket, segment: number })
    }
    return { number, entry }
  }

  #load(interval: Interval, bucket: Bucket, segment: number): CellEntry<Segment> {
    const sub = segmentSub(interval.exponent, bucket.group, segment)
    return this.#cache.load(this.#slot, interval.start, startHash(interval.start), sub)
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

/** Timers of one key group in one interval. */
class Bucket {
  readonly group: number
  /** The numbers of its segments; the last one is appended to. */
  readonly segments: number[] = []
  /** Those that are pinned and in the heap of a hot interval. */
  readonly loaded = new Map<number, CellEntry<Segment>>()

  constructor(group: number) {
    this.group = group
  }
}

class Interval {
  readonly start: number
  readonly exponent: number
  readonly buckets = new Map<number, Bucket>()
  readonly heap = new TimerHeap()
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

/** One entry in memory. */
interface TimerEntry {
  readonly timestampMs: number
  readonly key: AnyKey
  readonly entry: CellEntry<Segment>
  readonly segment: number
  readonly group: number
  /** Where in the segment it stands. */
  position: number
}

interface NumberedSegment {
  readonly number: number
  readonly entry: CellEntry<Segment>
}

/** What a segment holds, while it is in memory. */
class Segment {
  readonly #times: number[] = []
  readonly #keys: AnyKey[] = []
  /** The entries of the heap, once it is loaded for one. */
  readonly #timers: (TimerEntry | undefined)[] = []

  get count(): number {
    return this.#times.length
  }

  add(timestampMs: number, key: AnyKey): void {
    this.#times.push(timestampMs)
    this.#keys.push(key)
    this.#timers.push(undefined)
  }

  append(timer: TimerEntry): void {
    timer.position = this.#times.length
    this.#times.push(timer.timestampMs)
    this.#keys.push(timer.key)
    this.#timers.push(timer)
  }

  takeOut(timer: TimerEntry): void {
    const at = timer.position
    assert(this.#timers[at] === timer, 'A timer stands where it says')
    const time = this.#times.pop() as number
    const key = this.#keys.pop() as AnyKey
    const last = this.#timers.pop() as TimerEntry
    if (last === timer) return
    this.#times[at] = time
    this.#keys[at] = key
    this.#timers[at] = last
    last.position = at
  }

  /** Appends all entries to `timers`. */
  collect(timers: TimerEntry[], entry: CellEntry<Segment>, segment: number, group: number): void {
    for (let position = 0; position < this.#times.length; position++) {
      const timestampMs = this.#times[position] as number
      const key = this.#keys[position] as AnyKey
      const timer = { timestampMs, key, entry, segment, group, position }
      this.#timers[position] = timer
      timers.push(timer)
    }
  }

  encode(out: ByteWriter): Buffer {
    out.reset()
    for (let i = 0; i < this.#times.length; i++) {
      writeDouble(out, this.#times[i] as number)
      writeKey(out, this.#keys[i] as AnyKey)
    }
    return out.copy()
  }
}

/** A binary heap by time. */
class TimerHeap {
  entries: TimerEntry[] = []

  get count(): number {
    return this.entries.length
  }

  get top(): TimerEntry | undefined {
    return this.entries[0]
  }

  /** Replaces what it holds. A sorted array is a heap. */
  fill(entries: TimerEntry[]): void {
    this.entries = entries.sort((a, b) => a.timestampMs - b.timestampMs || 0)
  }

  push(entry: TimerEntry): void {
    const { entries } = this
    let at = entries.length
    entries.push(entry)
    while (at > 0) {
      const parentAt = (at - 1) >> 1
      const parent = entries[parentAt] as TimerEntry
      if (parent.timestampMs <= entry.timestampMs) break
      entries[at] = parent
      at = parentAt
    }
    entries[at] = entry
  }

  pop(): void {
    const { entries } = this
    const moved = entries.pop()
    if (moved === undefined || entries.length === 0) return
    let at = 0
    for (;;) {
      const left = at * 2 + 1
      if (left >= entries.length) break
      const right = left + 1
      const leftEntry = entries[left] as TimerEntry
      const rightEntry = entries[right]
      const isRight = rightEntry !== undefined && rightEntry.timestampMs < leftEntry.timestampMs
      const child = isRight ? rightEntry : leftEntry
      if (child.timestampMs >= moved.timestampMs) break
      entries[at] = child
      at = isRight ? right : left
    }
    entries[at] = moved
  }
}

/** A segment's entries as they are read outside of a store. */
export function decodeTimers(
  bytes: Buffer,
  each: (timestampMs: number, key: AnyKey) => void,
): void {
  const reader = new KeyReader(bytes)
  while (reader.offset < bytes.length) {
    const timestampMs = bytes.readDoubleBE(reader.offset)
    reader.offset += 8
    each(timestampMs, reader.read())
  }
}

function pin(bucket: Bucket, segment: number, entry: CellEntry<Segment>): void {
  entry.isPinned = true
  bucket.loaded.set(segment, entry)
}

/** Lets an interval's segments go; they stay in the cache as long as there is room. */
function cool(interval: Interval): void {
  interval.isHot = false
  interval.heap.fill([])
  interval.unloaded.length = 0
  for (const bucket of interval.buckets.values()) {
    for (const entry of bucket.loaded.values()) entry.isPinned = false
    bucket.loaded.clear()
  }
}

/** The widest aligned interval around a time that overlaps neither neighbour. */
function newInterval(
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
function splitExponent(interval: Interval, timers: readonly TimerEntry[]): number {
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

function segmentSlot({
  slotId,
  stateId,
}: Pick<TimerBucketsOptions, 'slotId' | 'stateId'>): CellSlot<Segment> {
  const scratch = new ByteWriter()
  return {
    id: slotId,
    writeKey(out, entry) {
      const segment = entry.sub % SEGMENTS_MAX
      const rest = Math.floor(entry.sub / SEGMENTS_MAX)
      const group = rest % groupsMax
      const exponent = Math.floor(rest / groupsMax)
      writeTimersKey(out, { group, stateId }, { start: entry.key as number, exponent, segment })
    },
    encode: (segment) => segment.encode(scratch),
    decode(bytes) {
      const segment = new Segment()
      decodeTimers(bytes, (timestampMs, key) => segment.add(timestampMs, key))
      return segment
    },
  }
}

/** The number that a segment has beside the start of its interval: all that its key says, in one number below 2^40. */
function segmentSub(exponent: number, group: number, segment: number): number {
  return (exponent * groupsMax + group) * SEGMENTS_MAX + segment
}

function startHash(start: number): number {
  return fmix32(start | 0) ^ fmix32(Math.floor(start / 2 ** 32) | 0)
}
