/**
 * Cells of layout 'slice', and which keys each slice has.
 *
 * A slice is an incarnation: a number that names it in the keys of its cells. Beside the cells there are local cells (key-layout.ts):
 *   slice      slice -> how many cells it has, and the ordinal of the next
 *   keys       incarnation, segment -> up to `SEGMENT_KEYS` keys, in the order their cells were made
 *   garbage    incarnation -> how many segments of a dropped slice are to be removed
 *
 * Invariants
 *  - A cell carries its ordinal: the place of its key in the segments. A key whose cell is absent or carries another ordinal is
 *    passed over, so a key that was removed and added again is walked once.
 *  - `drop` takes one step whatever the size: the slice's local cell goes, its cells are no longer found and are removed by `collect`.
 *  - A slice without cells does not exist.
 *  - All of it is cells of the cache, so a snapshot sees them of one moment. What is local is made anew where cells are
 *    put one by one (restore with other key groups).
 *
 * In memory: one record for each slice, its last segment, and what the cache holds.
 */
import type { SliceCells, SliceCursor } from '../../src/contract/state-backend.ts'
import type { ByteWriter } from '../../src/core/byte-writer.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { writeKey } from '../../src/core/key-bytes.ts'
import { keyGroupOf } from '../../src/core/key-group.ts'
import { fmix32, hashKey } from '../../src/core/key-hash.ts'
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts'
import { ABSENT } from './cell-cache.ts'
import type { CellCache, CellEntry, CellSlot } from './cell-cache.ts'
import { localKind, writeLocalKey, writePrefix } from './key-layout.ts'
import type { LocalKey } from './key-layout.ts'

/** Keys in one segment. */
const SEGMENT_KEYS = 256

/** What is kept of a slice, under its number. */
export interface SliceRecord {
  readonly incarnation: number
  ordinalNext: number
  cellCount: number
}

/** What is left to remove of a dropped slice, under its incarnation. */
interface SliceGarbage {
  segmentsLeft: number
}

/** Whose key is at hand. */
export interface KeyAtHand {
  readonly key: AnyKey
  readonly hash: number
  useKey(key: AnyKey, hash: number): void
}

export interface SliceStateOptions {
  readonly cache: CellCache
  readonly at: KeyAtHand
  readonly stateId: number
  readonly maxParallelism: number
  /** The first of `SLICE_SLOTS` numbers for slots of the cache. */
  readonly slotId: number
}

/** Slots of the cache that a state of this layout takes. */
export const SLICE_SLOTS = 4

/** The cells of one state, by slice. */
export class SliceState<V> implements SliceCells<V> {
  readonly #cache: CellCache
  readonly #at: KeyAtHand
  readonly #cells: CellSlot<V>
  readonly #records: CellSlot<SliceRecord>
  readonly #segments: CellSlot<AnyKey[]>
  readonly #garbage: CellSlot<SliceGarbage>
  readonly #slices = new Map<number, Slice>()
  readonly #dropped: number[] = []
  #ordered: readonly number[] | undefined = []
  #incarnationNext = 0

  constructor(options: SliceStateOptions) {
    const { stateId, slotId } = options
    this.#cache = options.cache
    this.#at = options.at
    this.#cells = sliceCellSlot(slotId, stateId, options.maxParallelism)
    this.#records = localSlot(slotId + 1, stateId, localKind.slice)
    this.#segments = localSlot(slotId + 2, stateId, localKind.sliceKeys)
    this.#garbage = localSlot(slotId + 3, stateId, localKind.sliceGarbage)
  }

  /** Takes a local cell of an opened database into the index. */
  restore(key: LocalKey): void {
    if (key.kind === localKind.slice) {
      const record = this.#cache.load(this.#records, key.number, localHash(key.number), 0)
      if (record.value === ABSENT) return
      this.#reserve(record.value.incarnation)
      this.#enter(new Slice(key.number, record, record.value))
    } else if (key.kind === localKind.sliceGarbage) {
      this.#reserve(key.number)
      this.#dropped.push(key.number)
    }
  }

  get(sub: number): V | undefined {
    this.#cache.trim()
    const value = this.#find(sub)?.value
    return value === ABSENT ? undefined : value
  }

  edit(sub: number): V | undefined {
    this.#cache.trim()
    const entry = this.#find(sub)
    if (entry === undefined || entry.value === ABSENT) return undefined
    this.#cache.change(entry)
    return entry.value
  }

  put(sub: number, value: V): void {
    this.#cache.trim()
    const slice = this.#slices.get(sub) ?? this.#create(sub)
    const entry = this.#load(slice, this.#at.key, this.#at.hash)
    this.#cache.change(entry)
    if (entry.value === ABSENT) entry.ordinal = this.#append(slice, this.#at.key)
    this.#cache.put(entry, value)
  }

  remove(sub: number): void {
    this.#cache.trim()
    const slice = this.#slices.get(sub)
    if (slice === undefined) return
    const entry = this.#load(slice, this.#at.key, this.#at.hash)
    if (entry.value === ABSENT) return
    this.#cache.remove(entry)
    this.#cache.change(slice.entry)
    slice.record.cellCount--
    if (slice.record.cellCount === 0) this.#drop(slice)
  }

  slices(): readonly number[] {
    this.#ordered ??= [...this.#slices.keys()].sort((a, b) => a - b)
    return this.#ordered
  }

  keys(slice: number): SliceCursor {
    const found = this.#slices.get(slice)
    return found === undefined ? emptyCursor : this.#walk(found)
  }

  drop(slice: number): void {
    this.#cache.trim()
    const found = this.#slices.get(slice)
    if (found !== undefined) this.#drop(found)
  }

  /** Whether cells of dropped slices wait to be removed. */
  get hasGarbage(): boolean {
    return this.#dropped.length > 0
  }

  /** Removes the cells of one segment of a dropped slice. */
  collect(): void {
    const incarnation = this.#dropped[0]
    if (incarnation === undefined) return
    this.#cache.trim()
    const hash = localHash(incarnation)
    const garbage = this.#cache.load(this.#garbage, incarnation, hash, 0)
    if (garbage.value === ABSENT || garbage.value.segmentsLeft === 0) {
      this.#cache.remove(garbage)
      this.#dropped.shift()
      return
    }
    this.#cache.change(garbage)
    const segment = this.#cache.load(
      this.#segments,
      incarnation,
      hash,
      --garbage.value.segmentsLeft,
    )
    if (segment.value === ABSENT) return
    for (const key of segment.value) {
      const cell = this.#cache.claim(this.#cells, key, hashKey(key), incarnation, false)
      this.#cache.remove(cell)
      cell.isReferenced = false
    }
    this.#cache.remove(segment)
    segment.isReferenced = false
  }

  #find(sub: number): CellEntry<V> | undefined {
    const slice = this.#slices.get(sub)
    return slice === undefined ? undefined : this.#load(slice, this.#at.key, this.#at.hash)
  }

  #load(slice: Slice, key: AnyKey, hash: number): CellEntry<V> {
    return this.#cache.load(this.#cells, key, hash, slice.record.incarnation)
  }

  #create(number: number): Slice {
    const sub = number + 0
    const entry = this.#cache.claim(this.#records, sub, localHash(sub), 0, true)
    const record = { incarnation: this.#incarnationNext, ordinalNext: 0, cellCount: 0 }
    this.#reserve(record.incarnation)
    this.#cache.put(entry, record)
    const slice = new Slice(sub, entry, record)
    this.#enter(slice)
    return slice
  }

  #enter(slice: Slice): void {
    slice.entry.isPinned = true
    this.#slices.set(slice.number, slice)
    this.#ordered = undefined
  }

  #reserve(incarnation: number): void {
    this.#incarnationNext = Math.max(this.#incarnationNext, incarnation + 1)
  }

  /** Notes that the slice has a cell of this key now; answers its ordinal. */
  #append(slice: Slice, key: AnyKey): number {
    this.#cache.change(slice.entry)
    slice.record.cellCount++
    const ordinal = slice.record.ordinalNext++
    const tail = this.#tail(slice, Math.floor(ordinal / SEGMENT_KEYS))
    this.#cache.change(tail)
    if (tail.value === ABSENT) {
      this.#cache.put(tail, [key])
    } else {
      tail.value.push(key)
      this.#cache.grow(tail, 16)
    }
    return ordinal
  }

  #tail(slice: Slice, segment: number): CellEntry<AnyKey[]> {
    if (slice.tail?.sub === segment) return slice.tail
    if (slice.tail !== undefined) slice.tail.isPinned = false
    slice.tail = this.#loadSegment(slice, segment)
    slice.tail.isPinned = true
    return slice.tail
  }

  #loadSegment(slice: Slice, segment: number): CellEntry<AnyKey[]> {
    const { incarnation } = slice.record
    return this.#cache.load(this.#segments, incarnation, localHash(incarnation), segment)
  }

  #drop(slice: Slice): void {
    const { incarnation, ordinalNext } = slice.record
    slice.isDropped = true
    this.#slices.delete(slice.number)
    this.#ordered = undefined
    this.#cache.remove(slice.entry)
    slice.entry.isPinned = false
    if (slice.tail !== undefined) slice.tail.isPinned = false
    const garbage = this.#cache.claim(this.#garbage, incarnation, localHash(incarnation), 0, true)
    this.#cache.put(garbage, { segmentsLeft: Math.ceil(ordinalNext / SEGMENT_KEYS) })
    this.#dropped.push(incarnation)
  }

  /** Walks the keys by ordinal, up to the ordinals there are now. */
  #walk(slice: Slice): SliceCursor {
    const end = slice.record.ordinalNext
    let ordinal = 0
    let keys: readonly AnyKey[] = []
    let segmentAtHand = -1
    const next = (): boolean => {
      while (ordinal < end && !slice.isDropped) {
        this.#cache.trim()
        const segment = Math.floor(ordinal / SEGMENT_KEYS)
        if (segment !== segmentAtHand) {
          const { value } = this.#loadSegment(slice, segment)
          keys = value === ABSENT ? [] : value.slice()
          segmentAtHand = segment
        }
        const key = keys[ordinal % SEGMENT_KEYS]
        ordinal++
        if (key === undefined) continue
        const hash = hashKey(key)
        const cell = this.#load(slice, key, hash)
        if (cell.value === ABSENT || cell.ordinal !== ordinal - 1) continue
        this.#at.useKey(key, hash)
        return true
      }
      return false
    }
    return { next }
  }
}

/** A slice that has cells. */
class Slice {
  readonly number: number
  readonly entry: CellEntry<SliceRecord>
  readonly record: SliceRecord
  /** The segment that keys are appended to. */
  tail: CellEntry<AnyKey[]> | undefined = undefined
  isDropped = false

  constructor(number: number, entry: CellEntry<SliceRecord>, record: SliceRecord) {
    this.number = number
    this.entry = entry
    this.record = record
  }
}

const emptyCursor: SliceCursor = { next: () => false }

/** A cell of a slice as it is read outside of a store. */
export function decodeSliceCell(bytes: Buffer): {
  readonly ordinal: number
  readonly value: unknown
} {
  const [ordinal, value] = decodeValue(bytes) as [number, unknown]
  return { ordinal, value }
}

/** The record of a slice as it is read outside of a store. */
export function decodeSliceRecord(bytes: Buffer): SliceRecord {
  return decodeValue(bytes) as SliceRecord
}

function sliceCellSlot<V>(id: number, stateId: number, maxParallelism: number): CellSlot<V> {
  return {
    id,
    writeKey(out, entry) {
      writePrefix(out, keyGroupOf(entry.hash, maxParallelism), stateId)
      out.uint32(entry.sub)
      writeKey(out, entry.key)
    },
    encode: (value, entry) => encodeValue([entry.ordinal, value]),
    decode(bytes, entry) {
      const { ordinal, value } = decodeSliceCell(bytes)
      entry.ordinal = ordinal
      return value as V
    },
  }
}

/** Cells under two numbers: `key` and `sub`. */
function localSlot<V>(id: number, stateId: number, kind: number): CellSlot<V> {
  return {
    id,
    writeKey(out: ByteWriter, entry: CellEntry<V>) {
      writeLocalKey(out, { stateId, kind, number: entry.key as number }, entry.sub)
    },
    encode: (value) => encodeValue(value),
    decode: (bytes) => decodeValue(bytes) as V,
  }
}

function localHash(number: number): number {
  return fmix32(number | 0)
}
