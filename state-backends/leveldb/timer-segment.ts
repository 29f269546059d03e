/**
 * A segment of timers: what one cell of a state of layout 'timers' holds, its place in the cache, and its bytes.
 *
 *   for each entry: its time (IEEE 754, 8 bytes), its key's canonical bytes
 *
 * Invariants
 *  - Entries have no order; one is taken out by moving the last into its place.
 *  - A `TimerEntry` says where it stands (`position`) as long as it is in the segment. Only segments that are loaded for a heap have them.
 */
import { ByteWriter } from '../../src/core/byte-writer.ts'
import { assert } from '../../src/core/errors.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { KeyReader, writeKey } from '../../src/core/key-bytes.ts'
import { fmix32 } from '../../src/core/key-hash.ts'
import type { CellCache, CellEntry, CellSlot } from './cell-cache.ts'
import { writeDouble, writeTimersKey } from './key-layout.ts'

/** Segments of one bucket; an interval above a millisecond has far fewer. */
export const SEGMENTS_MAX: number = 2 ** 20

const groupsMax = 32_768

/** One entry in memory. */
export interface TimerEntry {
  readonly timestampMs: number
  readonly key: AnyKey
  readonly entry: CellEntry<Segment>
  readonly segment: number
  readonly group: number
  /** Where in the segment it stands. */
  position: number
}

/** What a segment holds, while it is in memory. */
export class Segment {
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

/** Which segment it is of all in a state. */
export interface SegmentPlace {
  readonly start: number
  readonly exponent: number
  readonly group: number
  readonly segment: number
}

/** The cells of the cache that hold segments of one state. */
export class SegmentCells {
  readonly #cache: CellCache
  readonly #slot: CellSlot<Segment>

  constructor(cache: CellCache, { slotId, stateId }: { slotId: number; stateId: number }) {
    this.#cache = cache
    this.#slot = segmentSlot({ slotId, stateId })
  }

  load(place: SegmentPlace): CellEntry<Segment> {
    const { start } = place
    return this.#cache.load(this.#slot, start, startHash(start), segmentSub(place))
  }

  /** The cell of a segment that is not on disk. */
  claim(place: SegmentPlace): CellEntry<Segment> {
    const { start } = place
    return this.#cache.claim(this.#slot, start, startHash(start), segmentSub(place), true)
  }
}

function segmentSlot({ slotId, stateId }: { slotId: number; stateId: number }): CellSlot<Segment> {
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
function segmentSub({ exponent, group, segment }: SegmentPlace): number {
  return (exponent * groupsMax + group) * SEGMENTS_MAX + segment
}

function startHash(start: number): number {
  return fmix32(start | 0) ^ fmix32(Math.floor(start / 2 ** 32) | 0)
}
