/**
 * A map per key that is read in key order, piece by piece: a head in cell 0 and pages of entries in cells numbered upwards. A
 * B-tree of two levels, made so that every access reads the head and one page with plain synchronous gets.
 *
 * Invariants
 *  - There is a head exactly when the map is not empty.
 *  - Pages are listed in the head in key order, with the lowest key each may hold; the first may hold any lower key. None is
 *    empty, none has more than `PAGE_ENTRIES_MAX` entries, and their entries are in key order.
 */
import type { KeyedCells } from '../contract/state-backend.ts'
import type { MapState } from '../contract/state.ts'
import type { Key } from '../core/key.ts'
import { checkKey, compareKeys, sameKey } from '../core/key.ts'
import { copyValue, keepValue } from '../core/value.ts'

const PAGE_ENTRIES_MAX = 32

interface MapHead {
  /** Lowest key of each page. */
  readonly lows: Key[]
  /** Cell of each page. */
  readonly pages: number[]
  nextPage: number
}

interface MapPage<V> {
  readonly keys: Key[]
  readonly values: V[]
}

export class CellMapState<M extends Key, V> implements MapState<M, V> {
  readonly #cells: KeyedCells<MapHead | MapPage<V>>

  constructor(cells: KeyedCells<MapHead | MapPage<V>>) {
    this.#cells = cells
  }

  get(key: M): V | undefined {
    const page = this.#pageOf(key)
    if (page === undefined) return undefined
    const at = lowerBound(page.keys, key)
    return isAt(page.keys, at, key) ? copyValue(page.values[at]) : undefined
  }

  has(key: M): boolean {
    const page = this.#pageOf(key)
    return page !== undefined && isAt(page.keys, lowerBound(page.keys, key), key)
  }

  set(given: M, value: V): void {
    const key = keepValue(checkKey(given)) as Key
    const head = this.#head()
    if (head === undefined) {
      this.#cells.put(1, { keys: [key], values: [keepValue(value)] })
      this.#cells.put(0, { lows: [key], pages: [1], nextPage: 2 })
      return
    }
    const index = pageIndex(head, key)
    const cell = head.pages[index] as number
    const page = this.#cells.edit(cell) as MapPage<V>
    const at = lowerBound(page.keys, key)
    if (isAt(page.keys, at, key)) {
      page.values[at] = keepValue(value)
    } else {
      page.keys.splice(at, 0, key)
      page.values.splice(at, 0, keepValue(value))
      if (page.keys.length > PAGE_ENTRIES_MAX) this.#split(index, page)
    }
    this.#cells.put(cell, page)
  }

  delete(key: M): void {
    const head = this.#head()
    if (head === undefined) return
    const index = pageIndex(head, key)
    const cell = head.pages[index] as number
    const page = this.#cells.get(cell) as MapPage<V>
    const at = lowerBound(page.keys, key)
    if (!isAt(page.keys, at, key)) return
    if (page.keys.length === 1) return this.#dropPage(index)
    const own = this.#cells.edit(cell) as MapPage<V>
    own.keys.splice(at, 1)
    own.values.splice(at, 1)
    this.#cells.put(cell, own)
  }

  clear(): void {
    const head = this.#head()
    if (head === undefined) return
    for (const cell of head.pages) this.#cells.remove(cell)
    this.#cells.remove(0)
  }

  isEmpty(): boolean {
    return this.#head() === undefined
  }

  /** Takes a page at a time: what is set meanwhile may or may not be seen, what is deleted is not. */
  *entries(range: { readonly from?: M; readonly to?: M } = {}): Iterable<readonly [M, V]> {
    const { from, to } = range
    let after: Key | undefined
    for (;;) {
      const keys = this.#keysAfter(after, from)
      if (keys.length === 0) return
      for (const key of keys) {
        if (to !== undefined && compareKeys(key, to) >= 0) return
        const page = this.#pageOf(key)
        const at = page === undefined ? -1 : lowerBound(page.keys, key)
        if (page === undefined || !isAt(page.keys, at, key)) continue
        yield [copyValue(key) as M, copyValue(page.values[at]) as V]
      }
      after = keys.at(-1)
    }
  }

  /** The keys of one page behind `after`, or from `from` on; none at the end. */
  #keysAfter(after: Key | undefined, from: Key | undefined): readonly Key[] {
    const head = this.#head()
    if (head === undefined) return []
    const start = after ?? from
    for (
      let index = start === undefined ? 0 : pageIndex(head, start);
      index < head.pages.length;
      index++
    ) {
      const { keys } = this.#cells.get(head.pages[index] as number) as MapPage<V>
      let at = start === undefined ? 0 : lowerBound(keys, start)
      if (after !== undefined && isAt(keys, at, after)) at += 1
      if (at < keys.length) return keys.slice(at)
    }
    return []
  }

  #head(): MapHead | undefined {
    return this.#cells.get(0) as MapHead | undefined
  }

  #pageOf(key: Key): MapPage<V> | undefined {
    const head = this.#head()
    if (head === undefined) return undefined
    return this.#cells.get(head.pages[pageIndex(head, key)] as number) as MapPage<V>
  }

  /** Moves the upper half of a page to a new one. */
  #split(index: number, page: MapPage<V>): void {
    const head = this.#cells.edit(0) as MapHead
    const half = page.keys.length >> 1
    const keys = page.keys.splice(half)
    const values = page.values.splice(half)
    const cell = head.nextPage++
    head.lows.splice(index + 1, 0, keys[0] as Key)
    head.pages.splice(index + 1, 0, cell)
    this.#cells.put(cell, { keys, values })
    this.#cells.put(0, head)
  }

  #dropPage(index: number): void {
    const head = this.#cells.edit(0) as MapHead
    this.#cells.remove(head.pages[index] as number)
    head.lows.splice(index, 1)
    head.pages.splice(index, 1)
    if (head.pages.length === 0) this.#cells.remove(0)
    else this.#cells.put(0, head)
  }
}

/** The last page whose lowest key is not above `key`; the first takes what is lower. */
function pageIndex({ lows }: MapHead, key: Key): number {
  const at = lowerBound(lows, key)
  return isAt(lows, at, key) ? at : Math.max(0, at - 1)
}

/** The first index whose key is not below `key`. */
function lowerBound(keys: readonly Key[], key: Key): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (compareKeys(keys[middle] as Key, key) < 0) low = middle + 1
    else high = middle
  }
  return low
}

function isAt(keys: readonly Key[], index: number, key: Key): boolean {
  const found = keys[index]
  return found !== undefined && sameKey(found, key)
}
