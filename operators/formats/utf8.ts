/** UTF-8 bytes to text, refusing what is no UTF-8: by itself Node would put U+FFFD in the place of broken bytes. */
import { isUtf8 } from 'node:buffer'

/**
 * The text of `bytes`. Throws where they are no UTF-8. Well-formed text is not looked at twice: only where U+FFFD stands in the
 * result are the bytes asked whether it came from them.
 */
export function readUtf8(bytes: Uint8Array): string {
  const buffer = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const text = buffer.toString()
  if (text.includes('\ufffd') && !isUtf8(buffer)) throw new Error('The bytes are no UTF-8 text')
  return text
}
