/** Plain text, one string a message or line: the format of `text()`. */
import type { Format } from '../../src/contract/format.ts'
import { EngineError } from '../../src/core/errors.ts'
import { readUtf8 } from './utf8.ts'

/**
 * Text in UTF-8. Bytes that are no UTF-8 are undecodable, and text with a lone surrogate, which has no UTF-8 form, is refused with
 * `VALUE_UNSUPPORTED` where it is written.
 *
 * @example
 * fileSource({ path: 'access.log', format: text() })
 */
export function text(): Format<string> {
  return { name: 'text', encode: encodeText, decode: readUtf8 }
}

function encodeText(value: string): Uint8Array {
  if (typeof value !== 'string') {
    throw new EngineError(
      'VALUE_UNSUPPORTED',
      `The value cannot be written as text: it is of type ${typeof value}; map it to a string`,
    )
  }
  if (!value.isWellFormed()) {
    throw new EngineError(
      'VALUE_UNSUPPORTED',
      'The value cannot be written as text: it has a lone surrogate, which has no UTF-8 form; map it with toWellFormed()',
    )
  }
  return Buffer.from(value)
}
