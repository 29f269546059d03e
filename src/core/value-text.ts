/**
 * Values as text: the canonical encoding, a character a byte. Equal values of one order of fields have equal texts, so that a row can be
 * found among others; what was a value can be had back from it.
 */
import { hashKey } from './key-hash.ts'
import { decodeValue, encodeValue } from './value-codec.ts'

const PREVIEW_LENGTH_MAX = 200

export function textOfValue(value: unknown): string {
  const bytes = encodeValue(value)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

export function valueOfText(text: string): unknown {
  return decodeValue(Buffer.from(text, 'latin1'))
}

/** The same for equal values, in every thread and on every machine: from 0 to 2^32 - 1. */
export function hashOfValue(value: unknown): number {
  return hashKey(textOfValue(value)) >>> 0
}

/** A value for people to read in a message, cut where it is long. */
export function previewOf(value: unknown): string {
  const text = JSON.stringify(value, (_name, part: unknown) =>
    typeof part === 'bigint' ? `${part}n` : part,
  ) as string | undefined
  if (text === undefined) return String(value)
  return text.length <= PREVIEW_LENGTH_MAX ? text : `${text.slice(0, PREVIEW_LENGTH_MAX)}…`
}
