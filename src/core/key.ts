/** What a record can be brought together by, and the one order that keys have. */
import { EngineError } from './errors.ts'

/** What one part of a key can be. */
export type KeyPart = string | number | bigint | boolean

/**
 * A key: one part, or a tuple of parts. Keys are equal when their canonical bytes are equal: `1`, `1n` and `'1'` differ,
 * `-0` is `0`, and `NaN` is refused at run time (`KEY_INVALID`).
 */
export type Key = KeyPart | readonly [KeyPart, ...KeyPart[]]

/** A key as the engine holds it: `null` is the one key of a stream that is not keyed (`windowAll`). */
export type AnyKey = Key | null

/** Refuses what is no key, telling what it was and what to do. */
export function checkKey(key: unknown): AnyKey {
  switch (typeof key) {
    case 'string':
    case 'bigint':
    case 'boolean':
      return key
    case 'number':
      if (Number.isNaN(key)) throw invalidKey('NaN')
      return key === 0 ? 0 : key
    default:
      if (key === null) return null
      if (Array.isArray(key) && key.length > 0) {
        for (const part of key) {
          if (typeof part === 'object' || typeof part === 'function') {
            throw invalidKey(`a tuple with ${describe(part)} in it`)
          }
          checkKey(part)
        }
        return key as unknown as Key
      }
      throw invalidKey(describe(key))
  }
}

/** Whether two keys are the same key. */
export function sameKey(a: AnyKey, b: AnyKey): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/**
 * The order of keys, the same as the order of their canonical bytes: null, false, true, numbers, bigints, strings by
 * code point, tuples part by part.
 */
export function compareKeys(a: AnyKey, b: AnyKey): number {
  const rankA = rankOf(a)
  const rankB = rankOf(b)
  if (rankA !== rankB) return rankA - rankB
  switch (typeof a) {
    case 'number':
    case 'bigint':
      return a < (b as typeof a) ? -1 : a > (b as typeof a) ? 1 : 0
    case 'string':
      return compareStrings(a, b as string)
    case 'object':
      return a === null ? 0 : compareTuples(a, b as readonly KeyPart[])
    default:
      return 0
  }
}

/** A key as messages show it. */
export function formatKey(key: AnyKey): string {
  if (typeof key === 'bigint') return `${key}n`
  if (typeof key === 'number') return String(key)
  if (typeof key === 'object' && key !== null) return `[${key.map(formatKey).join(', ')}]`
  return JSON.stringify(key)
}

function rankOf(key: AnyKey): number {
  switch (typeof key) {
    case 'boolean':
      return key ? 3 : 2
    case 'number':
      return 4
    case 'bigint':
      return 5
    case 'string':
      return 6
    default:
      return key === null ? 1 : 7
  }
}

function compareTuples(a: readonly KeyPart[], b: readonly KeyPart[]): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) {
    const order = compareKeys(a[i] as KeyPart, b[i] as KeyPart)
    if (order !== 0) return order
  }
  return a.length - b.length
}

function compareStrings(a: string, b: string): number {
  if (a === b) return 0
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) {
    const unitA = a.charCodeAt(i)
    const unitB = b.charCodeAt(i)
    if (unitA !== unitB) return codePointRank(a, i, unitA) - codePointRank(b, i, unitB)
  }
  return a.length - b.length
}

/** Orders code units as their code points: the two halves of a pair stand above all of the basic plane. */
function codePointRank(text: string, index: number, codeUnit: number): number {
  const isPairHalf =
    (codeUnit >= 0xd800 && codeUnit < 0xdc00 && isLow(text.charCodeAt(index + 1))) ||
    (isLow(codeUnit) && index > 0 && isHigh(text.charCodeAt(index - 1)))
  return isPairHalf ? codeUnit + 0x10000 : codeUnit
}

function isHigh(codeUnit: number): boolean {
  return codeUnit >= 0xd800 && codeUnit < 0xdc00
}

function isLow(codeUnit: number): boolean {
  return codeUnit >= 0xdc00 && codeUnit < 0xe000
}

function describe(value: unknown): string {
  if (value === undefined) return 'undefined'
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an empty array'
  if (value instanceof Promise) return 'a promise'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

function invalidKey(what: string): EngineError {
  return new EngineError(
    'KEY_INVALID',
    `The key selector returned ${what}; a key is a string, number (not NaN), bigint, boolean or a non-empty tuple of them`,
  )
}
