/** JSON, one value a message or line: the format of `json()`. */
import type { Format } from '../../src/contract/format.ts'
import type { Schema } from '../../src/core/schema.ts'
import { checkCarried } from './carried.ts'
import { checkedBy } from './schema-check.ts'
import { readUtf8 } from './utf8.ts'

/**
 * JSON in UTF-8, without line ends inside. With a `schema` what is decoded is checked and replaced by the schema's output.
 *
 * What JSON has no word for is refused with `VALUE_UNSUPPORTED` where it is written: bigint, NaN and the infinities, Map, Set,
 * typed arrays, undefined anywhere but as a field. Fields that are undefined are left out, a Date is written as ISO 8601 text
 * and -0 as 0. A field named `__proto__` is read as a field, which the stream then refuses.
 *
 * @example
 * fileSource({ path: 'orders/*.jsonl', format: json<Order>() })
 */
export function json<T>(schema?: Schema<T>): Format<T> {
  const checked = checkedBy(schema)
  return {
    name: 'json',
    encode(value) {
      checkCarried(value, 'JSON', complaint)
      return Buffer.from(JSON.stringify(value))
    },
    decode: (bytes) => checked(JSON.parse(readUtf8(bytes))),
  }
}

function complaint(leaf: unknown): string | undefined {
  switch (typeof leaf) {
    case 'string':
    case 'boolean':
      return undefined
    case 'number':
      if (Number.isFinite(leaf)) return undefined
      return `${leaf}; map it to null or leave the field out`
    case 'bigint':
      return 'a bigint; map it to text or to a number'
    case 'undefined':
      return 'undefined; map it to null'
    default:
      if (leaf instanceof Date) {
        return Number.isNaN(leaf.getTime()) ? 'an invalid Date; map it to null' : undefined
      }
      if (leaf instanceof Map) return 'a Map; map it with Object.fromEntries'
      if (leaf instanceof Set) return 'a Set; map it with Array.from'
      if (ArrayBuffer.isView(leaf)) return 'binary; map it to an array of numbers or to text'
      return 'no plain value; map it to a plain object'
  }
}
