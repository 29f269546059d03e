/**
 * The cells of a state that have integer keys and numbers as values, in packs (number-pack.ts).
 *
 * A cell on its own costs some hundred bytes of memory and a few microseconds each time it is written; in a pack it costs some
 * thirty bytes, and a pack is written about as fast as a cell. A pack is one cell of the cache, so generations, sealed
 * images and eviction are the cache's.
 *
 * Invariants
 *  - An integer key is in the pack that the directory names and in no other, or the state has no cell of that key: nothing is
 *    read to learn that a key is not there but the pack it would be in.
 *  - A split changes both packs in one generation.
 */
import { assert } from '../../src/core/errors.ts'
import { keyGroupOf } from '../../src/core/key-group.ts'
import { fmix32, hashKey } from '../../src/core/key-hash.ts'
import { ABSENT } from './cell-cache.ts'
import type { CellCache, CellEntry, CellSlot } from './cell-cache.ts'
import { writePackKey } from './key-layout.ts'
import { NumberPack, decodePack, encodePack } from './number-pack.ts'
import type { Elsewhere } from './number-pack.ts'
import { DEPTH_MAX, PackDirectory } from './pack-directory.ts'

/** Cells of a pack, unless it can't be split. */
const PACK_CELLS_MAX = 64

/** There is no cell of the key. */
export const NOT_THERE: unique symbol = Symbol('not there')
type Found = number | Elsewhere | typeof NOT_THERE

export interface PackedCellsOptions {
  readonly cache: CellCache
  readonly stateId: number
  readonly maxParallelism: number
  readonly slotId: number
}

export class PackedCells {
  readonly #cache: CellCache
  readonly #slot: CellSlot<NumberPack>
  readonly #maxParallelism: number
  readonly #directory = new PackDirectory()
  #packCount = 0
  #cellCount = 0
  // where the last key was found: valid while the entry is in the cache and the key still there
  #lastEntry: CellEntry<NumberPack> | undefined = undefined
  #lastIndex = 0

  constructor({ cache, stateId, maxParallelism, slotId }: PackedCellsOptions) {
    this.#cache = cache
    this.#maxParallelism = maxParallelism
    this.#slot = {
      id: slotId,
      writeKey(out, entry) {
        writePackKey(out, { group: entry.sub, stateId }, entry.key as number)
      },
      encode: encodePack,
      decode: (bytes) => {
        const pack = decodePack(bytes)
        this.#packCount++
        this.#cellCount += pack.keys.length
        return pack
      },
      memoryBytes: (pack) => pack.memoryBytes,
      evicted: (pack) => {
        this.#packCount--
        this.#cellCount -= pack.keys.length
      },
    }
  }

  /** Cells in memory beyond the entries that the cache has for them. */
  get cellsBeyondEntries(): number {
    return this.#cellCount - this.#packCount
  }

  /** Takes in the packs of a group of an opened database. */
  restore(group: number, packs: ReadonlySet<number>): void {
    this.#directory.restore(group, packs)
  }

  get(key: number, hash: number): Found {
    const entry = this.#locate(key, hash)
    if (entry === undefined || this.#lastIndex < 0) return NOT_THERE
    return packIn(entry).values[this.#lastIndex]
  }

  /** Keeps a number, or that the value is elsewhere; what was there before. */
  put(key: number, hash: number, value: number | Elsewhere): Found {
    const entry = this.#locate(key, hash) ?? this.#begin(hash)
    const pack = packIn(entry)
    const index = this.#lastIndex
    this.#cache.change(entry)
    if (index >= 0) {
      const former = pack.values[index]
      pack.values[index] = value
      return former
    }
    this.#lastIndex = pack.keys.length
    pack.add(key, value)
    this.#cellCount++
    if (pack.keys.length > PACK_CELLS_MAX) this.#split(entry)
    else this.#cache.resized(entry)
    return NOT_THERE
  }

  /** Removes the cell of a key; what it was. */
  remove(key: number, hash: number): Found {
    const entry = this.#locate(key, hash)
    if (entry === undefined || this.#lastIndex < 0) return NOT_THERE
    const pack = packIn(entry)
    this.#cache.change(entry)
    const former = pack.values[this.#lastIndex]
    pack.removeAt(this.#lastIndex)
    this.#lastEntry = undefined
    this.#cellCount--
    this.#cache.resized(entry)
    return former
  }

  /** The entry of the pack that a key belongs to; where in it, or -1, is `#lastIndex`. */
  #locate(key: number, hash: number): CellEntry<NumberPack> | undefined {
    const last = this.#lastEntry
    if (
      last !== undefined &&
      last.ringIndex >= 0 &&
      this.#lastIndex >= 0 &&
      packIn(last).keys[this.#lastIndex] === key
    ) {
      return last
    }
    this.#lastEntry = undefined
    this.#lastIndex = -1
    const group = keyGroupOf(hash, this.#maxParallelism)
    const pack = this.#directory.packOf(group, hash)
    if (pack < 0) return undefined
    const entry = this.#cache.load(this.#slot, pack, packHash(group, pack), group)
    this.#lastEntry = entry
    this.#lastIndex = packIn(entry).indexOf(key)
    return entry
  }

  #begin(hash: number): CellEntry<NumberPack> {
    const group = keyGroupOf(hash, this.#maxParallelism)
    this.#directory.begin(group)
    return this.#create(group, 0)
  }

  #create(group: number, pack: number): CellEntry<NumberPack> {
    const entry = this.#cache.claim(this.#slot, pack, packHash(group, pack), group, true)
    this.#cache.put(entry, new NumberPack())
    this.#packCount++
    return entry
  }

  /** Splits a pack, which is being changed, until none of its parts has too many cells. */
  #split(entry: CellEntry<NumberPack>): void {
    this.#lastEntry = undefined
    const pack = packIn(entry)
    const [group, number] = [entry.sub, entry.key as number]
    const depth = this.#directory.depthOf(group, number)
    if (depth < DEPTH_MAX && pack.keys.length > PACK_CELLS_MAX) {
      const half = this.#create(group, this.#directory.split(group, number))
      const { keys, values } = pack
      pack.keys = []
      pack.values = []
      const other = packIn(half)
      keys.forEach((key, index) => {
        const isOthers = (hashKey(key) & (1 << depth)) !== 0
        ;(isOthers ? other : pack).add(key, values[index])
      })
      this.#split(half)
      this.#split(entry)
    }
    this.#cache.resized(entry)
  }
}

function packIn(entry: CellEntry<NumberPack>): NumberPack {
  const { value } = entry
  assert(value !== ABSENT, 'A pack that the directory names is there')
  return value
}

function packHash(group: number, pack: number): number {
  return fmix32(pack ^ Math.imul(group + 1, 0x9e37_79b1))
}
