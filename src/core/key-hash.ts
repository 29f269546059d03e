/**
 * The hash `millrace-1` of a key: 32 bits, specified so that a key finds its key group on every version and machine.
 * Its name stands in every checkpoint and savepoint; golden vectors hold it still.
 *
 *   fmix(h)   the finalizer of MurmurHash3
 *   number    fmix(n ^ 0x243f6a88) if n is a 32-bit integer (-0 counts as 0),
 *             else fmix(low ^ fmix(high ^ 0x85a308d3)) of its IEEE 754 words
 *   string    FNV-1a over the UTF-16 code units from 0x13198a2e, then fmix(h ^ length)
 *   bigint    FNV-1a over the 32-bit limbs of the magnitude, low first, from 0x03707344 (+1 if negative), then fmix
 *   boolean   fmix(0xa4093822 + value)
 *   tuple     h = 0x299f31d0 ^ length; for each part h = fmix((h * 31) ^ hash(part))
 *   null      0
 */
import type { AnyKey } from './key.ts'
import { checkKey } from './key.ts'

/** The name of this hash, kept in checkpoints and savepoints. */
export const KEY_HASH_NAME = 'millrace-1'

const fnvPrime = 0x01000193
const limbMask = 0xffff_ffffn
const words = new Uint32Array(2)
const double = new Float64Array(words.buffer)
const [lowWord, highWord] = littleEndian() ? [0, 1] : [1, 0]

/** The finalizer of MurmurHash3: a bijection of the 32-bit integers in which each bit depends on each. */
export function fmix32(hash: number): number {
  let h = hash ^ (hash >>> 16)
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return h ^ (h >>> 16)
}

/** The hash of a valid key, as a signed 32-bit integer. */
export function hashKey(key: AnyKey): number {
  if (typeof key === 'number') return (key | 0) === key ? fmix32(key ^ 0x243f6a88) : hashDouble(key)
  if (typeof key === 'string') return hashString(key)
  return hashOther(key)
}

/** The hash of what a key selector returned; refuses what is no key. */
export function hashSelected(selected: unknown): number {
  if (typeof selected === 'number') {
    if ((selected | 0) === selected) return fmix32(selected ^ 0x243f6a88)
  } else if (typeof selected === 'string') {
    return hashString(selected)
  }
  return hashKey(checkKey(selected))
}

function hashDouble(key: number): number {
  double[0] = key
  return fmix32((words[lowWord] as number) ^ fmix32((words[highWord] as number) ^ 0x85a308d3))
}

function hashString(key: string): number {
  let h = 0x13198a2e
  const length = key.length
  for (let i = 0; i < length; i++) h = Math.imul(h ^ key.charCodeAt(i), fnvPrime)
  return fmix32(h ^ length)
}

function hashOther(key: AnyKey): number {
  if (typeof key === 'boolean') return fmix32((0xa4093822 + (key ? 1 : 0)) | 0)
  if (typeof key === 'bigint') return hashBigint(key)
  if (key === null) return 0
  const parts = key as readonly AnyKey[]
  let h = 0x299f31d0 ^ parts.length
  for (let i = 0; i < parts.length; i++) {
    h = fmix32(Math.imul(h, 31) ^ hashKey(parts[i] as AnyKey))
  }
  return h
}

function hashBigint(key: bigint): number {
  let h = 0x03707344 + (key < 0n ? 1 : 0)
  for (let rest = key < 0n ? -key : key; rest > 0n; rest >>= 32n) {
    h = Math.imul(h ^ Number(rest & limbMask), fnvPrime)
  }
  return fmix32(h)
}

function littleEndian(): boolean {
  double[0] = 1
  return words[1] !== 0
}
