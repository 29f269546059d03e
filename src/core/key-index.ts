/**
 * An open-addressing hash index from (key, sub) to the number of an entry; what an entry holds lies elsewhere, in arrays beside it.
 *
 * Entries are numbered densely in the order they were made; growth rebuilds the slots only and never renumbers an entry. Freed
 * numbers are used again.
 *
 * A slot is an entry and its hash side by side, so that a probe costs one cache miss. As long as all keys are 32-bit integers and
 * there are no subs, equal hashes are equal keys (the hash of integers is a bijection), and keys are not looked at
 * (bench/state/key-index.bench.ts).
 *
 * Invariants
 *  - A live entry has exactly one slot, a freed one none.
 *  - Slots are at most half full, so that linear probing stays short.
 */
import { fmix32 } from './key-hash.ts'
import type { AnyKey } from './key.ts'
import { sameKey } from './key.ts'

const CAPACITY_MIN = 8
/** Two slots for an entry, two words for a slot. */
const WORDS_PER_ENTRY = 4
/** Slots, keys and values of so many entries fit the nearer caches. */
const WARMED_AT_ONCE = 512

/** Entry numbers + 1, or 0, of the hashes being warmed. */
const warmed = new Int32Array(WARMED_AT_ONCE)

export class KeyIndex {
  /** Pairs: entry number + 1 or 0, hash. */
  #slots = new Int32Array(CAPACITY_MIN * WORDS_PER_ENTRY)
  #mask = CAPACITY_MIN * WORDS_PER_ENTRY - 2
  readonly #keys: AnyKey[] = []
  readonly #subs: number[] | undefined
  readonly #free: number[] = []
  #liveCount = 0
  #hasOnlyInts: boolean

  /** `hasSubs`: whether entries are told apart by `sub` too. */
  constructor(hasSubs: boolean) {
    this.#subs = hasSubs ? [] : undefined
    this.#hasOnlyInts = !hasSubs
  }

  get liveCount(): number {
    return this.#liveCount
  }

  /** Entries are numbered from 0 to before this, free ones included. */
  get entryCount(): number {
    return this.#keys.length
  }

  key(entry: number): AnyKey {
    return this.#keys[entry] as AnyKey
  }

  /** 0 where there are no subs. */
  sub(entry: number): number {
    return this.#subs === undefined ? 0 : (this.#subs[entry] as number)
  }

  /** The entry of a key, or -1. */
  find(key: AnyKey, hash: number, sub: number): number {
    const mixed = this.#subs === undefined ? hash : mix(hash, sub)
    const slots = this.#slots
    const mask = this.#mask
    if (this.#hasOnlyInts) {
      if (!isInt(key)) return -1
      for (let at = (mixed << 1) & mask; ; at = (at + 2) & mask) {
        const entry = (slots[at] as number) - 1
        if (entry < 0 || slots[at + 1] === mixed) return entry
      }
    }
    for (let at = (mixed << 1) & mask; ; at = (at + 2) & mask) {
      const entry = (slots[at] as number) - 1
      if (entry < 0 || (slots[at + 1] === mixed && this.#isAt(entry, key, sub))) return entry
    }
  }

  /** Makes an entry for a key that has none. The key is kept as it is. */
  insert(key: AnyKey, hash: number, sub: number): number {
    if (this.#hasOnlyInts && !isInt(key)) this.#hasOnlyInts = false
    const entry = this.#free.pop() ?? this.#keys.length
    if ((this.#liveCount + 1) * WORDS_PER_ENTRY > this.#slots.length) this.#grow()
    this.#keys[entry] = key
    if (this.#subs !== undefined) this.#subs[entry] = sub
    place(this.#slots, this.#mask, entry, this.#subs === undefined ? hash : mix(hash, sub))
    this.#liveCount += 1
    return entry
  }

  /** Frees the entry of a key. */
  remove(entry: number, hash: number): void {
    this.#unplace(entry, this.#subs === undefined ? hash : mix(hash, this.#subs[entry] as number))
    this.#keys[entry] = null
    this.#free.push(entry)
    this.#liveCount -= 1
  }

  /**
   * Looks at the slots of some hashes, at their keys unless all are integers, and at what lies beside their entries, so that whoever
   * needs them next has them in its cache. One kind after the other, each in a loop with no branch that hangs on what it
   * looks at: so the processor fetches many side by side instead of one after the other. Not for an index with subs. Answers a sum of what
   * it saw: a caller that keeps it keeps the compiler from leaving the work out.
   */
  warm(hashes: Int32Array, from: number, to: number, beside: readonly unknown[]): number {
    let seen = 0
    for (let start = from; start < to; start += WARMED_AT_ONCE) {
      const end = Math.min(to, start + WARMED_AT_ONCE)
      seen += this.#warmSlots(hashes, start, end)
      const count = end - start
      if (!this.#hasOnlyInts) seen += warmValues(this.#keys, count)
      seen += warmValues(beside, count)
    }
    return seen | 0
  }

  /** Also notes the entries, in `warmed`. */
  #warmSlots(hashes: Int32Array, from: number, to: number): number {
    const slots = this.#slots
    const mask = this.#mask
    let seen = 0
    for (let i = from; i < to; i++) seen += slots[((hashes[i] as number) << 1) & mask] as number
    for (let i = from; i < to; i++) {
      const hash = hashes[i] as number
      let at = (hash << 1) & mask
      while (slots[at + 1] !== hash && slots[at] !== 0) at = (at + 2) & mask
      warmed[i - from] = slots[at] as number
    }
    return seen
  }

  #isAt(entry: number, key: AnyKey, sub: number): boolean {
    if (this.#subs !== undefined && this.#subs[entry] !== sub) return false
    const own = this.#keys[entry] as AnyKey
    return own === key || (typeof key === 'object' && sameKey(own, key))
  }

  /** Takes an entry's slot away and closes the gap, so that no probe stops too early. */
  #unplace(entry: number, hash: number): void {
    const slots = this.#slots
    const mask = this.#mask
    let gap = (hash << 1) & mask
    while (slots[gap] !== entry + 1) gap = (gap + 2) & mask
    for (let at = (gap + 2) & mask; slots[at] !== 0; at = (at + 2) & mask) {
      const home = ((slots[at + 1] as number) << 1) & mask
      const isHomeBehindGap = gap <= at ? home > gap && home <= at : home > gap || home <= at
      if (isHomeBehindGap) continue
      slots[gap] = slots[at] as number
      slots[gap + 1] = slots[at + 1] as number
      gap = at
    }
    slots[gap] = 0
  }

  #grow(): void {
    const former = this.#slots
    const slots = new Int32Array(former.length * 2)
    const mask = slots.length - 2
    for (let at = 0; at < former.length; at += 2) {
      const entry = (former[at] as number) - 1
      if (entry >= 0) place(slots, mask, entry, former[at + 1] as number)
    }
    this.#slots = slots
    this.#mask = mask
  }
}

function place(slots: Int32Array, mask: number, entry: number, hash: number): void {
  let at = (hash << 1) & mask
  while (slots[at] !== 0) at = (at + 2) & mask
  slots[at] = entry + 1
  slots[at + 1] = hash
}

/** Looks at what lies beside the entries in `warmed`, and at the head of what is no number. */
function warmValues(values: readonly unknown[], count: number): number {
  let seen = 0
  for (let i = 0; i < count; i++) {
    const entry = warmed[i] as number
    if (entry === 0) continue
    // the value itself must count: that it is not undefined, the compiler may know without looking
    const value = values[entry - 1]
    seen += typeof value === 'number' ? value | 0 : 1
  }
  return seen
}

function isInt(key: AnyKey): boolean {
  return typeof key === 'number' && (key | 0) === key
}

function mix(hash: number, sub: number): number {
  return fmix32(hash ^ Math.imul(sub | 0, 0x9e3779b1) ^ (sub / 4294967296))
}
