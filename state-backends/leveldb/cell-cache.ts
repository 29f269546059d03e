/**
 * The cells of a store that are in memory: a bounded write-back cache of decoded values in front of the disk.
 *
 * Each cell has one entry, found by (slot, key, sub). An entry is
 *    clean      the disk has the same; may be evicted
 *    dirty      changed in the present generation
 *    sealed     changed in the generation that `seal` has closed, and not written yet
 *    in flight  part of the batch being written
 *
 * Invariants
 *  - The entry's `value` is always the newest. What was sealed and is changed before it was written is encoded first and kept aside
 *    (`sealedImage`), so the sealed generation is written exactly as it was, also when values are edited in place.
 *  - `change` is called before a value is changed, replaced or removed.
 *  - What is not clean, or pinned, is not evicted: nothing is read from the disk that is not there yet.
 *  - While something is sealed, only that is written. One batch at most is in flight; batches take effect in order.
 *  - A removed cell is an entry with the value `ABSENT` (a tombstone until written, then known to be absent).
 *  - Nothing is evicted but in `trim`, so an entry stays valid between two calls of it.
 *
 * Bounds: `cacheBytesMax` for all entries, by `trim`, exceeded only while what can't be evicted takes more; `dirtyBytes` is for
 * the store to look at. Sizes are estimates: twice the encoded size and `ENTRY_BYTES` for the objects, or what the slot says.
 * Cost: a hit is one probe of an own hash table, without a key's text being built. `seal` moves one reference.
 */
import { ByteWriter } from '../../src/core/byte-writer.ts'
import { assert } from '../../src/core/errors.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { sameKey } from '../../src/core/key.ts'
import type { DiskBatch } from './disk-table.ts'
import { estimateBytes } from './value-size.ts'

/** The value of a cell that does not exist. */
export const ABSENT: unique symbol = Symbol('absent')
export type Absent = typeof ABSENT

/** What the objects of an entry take besides its value. */
const ENTRY_BYTES = 256

/** Entries looked at for each `trim` at most, so that no single call takes long. */
const TRIM_STEPS_MAX = 1024

/** One kind of cells: how they are addressed and encoded. */
export interface CellSlot<V = unknown> {
  /** Unique in the store. */
  readonly id: number
  writeKey(out: ByteWriter, entry: CellEntry<V>): void
  encode(value: V, entry: CellEntry<V>): Buffer
  decode(bytes: Buffer, entry: CellEntry<V>): V
  /** What an entry with this value takes in memory, where the cache should not estimate it. */
  memoryBytes?(value: V): number
  /** The entry of this value has left the cache. */
  evicted?(value: V): void
}

/** One cell in memory. Its fields are the cache's; others read them. */
export class CellEntry<V = unknown> {
  readonly slot: CellSlot<V>
  readonly key: AnyKey
  readonly hash: number
  readonly sub: number
  value: V | Absent = ABSENT
  /** Kept with the value by slots that need it. */
  ordinal = -1
  bytes: number = ENTRY_BYTES
  /** The generation in which it was last changed; 0 if that has been taken for writing. */
  changedIn = 0
  sealedImage: Buffer | Absent | undefined = undefined
  isInFlight = false
  isAbsentOnDisk = false
  isReferenced = true
  isPinned = false
  nextInBucket: CellEntry | undefined = undefined
  ringIndex = -1

  constructor(slot: CellSlot<V>, key: AnyKey, hash: number, sub: number) {
    this.slot = slot
    this.key = key
    this.hash = hash
    this.sub = sub
  }
}

/** A batch with the entries it was made of. */
export interface CellBatch extends DiskBatch {
  readonly entries: readonly CellEntry[]
}

/** How much a batch may hold. */
export interface BatchBounds {
  readonly entriesMax: number
  readonly bytesMax: number
}

export interface CellCacheOptions {
  readonly cacheBytesMax: number
  /** Reads from the disk. */
  readonly read: (key: Buffer) => Buffer | undefined
}

export class CellCache {
  readonly #read: (key: Buffer) => Buffer | undefined
  readonly #cacheBytesMax: number
  readonly #out = new ByteWriter()
  #buckets: (CellEntry | undefined)[] = new Array<undefined>(1024).fill(undefined)
  #mask = 1023
  /** All entries, in no order; the clock's hand goes round. */
  readonly #ring: CellEntry[] = []
  #hand = 0
  #bytes = 0

  #generation = 1
  #dirty: CellEntry[] = []
  #dirtyAt = 0
  #sealed: CellEntry[] = []
  #sealedAt = 0
  #changedBytes = 0
  #imageBytes = 0
  #inFlightBytes = 0

  constructor(options: CellCacheOptions) {
    this.#read = options.read
    this.#cacheBytesMax = options.cacheBytesMax
  }

  /** Entries in memory. */
  get count(): number {
    return this.#ring.length
  }

  /** About how many bytes wait to be written or are in flight. */
  get dirtyBytes(): number {
    return this.#changedBytes + this.#imageBytes + this.#inFlightBytes
  }

  /** Whether something of the sealed generation has not been taken for writing yet. */
  get hasSealed(): boolean {
    return this.#sealedAt < this.#sealed.length
  }

  /** The entry of a cell, read from the disk if it is not in memory. */
  load<V>(slot: CellSlot<V>, key: AnyKey, hash: number, sub: number): CellEntry<V> {
    const found = this.find(slot, key, hash, sub)
    if (found !== undefined) return found
    const entry = new CellEntry(slot, key, hash, sub)
    this.#out.reset()
    slot.writeKey(this.#out, entry)
    const bytes = this.#read(this.#out.view())
    if (bytes === undefined) {
      entry.isAbsentOnDisk = true
    } else {
      const keyBytes = this.#out.length
      const value = slot.decode(bytes, entry)
      entry.value = value
      entry.bytes = slot.memoryBytes?.(value) ?? entryBytes(keyBytes + bytes.length)
    }
    this.#insert(entry)
    return entry
  }

  /**
   * The entry of a cell that is about to be replaced or removed: nothing is read. `isAbsentOnDisk` tells what the caller knows in
   * case it is not in memory.
   */
  claim<V>(
    slot: CellSlot<V>,
    key: AnyKey,
    hash: number,
    sub: number,
    isAbsentOnDisk: boolean,
  ): CellEntry<V> {
    const found = this.find(slot, key, hash, sub)
    if (found !== undefined) return found
    const entry = new CellEntry(slot, key, hash, sub)
    entry.isAbsentOnDisk = isAbsentOnDisk
    this.#insert(entry)
    return entry
  }

  /** The entry of a cell if it is in memory. */
  find<V>(slot: CellSlot<V>, key: AnyKey, hash: number, sub: number): CellEntry<V> | undefined {
    let entry = this.#buckets[bucketHash(hash, slot.id, sub) & this.#mask]
    while (entry !== undefined) {
      if (
        entry.hash === hash &&
        entry.sub === sub &&
        entry.slot === slot &&
        sameKey(entry.key, key)
      ) {
        entry.isReferenced = true
        return entry as CellEntry<V>
      }
      entry = entry.nextInBucket
    }
    return undefined
  }

  /** Before the value of an entry is changed in place, replaced or removed. */
  change(entry: CellEntry): void {
    if (entry.changedIn === this.#generation) return
    if (entry.changedIn === 0) {
      this.#changedBytes += entry.bytes
    } else {
      this.#keepSealed(entry)
    }
    entry.changedIn = this.#generation
    this.#dirty.push(entry)
  }

  /** Replaces a value, or says that one has been changed in place. */
  put<V>(entry: CellEntry<V>, value: V): void {
    this.change(entry)
    entry.value = value
    this.#resize(entry, entry.slot.memoryBytes?.(value) ?? entryBytes(estimateBytes(value)))
  }

  /** After a value has been changed in place, of a slot that knows its `memoryBytes`. */
  resized<V>(entry: CellEntry<V>): void {
    const { slot, value } = entry
    if (value !== ABSENT && slot.memoryBytes !== undefined) {
      this.#resize(entry, slot.memoryBytes(value))
    }
  }

  /** Removes a cell. */
  remove(entry: CellEntry): void {
    this.change(entry)
    entry.value = ABSENT
    this.#resize(entry, ENTRY_BYTES)
  }

  /** After a value has been changed in place by about so many bytes. */
  grow(entry: CellEntry, bytes: number): void {
    this.#resize(entry, Math.max(ENTRY_BYTES, entry.bytes + bytes * 2))
  }

  /** Evicts clean entries that have not been asked for lately, until the cache is within its bound. */
  trim(): void {
    if (this.#bytes <= this.#cacheBytesMax) return
    for (let steps = 0; steps < TRIM_STEPS_MAX; steps++) {
      if (this.#bytes <= this.#cacheBytesMax || this.#ring.length === 0) return
      if (this.#hand >= this.#ring.length) this.#hand = 0
      const entry = this.#ring[this.#hand] as CellEntry
      if (entry.changedIn !== 0 || entry.isInFlight || entry.isPinned) {
        this.#hand++
      } else if (entry.isReferenced) {
        entry.isReferenced = false
        this.#hand++
      } else {
        this.#evict(entry)
      }
    }
  }

  /** Closes the present generation: what is dirty is sealed. Nothing may be sealed already. */
  seal(): void {
    assert(!this.hasSealed, 'A generation is sealed only after the former one has been written')
    this.#sealed = this.#dirty
    this.#sealedAt = this.#dirtyAt
    this.#dirty = []
    this.#dirtyAt = 0
    this.#generation++
  }

  /** Gives the sealed generation up: what was not written yet is dirty again, in its newest version. */
  unseal(): void {
    if (!this.hasSealed) return
    const rest: CellEntry[] = []
    for (let i = this.#sealedAt; i < this.#sealed.length; i++) {
      const entry = this.#sealed[i] as CellEntry
      if (entry.sealedImage !== undefined) {
        this.#dropImage(entry)
      } else {
        entry.changedIn = this.#generation
        rest.push(entry)
      }
    }
    for (let i = this.#dirtyAt; i < this.#dirty.length; i++) rest.push(this.#dirty[i] as CellEntry)
    this.#dirty = rest
    this.#dirtyAt = 0
    this.#sealed = []
    this.#sealedAt = 0
  }

  /**
   * Takes what is to be written next: of the sealed generation if there is one, else the oldest changes. Undefined if nothing is left.
   * The batch is in flight until `confirm`.
   */
  takeBatch(bounds: BatchBounds): CellBatch | undefined {
    const taken = new TakenBatch(this.#out)
    if (this.hasSealed) {
      while (this.hasSealed && taken.hasRoom(bounds)) {
        this.#takeSealed(this.#sealed[this.#sealedAt++] as CellEntry, taken)
      }
      if (!this.hasSealed) {
        this.#sealed = []
        this.#sealedAt = 0
      }
    } else {
      while (this.#dirtyAt < this.#dirty.length && taken.hasRoom(bounds)) {
        this.#takeNewest(this.#dirty[this.#dirtyAt++] as CellEntry, taken)
      }
      this.#forgetTaken()
    }
    return taken.entries.length === 0 ? undefined : taken.sorted()
  }

  /** Lets go of what has been taken from the head of the changes, at a cost in proportion to what was taken. */
  #forgetTaken(): void {
    if (this.#dirtyAt * 2 < this.#dirty.length) return
    this.#dirty = this.#dirty.slice(this.#dirtyAt)
    this.#dirtyAt = 0
  }

  /** A batch has been written. */
  confirm(batch: CellBatch): void {
    for (const entry of batch.entries) entry.isInFlight = false
    this.#inFlightBytes = 0
  }

  #takeSealed(entry: CellEntry, taken: TakenBatch): void {
    const image = entry.sealedImage
    if (image === undefined) return this.#takeNewest(entry, taken)
    this.#dropImage(entry)
    this.#take(entry, image === ABSENT ? undefined : image, taken)
  }

  #takeNewest(entry: CellEntry, taken: TakenBatch): void {
    entry.changedIn = 0
    this.#changedBytes -= entry.bytes
    if (entry.value === ABSENT) {
      this.#take(entry, undefined, taken)
    } else {
      const bytes = entry.slot.encode(entry.value, entry)
      this.#take(entry, bytes, taken)
      this.#resize(entry, entry.slot.memoryBytes?.(entry.value) ?? entryBytes(bytes.length))
    }
  }

  #take(entry: CellEntry, value: Buffer | undefined, taken: TakenBatch): void {
    if (value === undefined && entry.isAbsentOnDisk) return
    entry.isAbsentOnDisk = value === undefined
    entry.isInFlight = true
    this.#inFlightBytes += entry.bytes
    taken.add(entry, value)
  }

  /** Sealed and about to be changed: the old value is encoded now instead of when its turn comes. */
  #keepSealed(entry: CellEntry): void {
    entry.sealedImage = entry.value === ABSENT ? ABSENT : entry.slot.encode(entry.value, entry)
    this.#imageBytes += imageBytes(entry.sealedImage)
  }

  #dropImage(entry: CellEntry): void {
    if (entry.sealedImage === undefined) return
    this.#imageBytes -= imageBytes(entry.sealedImage)
    entry.sealedImage = undefined
  }

  #resize(entry: CellEntry, bytes: number): void {
    this.#bytes += bytes - entry.bytes
    if (entry.changedIn !== 0) this.#changedBytes += bytes - entry.bytes
    entry.bytes = bytes
  }

  #insert(entry: CellEntry): void {
    if (this.#ring.length > this.#mask) this.#growTable()
    const at = bucketHash(entry.hash, entry.slot.id, entry.sub) & this.#mask
    entry.nextInBucket = this.#buckets[at]
    this.#buckets[at] = entry
    entry.ringIndex = this.#ring.length
    this.#ring.push(entry)
    this.#bytes += entry.bytes
  }

  #evict(entry: CellEntry): void {
    const at = bucketHash(entry.hash, entry.slot.id, entry.sub) & this.#mask
    let other = this.#buckets[at]
    if (other === entry) {
      this.#buckets[at] = entry.nextInBucket
    } else {
      while (other !== undefined && other.nextInBucket !== entry) other = other.nextInBucket
      assert(other !== undefined, 'An entry of the cache is in its bucket')
      other.nextInBucket = entry.nextInBucket
    }
    const last = this.#ring.pop() as CellEntry
    if (last !== entry) {
      this.#ring[entry.ringIndex] = last
      last.ringIndex = entry.ringIndex
    }
    entry.ringIndex = -1
    entry.nextInBucket = undefined
    this.#bytes -= entry.bytes
    if (entry.value !== ABSENT) entry.slot.evicted?.(entry.value)
  }

  #growTable(): void {
    const size = this.#buckets.length * 2
    this.#mask = size - 1
    this.#buckets = new Array<undefined>(size).fill(undefined)
    for (const entry of this.#ring) {
      const at = bucketHash(entry.hash, entry.slot.id, entry.sub) & this.#mask
      entry.nextInBucket = this.#buckets[at]
      this.#buckets[at] = entry
    }
  }
}

/** A batch being made. */
class TakenBatch {
  readonly entries: CellEntry[] = []
  readonly #values: (Buffer | undefined)[] = []
  readonly #keyEnds: number[] = []
  readonly #keys: ByteWriter
  #bytes = 0

  /** `scratch` is used until the batch is `sorted`. */
  constructor(scratch: ByteWriter) {
    this.#keys = scratch
    scratch.reset()
  }

  hasRoom(bounds: BatchBounds): boolean {
    return this.entries.length < bounds.entriesMax && this.#bytes < bounds.bytesMax
  }

  add(entry: CellEntry, value: Buffer | undefined): void {
    const start = this.#keys.length
    entry.slot.writeKey(this.#keys, entry)
    this.#keyEnds.push(this.#keys.length)
    this.entries.push(entry)
    this.#values.push(value)
    this.#bytes += this.#keys.length - start + (value?.length ?? 0)
  }

  sorted(): CellBatch {
    const bytes = this.#keys.copy()
    let start = 0
    const keys = this.#keyEnds.map((end) => {
      const key = bytes.subarray(start, end)
      start = end
      return key
    })
    const order = Array.from(keys.keys()).sort((a, b) =>
      Buffer.compare(keys[a] as Buffer, keys[b] as Buffer),
    )
    return {
      keys: order.map((index) => keys[index] as Buffer),
      values: order.map((index) => this.#values[index]),
      entries: this.entries,
    }
  }
}

function entryBytes(encoded: number): number {
  return ENTRY_BYTES + encoded * 2
}

function imageBytes(image: Buffer | Absent): number {
  return image === ABSENT ? 0 : image.length
}

function bucketHash(hash: number, slotId: number, sub: number): number {
  const mixed = hash ^ Math.imul(slotId + 1, 0x9e3779b1) ^ Math.imul(sub | 0, 0x85ebca6b)
  return mixed ^ (mixed >>> 15)
}
