/**
 * Cells of layouts 'key' and 'page': one value per key, or per key and number. Nothing walks them by key; a rescale and a
 * savepoint walk key groups.
 *
 * A state whose first value under an integer key is a number keeps numbers under integer keys in packs (packed-cells.ts). What is
 * no number is kept as a cell of its own, and its pack says so; so is what has another key, of which packs know nothing.
 *
 * Of other cells `put` and `remove` read nothing, so a cell that is only overwritten costs no read. `edit` marks the cell as changed, since
 * it may be at any time until `put`.
 */
import type { KeyedCells } from '../../src/contract/state-backend.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { KeyReader, writeKey } from '../../src/core/key-bytes.ts'
import { keyGroupOf } from '../../src/core/key-group.ts'
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts'
import { assert } from '../../src/core/errors.ts'
import { ABSENT } from './cell-cache.ts'
import type { CellCache, CellSlot } from './cell-cache.ts'
import { CELL_PREFIX_BYTES, writeDouble, writePrefix } from './key-layout.ts'
import { ELSEWHERE } from './number-pack.ts'
import { NOT_THERE, PackedCells } from './packed-cells.ts'
import type { KeyAtHand } from './slice-keys.ts'

export interface KeyStateOptions {
  readonly cache: CellCache
  readonly at: KeyAtHand
  readonly layout: 'key' | 'page'
  readonly stateId: number
  readonly maxParallelism: number
  /** The first of `KEY_SLOTS` numbers for slots of the cache. */
  readonly slotId: number
}

/** Slots of the cache that a state of these layouts takes. */
export const KEY_SLOTS = 2

/** The cells of one state. */
export class KeyState<V> implements KeyedCells<V> {
  readonly #cache: CellCache
  readonly #at: KeyAtHand
  readonly #slot: CellSlot<V>
  readonly #options: KeyStateOptions
  #packs: PackedCells | undefined = undefined
  #mayPack: boolean

  constructor(options: KeyStateOptions) {
    this.#cache = options.cache
    this.#at = options.at
    this.#slot = keySlot(options)
    this.#options = options
    this.#mayPack = options.layout === 'key'
  }

  /** Whether integer keys are looked for in packs. */
  get isPacked(): boolean {
    return this.#packs !== undefined
  }

  /** Cells in memory beyond the entries that the cache has for them. */
  get cellsBeyondEntries(): number {
    return this.#packs?.cellsBeyondEntries ?? 0
  }

  /** There are cells of integer keys that no pack knows of. */
  keepUnpacked(): void {
    assert(!this.isPacked, 'A state with packs has no integer keys but theirs')
    this.#mayPack = false
  }

  /** Takes in the packs of a group of an opened database. */
  restorePacks(group: number, packs: ReadonlySet<number>): void {
    this.#beginPacks().restore(group, packs)
  }

  get(sub: number): V | undefined {
    this.#cache.trim()
    const { key, hash } = this.#at
    if (this.#packs !== undefined && isInteger(key)) {
      const found = this.#packs.get(key, hash)
      if (found === NOT_THERE) return undefined
      if (found !== ELSEWHERE) return found as V
    }
    const { value } = this.#cache.load(this.#slot, key, hash, sub)
    return value === ABSENT ? undefined : value
  }

  edit(sub: number): V | undefined {
    this.#cache.trim()
    const { key, hash } = this.#at
    if (this.#packs !== undefined && isInteger(key)) {
      const found = this.#packs.get(key, hash)
      if (found === NOT_THERE) return undefined
      if (found !== ELSEWHERE) return found as V
    }
    const entry = this.#cache.load(this.#slot, key, hash, sub)
    if (entry.value === ABSENT) return undefined
    this.#cache.change(entry)
    return entry.value
  }

  put(sub: number, value: V): void {
    this.#cache.trim()
    const { key, hash } = this.#at
    if (this.#mayPack) this.#choose(key, value)
    if (this.#packs !== undefined && isInteger(key)) {
      if (typeof value === 'number') {
        if (this.#packs.put(key, hash, value) === ELSEWHERE) this.#removeEntry(sub)
        return
      }
      this.#packs.put(key, hash, ELSEWHERE)
    }
    const entry = this.#cache.claim(this.#slot, key, hash, sub, false)
    this.#cache.put(entry, value)
  }

  remove(sub: number): void {
    this.#cache.trim()
    const { key, hash } = this.#at
    if (this.#packs !== undefined && isInteger(key)) {
      if (this.#packs.remove(key, hash) !== ELSEWHERE) return
    }
    this.#removeEntry(sub)
  }

  #removeEntry(sub: number): void {
    const entry = this.#cache.claim(this.#slot, this.#at.key, this.#at.hash, sub, false)
    if (entry.value === ABSENT && entry.isAbsentOnDisk && entry.changedIn === 0) return
    this.#cache.remove(entry)
  }

  /** By the first value under an integer key; others are kept one by one either way. */
  #choose(key: AnyKey, value: V): void {
    if (!isInteger(key)) return
    this.#mayPack = false
    if (typeof value === 'number') this.#beginPacks()
  }

  #beginPacks(): PackedCells {
    const { cache, stateId, maxParallelism, slotId } = this.#options
    this.#mayPack = false
    this.#packs ??= new PackedCells({ cache, stateId, maxParallelism, slotId: slotId + 1 })
    return this.#packs
  }
}

export function isInteger(key: AnyKey): key is number {
  return typeof key === 'number' && (key | 0) === key
}

/** Whose cell it is, from the bytes of its key. */
export function readCellKey(
  key: Buffer,
  layout: 'key' | 'page',
): { readonly key: AnyKey; readonly sub: number } {
  const reader = new KeyReader(key, CELL_PREFIX_BYTES)
  return { key: reader.read(), sub: layout === 'page' ? key.readDoubleBE(reader.offset) : 0 }
}

function keySlot<V>({ slotId, stateId, layout, maxParallelism }: KeyStateOptions): CellSlot<V> {
  const isPaged = layout === 'page'
  return {
    id: slotId,
    writeKey(out, entry) {
      writePrefix(out, keyGroupOf(entry.hash, maxParallelism), stateId)
      writeKey(out, entry.key)
      if (isPaged) writeDouble(out, entry.sub + 0)
    },
    encode: (value) => encodeValue(value),
    decode: (bytes) => decodeValue(bytes) as V,
  }
}
