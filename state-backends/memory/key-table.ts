/**
 * An open-addressing hash table from (key, sub) to a value, which can be snapshotted while it changes.
 *
 * Entries lie densely, in the order they were made, beside an index of slots: growth rebuilds the index only and never moves
 * an entry, so a snapshot's cursor stays valid. Freed entries are used again.
 *
 * Invariants
 *  - A live entry has a value other than undefined and exactly one slot; a freed one has neither.
 *  - While a snapshot runs, an entry that existed at its barrier and was not walked yet keeps the value it had: before
 *    it changes, that value goes to the snapshot (`Preserve`), and the entry is marked so that the walk passes it by.
 *  - Starting a snapshot costs a few assignments, whatever the size. While none runs, nothing is paid for it.
 */
import { fmix32 } from '../../src/core/key-hash.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { sameKey } from '../../src/core/key.ts'
import { keepValue } from '../../src/core/value.ts'

const CAPACITY_MIN = 8
/** Slots are at most half full, so linear probing stays short. */
const SLOTS_PER_ENTRY = 2

/** Takes the value that an entry had at the barrier. */
export type Preserve<V> = (key: AnyKey, sub: number, value: V) => void

export class KeyTable<V> {
  /** Entry index + 1; 0 is free. */
  #slots = new Int32Array(CAPACITY_MIN * SLOTS_PER_ENTRY)
  #mask = CAPACITY_MIN * SLOTS_PER_ENTRY - 1
  #hashes = new Int32Array(CAPACITY_MIN)
  readonly #keys: AnyKey[] = []
  readonly #values: (V | undefined)[] = []
  readonly #subs: number[] | undefined
  readonly #free: number[] = []
  #liveCount = 0
  // a running snapshot: entries from `#walked` to before `#walkEnd` are still to be visited, but for those marked in `#passed`
  #preserve: Preserve<V> | undefined
  #walked = 0
  #walkEnd = 0
  #passed: Uint8Array | undefined

  /** `hasSubs`: whether entries are told apart by `sub` too. */
  constructor(hasSubs: boolean) {
    this.#subs = hasSubs ? [] : undefined
  }

  get liveCount(): number {
    return this.#liveCount
  }

  /** The entry of a key, or -1. */
  find(key: AnyKey, hash: number, sub: number): number {
    const mixed = this.#subs === undefined ? hash : mix(hash, sub)
    const slots = this.#slots
    const hashes = this.#hashes
    const mask = this.#mask
    for (let slot = mixed & mask; ; slot = (slot + 1) & mask) {
      const entry = (slots[slot] as number) - 1
      if (entry < 0) return -1
      if (hashes[entry] === mixed && this.#isAt(entry, key, sub)) return entry
    }
  }

  /** Makes an entry for a key that has none. */
  insert(key: AnyKey, hash: number, sub: number, value: V): number {
    const mixed = this.#subs === undefined ? hash : mix(hash, sub)
    const entry = this.#free.pop() ?? this.#keys.length
    if (entry === this.#hashes.length) this.#grow()
    // an entry used again while a snapshot runs is new: the walk must pass it by
    if (this.#preserve !== undefined) this.#pass(entry)
    this.#hashes[entry] = mixed
    this.#keys[entry] = typeof key === 'number' ? key : keepValue(key)
    this.#values[entry] = value
    if (this.#subs !== undefined) this.#subs[entry] = sub
    this.#place(entry, mixed)
    this.#liveCount += 1
    return entry
  }

  /** The value of an entry; undefined where it is free. */
  value(entry: number): V | undefined {
    return this.#values[entry]
  }

  key(entry: number): AnyKey {
    return this.#keys[entry] as AnyKey
  }

  /** Entries are numbered from 0 to before this, free ones included. */
  get entryCount(): number {
    return this.#keys.length
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

  remove(entry: number): void {
    if (this.#preserve !== undefined) this.#beforeChange(entry)
    this.#unplace(entry)
    this.#values[entry] = undefined
    this.#keys[entry] = null
    this.#free.push(entry)
    this.#liveCount -= 1
  }

  /** Begins a snapshot of what is in the table now; `preserve` gets values that change before `walk` has come to them. */
  beginSnapshot(preserve: Preserve<V>): void {
    this.#preserve = preserve
    this.#walked = 0
    this.#walkEnd = this.#keys.length
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
      visit(
        this.#keys[entry] as AnyKey,
        this.#subs === undefined ? 0 : (this.#subs[entry] as number),
        value,
      )
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
    const sub = this.#subs === undefined ? 0 : (this.#subs[entry] as number)
    this.#preserve?.(this.#keys[entry] as AnyKey, sub, this.#values[entry] as V)
  }

  #pass(entry: number): void {
    if (entry < this.#walked || entry >= this.#walkEnd) return
    this.#passed ??= new Uint8Array(this.#walkEnd)
    this.#passed[entry] = 1
  }

  #isAt(entry: number, key: AnyKey, sub: number): boolean {
    if (this.#subs !== undefined && this.#subs[entry] !== sub) return false
    const own = this.#keys[entry] as AnyKey
    return own === key || (typeof key === 'object' && sameKey(own, key))
  }

  #place(entry: number, hash: number): void {
    const slots = this.#slots
    const mask = this.#mask
    let slot = hash & mask
    while (slots[slot] !== 0) slot = (slot + 1) & mask
    slots[slot] = entry + 1
  }

  /** Takes an entry's slot away and closes the gap, so that no probe stops too early. */
  #unplace(entry: number): void {
    const slots = this.#slots
    const mask = this.#mask
    let gap = (this.#hashes[entry] as number) & mask
    while (slots[gap] !== entry + 1) gap = (gap + 1) & mask
    for (let slot = (gap + 1) & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const home = (this.#hashes[(slots[slot] as number) - 1] as number) & mask
      const isHomeBehindGap = gap <= slot ? home > gap && home <= slot : home > gap || home <= slot
      if (isHomeBehindGap) continue
      slots[gap] = slots[slot] as number
      gap = slot
    }
    slots[gap] = 0
  }

  #grow(): void {
    const capacity = this.#hashes.length * 2
    const hashes = new Int32Array(capacity)
    hashes.set(this.#hashes)
    this.#hashes = hashes
    this.#slots = new Int32Array(capacity * SLOTS_PER_ENTRY)
    this.#mask = this.#slots.length - 1
    for (let entry = 0; entry < this.#keys.length; entry++) {
      if (this.#values[entry] !== undefined) this.#place(entry, this.#hashes[entry] as number)
    }
  }
}

function mix(hash: number, sub: number): number {
  return fmix32(hash ^ Math.imul(sub | 0, 0x9e3779b1) ^ (sub / 4294967296))
}
