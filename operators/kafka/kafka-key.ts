/**
 * A key of the engine as bytes of a Kafka record: a string as UTF-8, everything else as JSON text (`17`, `true`,
 * `["eu",17]`; a bigint as its digits). So the keys `17`, `17n` and `'17'`, which the engine tells apart, are one key in the topic:
 * whoever needs the difference makes it in the key function. What has no such text is refused: lone surrogates and infinities.
 */
import { EngineError } from '../../src/core/errors.ts'
import { checkKey } from '../../src/core/key.ts'
import type { KeyPart } from '../../src/core/key.ts'

/** The bytes of what a key function returned; null is no key. Throws `KEY_INVALID`. */
export function encodeKey(value: unknown): Buffer | null {
  const key = checkKey(value)
  if (key === null) return null
  if (typeof key !== 'object') return Buffer.from(typeof key === 'string' ? text(key) : json(key))
  return Buffer.from(`[${key.map(json).join(',')}]`)
}

function json(part: KeyPart): string {
  switch (typeof part) {
    case 'string':
      return JSON.stringify(text(part))
    case 'number':
      if (!Number.isFinite(part)) throw withoutText(String(part))
      return String(part === 0 ? 0 : part)
    default:
      return String(part)
  }
}

function text(key: string): string {
  if (!key.isWellFormed()) throw withoutText(JSON.stringify(key))
  return key
}

function withoutText(key: string): EngineError {
  return new EngineError(
    'KEY_INVALID',
    `The key ${key} of a Kafka record has no exact text; keys of records are well-formed strings, finite numbers, bigints, booleans and tuples of them`,
  )
}
