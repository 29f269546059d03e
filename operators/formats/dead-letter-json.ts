/** Dead letters as JSON that people can read: the format of `deadLetterJson()`. */
import type { Format } from '../../src/contract/format.ts'
import type { DeadLetter } from '../../src/core/dead-letter.ts'
import { isUtf8 } from 'node:buffer'
import { readUtf8 } from './utf8.ts'

/** Bytes: as text where they are UTF-8, else in base64. */
type BytesJson = { readonly text: string } | { readonly base64: string } | null

interface LetterJson extends Omit<DeadLetter, 'value' | 'key' | 'headers'> {
  readonly value: BytesJson
  readonly key: BytesJson
  readonly headers: Readonly<Record<string, BytesJson>>
}

/**
 * Dead letters as JSON. Values, keys and headers are bytes, and stand there as `{ "text": … }` where they are UTF-8 and as
 * `{ "base64": … }` where they are not, so that what is read from such a topic is byte for byte what was refused.
 *
 * @example
 * env.deadLetters.to('undecodable', kafkaSink({ brokers, topic: 'views-undecodable', value: deadLetterJson() }))
 */
export function deadLetterJson(): Format<DeadLetter> {
  return { name: 'deadLetterJson', encode, decode }
}

function encode({ value, key, headers, ...rest }: DeadLetter): Uint8Array {
  const json: LetterJson = {
    ...rest,
    key: toJson(key),
    value: toJson(value),
    headers: Object.fromEntries(Array.from(headers, ([name, bytes]) => [name, toJson(bytes)])),
  }
  return Buffer.from(JSON.stringify(json))
}

function decode(bytes: Uint8Array): DeadLetter {
  const { value, key, headers, ...rest } = JSON.parse(readUtf8(bytes)) as LetterJson
  return {
    ...rest,
    key: fromJson(key),
    value: fromJson(value),
    headers: new Map(
      Object.entries(headers).map(([name, json]) => [name, fromJson(json) ?? new Uint8Array()]),
    ),
  }
}

function toJson(bytes: Uint8Array | null): BytesJson {
  if (bytes === null) return null
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return isUtf8(buffer) ? { text: buffer.toString() } : { base64: buffer.toString('base64') }
}

function fromJson(json: BytesJson): Uint8Array | null {
  if (json === null) return null
  return new Uint8Array(
    'text' in json ? Buffer.from(json.text) : Buffer.from(json.base64, 'base64'),
  )
}
