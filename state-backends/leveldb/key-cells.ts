/**
 * Cells of layouts 'key' and 'page': one value per key, or per key and number. Nothing walks them by key; a rescale and a
 * savepoint walk key groups.
 *
 * `put` and `remove` read nothing, so a cell that is only overwritten costs no read. `edit` marks the cell as changed, since
 * it may be at any time until `put`.
 */
import type { KeyedCells } from '../../src/contract/state-backend.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { KeyReader, writeKey } from '../../src/core/key-bytes.ts'
import { keyGroupOf } from '../../src/core/key-group.ts'
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts'
import { ABSENT } from './cell-cache.ts'
import type { CellCache, CellSlot } from './cell-cache.ts'
import { CELL_PREFIX_BYTES, writeDouble, writePrefix } from './key-layout.ts'
import type { KeyAtHand } from './slice-keys.ts'

export interface KeyStateOptions {
  readonly cache: CellCache
  readonly at: KeyAtHand
  readonly layout: 'key' | 'page'
  readonly stateId: number
  readonly maxParallelism: number
  /** The number of its slot of the cache. */
  readonly slotId: number
}

/** The cells of one state. */
export class KeyState<V> implements KeyedCells<V> {
  readonly #cache: CellCache
  readonly #at: KeyAtHand
  readonly #slot: CellSlot<V>

  constructor(options: KeyStateOptions) {
    this.#cache = options.cache
    this.#at = options.at
    this.#slot = keySlot(options)
  }

  get(sub: number): V | undefined {
    this.#cache.trim()
    const { value } = this.#cache.load(this.#slot, this.#at.key, this.#at.hash, sub)
    return value === ABSENT ? undefined : value
  }

  edit(sub: number): V | undefined {
    this.#cache.trim()
    const entry = this.#cache.load(this.#slot, this.#at.key, this.#at.hash, sub)
    if (entry.value === ABSENT) return undefined
    this.#cache.change(entry)
    return entry.value
  }

  put(sub: number, value: V): void {
    this.#cache.trim()
    const entry = this.#cache.claim(this.#slot, this.#at.key, this.#at.hash, sub, false)
    this.#cache.put(entry, value)
  }

  remove(sub: number): void {
    this.#cache.trim()
    const entry = this.#cache.claim(this.#slot, this.#at.key, this.#at.hash, sub, false)
    if (entry.value === ABSENT && entry.isAbsentOnDisk && entry.changedIn === 0) return
    this.#cache.remove(entry)
  }
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
