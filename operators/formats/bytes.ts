/** Bytes as they are: the format of `bytes()`. */
import type { Format } from '../../src/contract/format.ts'
import { EngineError } from '../../src/core/errors.ts'

/**
 * Bytes, untouched. What is decoded is a plain Uint8Array with memory of its own, whatever buffer the connector read into.
 *
 * @example
 * kafkaSource({ brokers, topics: ['images'], value: bytes() })
 */
export function bytes(): Format<Uint8Array> {
  return { name: 'bytes', encode: encodeBytes, decode: copyOf }
}

function encodeBytes(value: Uint8Array): Uint8Array {
  if (value instanceof Uint8Array) return value
  throw new EngineError(
    'VALUE_UNSUPPORTED',
    `The value cannot be written as bytes: it is of type ${typeof value}; map it to a Uint8Array`,
  )
}

/** `slice` of a plain array copies at half the price of the constructor; of a Buffer it would not copy. */
function copyOf(read: Uint8Array): Uint8Array {
  return Buffer.isBuffer(read) ? new Uint8Array(read) : read.slice()
}
