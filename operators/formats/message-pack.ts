/** MessagePack as other programs read and write it: the format of `messagePack()`. */
import { Packr } from 'msgpackr'
import type { Format } from '../../src/contract/format.ts'
import type { Schema } from '../../src/core/schema.ts'
import { checkCarried } from './carried.ts'
import { checkedBy } from './schema-check.ts'

/**
 * MessagePack of plain values, without extensions but the one for timestamps. With a `schema` what is decoded is checked and
 * replaced by the schema's output.
 *
 * Maps are plain objects, binary is Uint8Array, timestamps are Dates. Integers up to 2^53 are read as numbers and larger ones as
 * bigints, whoever wrote them and as what. What MessagePack has no word for is refused with `VALUE_UNSUPPORTED` where it
 * is written: Map, Set, typed arrays but Uint8Array, bigints beyond 64 bits, text with lone surrogates, undefined anywhere but as
 * a field. Fields that are undefined are left out, -0 is written as 0.
 *
 * @example
 * kafkaSource({ brokers, topics: ['views'], value: messagePack<View>() })
 */
export function messagePack<T>(schema?: Schema<T>): Format<T> {
  const checked = checkedBy(schema)
  return {
    name: 'messagePack',
    encode(value) {
      checkCarried(value, 'MessagePack', complaint)
      return packr.pack(value)
    },
    decode: (bytes) => checked(packr.unpack(plainView(bytes))),
  }
}

const packr: Packr = Object.assign(
  new Packr({
    useRecords: false,
    mapsAsObjects: true,
    variableMapSize: true,
    copyBuffers: true,
    useToJSON: false,
    structuredClone: false,
  }),
  // documented, but left out of the declared options
  { int64AsType: 'auto', skipValues: [undefined] },
)

const int64Min = -(2n ** 63n)
const uint64Max = 2n ** 64n - 1n

/** msgpackr cuts binary out of what it reads, so from a Buffer it would cut Buffers. */
function plainView(bytes: Uint8Array): Uint8Array {
  return Buffer.isBuffer(bytes)
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : bytes
}

function complaint(leaf: unknown): string | undefined {
  switch (typeof leaf) {
    case 'number':
    case 'boolean':
      return undefined
    case 'string':
      return leaf.isWellFormed() ? undefined : 'text with a lone surrogate, which has no UTF-8 form'
    case 'bigint':
      if (leaf >= int64Min && leaf <= uint64Max) return undefined
      return 'a bigint beyond 64 bits; map it to text'
    case 'undefined':
      return 'undefined; map it to null'
    default:
      if (leaf instanceof Date) {
        return Number.isNaN(leaf.getTime()) ? 'an invalid Date; map it to null' : undefined
      }
      if (leaf instanceof Uint8Array) return undefined
      if (leaf instanceof Map) return 'a Map; map it with Object.fromEntries'
      if (leaf instanceof Set) return 'a Set; map it with Array.from'
      if (ArrayBuffer.isView(leaf)) return 'a typed array; map it to an array or to a Uint8Array'
      return 'no plain value; map it to a plain object'
  }
}
