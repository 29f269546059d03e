/**
 * A hash table from (key, sub) to a value, which can be snapshotted while it changes.
 *
 * Values lie densely beside a `KeyIndex`, which never renumbers an entry: a snapshot's cursor stays valid while the table grows.
 *
 * Invariants
 *  - A live entry has a value other than undefined, a freed one has none.
 *  - While a snapshot runs, an entry that existed at its barrier and was not walked yet keeps the value it had: before
 *    it changes, that value goes to the snapshot (`Preserve`), and the entry is marked so that the walk passes it by.
 *  - Starting a snapshot costs a few assignments, whatever the size. While none runs, nothing is paid for it.
 */
import { KeyIndex } from '../../src/core/key-index.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { keepValue } from '../../src/core/value.ts'

/** Takes the value that an entry had at the barrier. */
export type Preserve<V> = (key: AnyKey, sub: number, value: V) => void

export class KeyTable<V> {
  readonly #index: KeyIndex
  readonly #values: (V | undefined)[] = []
  // a running snapshot: entries from `#walked` to before `#walkEnd` are still to be visited, but for those marked in `#passed`
  #preserve: Preserve<V> | undefined
  #walked = 0
  #walkEnd = 0
  #passed: Uint8Array | undefined

  /** `hasSubs`: whether entries are told apart by `sub` too. */
  constructor(hasSubs: boolean) {
    this.#index = new KeyIndex(hasSubs)
  }

  get liveCount(): number {
    return this.#index.liveCount
  }

  /** The entry of a key, or -1. */
  find(key: AnyKey, hash: number, sub: number): number {
    return this.#index.find(key, hash, sub)
  }

  /** Brings the entries of keys with these hashes into the processor's cache; see `KeyIndex.warm`. */
  warm(hashes: Int32Array, from: number, to: number): number {
    return this.#index.warm(hashes, from, to, this.#values)
  }

  /** Makes an entry for a key that has none. */
  insert(key: AnyKey, hash: number, sub: number, value: V): number {
    const entry = this.#index.insert(typeof key === 'number' ? key : keepValue(key), hash, sub)
    // an entry used again while a snapshot runs is new: the walk must pass it by
    if (this.#preserve !== undefined) this.#pass(entry)
    this.#values[entry] = value
    return entry
  }

  /** The value of an entry; undefined where it is free. */
  value(entry: number): V | undefined {
    return this.#values[entry]
  }

  key(entry: number): AnyKey {
    return this.#index.key(entry)
  }

  /** Entries are numbered from 0 to before this, free ones included. */
  get entryCount(): number {
    return this.#index.entryCount
  }

  set(entry: number, value: V): void {
    if (this.#preserve !== undefined) this.#beforeChange(entry)
    this.#values[entry] = value
  }

  /** The value, to be changed in place. */
  edit(entry: number): V {
    if (this.#preserve !== undefined) this.#beforeChange(entry)
    return this.#values[entry] as V
  }

  /** `hash`: that of the entry's key. */
  remove(entry: number, hash: number): void {
    if (this.#preserve !== undefined) this.#beforeChange(entry)
    this.#index.remove(entry, hash)
    this.#values[entry] = undefined
  }

  /** Begins a snapshot of what is in the table now; `preserve` gets values that change before `walk` has come to them. */
  beginSnapshot(preserve: Preserve<V>): void {
    this.#preserve = preserve
    this.#walked = 0
    this.#walkEnd = this.#index.entryCount
    this.#passed = undefined
  }

  /** Visits up to `entriesMax` entries of the snapshot; how many entries it looked at, 0 at the end. */
  walk(entriesMax: number, visit: Preserve<V>): number {
    const from = this.#walked
    const to = Math.min(this.#walkEnd, from + entriesMax)
    const passed = this.#passed
    for (let entry = from; entry < to; entry++) {
      const value = this.#values[entry]
      if (value === undefined || (passed !== undefined && passed[entry] === 1)) continue
      visit(this.#index.key(entry), this.#index.sub(entry), value)
    }
    this.#walked = to
    return to - from
  }

  /** The snapshot is over, finished or not. */
  endSnapshot(): void {
    this.#preserve = undefined
    this.#passed = undefined
  }

  #beforeChange(entry: number): void {
    if (entry < this.#walked || entry >= this.#walkEnd) return
    if (this.#passed !== undefined && this.#passed[entry] === 1) return
    this.#pass(entry)
    this.#preserve?.(this.#index.key(entry), this.#index.sub(entry), this.#values[entry] as V)
  }

  #pass(entry: number): void {
    if (entry < this.#walked || entry >= this.#walkEnd) return
    this.#passed ??= new Uint8Array(this.#walkEnd)
    this.#passed[entry] = 1
  }
}
