import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compress, decompress } from '../../../../operators/kafka/compression.ts'
import { decompressLz4 } from '../../../../operators/kafka/lz4.ts'
import { decompressSnappy } from '../../../../operators/kafka/snappy.ts'

const plain = Array.from({ length: 40 }, (_, i) => `line ${i} of the same kind of text; `).join('')

/** Made of `plain` by snappy-java 1.1.10.7 (the second by SnappyOutputStream in blocks of 1 KiB) and lz4-java 1.11.2. */
const snappyRaw =
  'xgpYbGluZSAwIG9mIHRoZSBzYW1lIGtpbmQFERBleHQ7IAUhADEFEGohAAAyfiEAADN+IQAANH4hAAA1fiEAADZ+IQAAN34hAAA4fiEAADl+IQAAMYZLAYJMAQAxgk0BADGCTgEAMYJPAQAxglABADGCUQEAMYJSAQAxglMBADGCVAEAMoJUAQAyglQBADKCVAEAMoJUAQAyglQBADKCVAEAMoJUAQAyglQBADKCVAEAMoJUAQAzglQBADOCVAEAM4JUAQAzglQBADOCVAEAM4JUAQAzglQBADOCVAEAM4JUAQAzblQB'
const snappyFramed =
  'glNOQVBQWQAAAAABAAAAAQAAAL+ACFhsaW5lIDAgb2YgdGhlIHNhbWUga2luZAUREGV4dDsgBSEAMQUQaiEAADJ+IQAAM34hAAA0fiEAADV+IQAANn4hAAA3fiEAADh+IQAAOX4hAAAxhksBgkwBADGCTQEAMYJOAQAxgk8BADGCUAEAMYJRAQAxglIBADGCUwEAMYJUAQAyglQBADKCVAEAMoJUAQAyglQBADKCVAEAMoJUAQAyglQBADKCVAEAMoJUAQAyglQBIDMwIG9mIHRoZQAAAE7GAmggc2FtZSBraW5kIG9mIHRleHQ7IGxpbmUgMzEFEQRoZWYiAAAygiIAADOCIgAANIIiAAA1giIAADaCIgAAN4IiAAA4giIAADlqIgA='
const lz4Frame =
  'BCJNGGxARgUAAAAAAAC37gAAAPEIbGluZSAwIG9mIHRoZSBzYW1lIGtpbmQRAFFleHQ7ICEAETEQAA8hAAgfMiEADR8zIQANHzQhAA0fNSEADR82IQANHzchAA0fOCEADR85IQANHzFLAQ8PTAEOHzFNAQ4fMU4BDh8xTwEOHzFQAQ4fMVEBDh8xUgEOHzFTAQ4fMVQBDh8yVAEOHzJUAQ4fMlQBDh8yVAEOHzJUAQ4fMlQBDh8yVAEOHzJUAQ4fMlQBDh8yVAEOHzNUAQ4fM1QBDh8zVAEOHzNUAQ4fM1QBDh8zVAEOHzNUAQ4fM1QBDh8zVAEOHzNUAQRQZXh0OyAAAAAAPC0N9A=='

function bytesOf(base64: string): Uint8Array {
  return new Uint8Array(Buffer.from(base64, 'base64'))
}

test('unpacks Snappy, raw and in the frames of the Java client', () => {
  for (const packed of [snappyRaw, snappyFramed]) {
    assert.equal(Buffer.from(decompress(2, bytesOf(packed))).toString(), plain)
  }
})

test('unpacks LZ4 frames', () => {
  assert.equal(Buffer.from(decompress(3, bytesOf(lz4Frame))).toString(), plain)
})

test('unpacks what it packed with gzip', () => {
  const packed = compress('gzip', Buffer.from(plain))

  assert.ok(packed.length < plain.length)
  assert.equal(Buffer.from(decompress(1, packed)).toString(), plain)
})

test('refuses what would unpack to more than is allowed', () => {
  const tooMuch = { name: 'RangeError', message: /more than 1000 bytes/ }

  assert.throws(() => decompressSnappy(bytesOf(snappyRaw), 1000), tooMuch)
  assert.throws(() => decompressSnappy(bytesOf(snappyFramed), 1000), /more than/)
  assert.throws(() => decompressLz4(bytesOf(lz4Frame), 1000), tooMuch)
})

test('damaged data is an error or other bytes, never an endless loop or another kind of error', () => {
  const codecs: readonly [string, (bytes: Uint8Array, bytesMax: number) => Uint8Array][] = [
    [snappyRaw, decompressSnappy],
    [snappyFramed, decompressSnappy],
    [lz4Frame, decompressLz4],
  ]
  for (const [packed, unpack] of codecs) {
    const bytes = bytesOf(packed)
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), (at, byte, cut) => {
        const damaged = bytes.slice(0, bytes.length - (cut % 7 === 0 ? cut : 0))
        if (at < damaged.length) damaged[at] = byte
        try {
          assert.ok(unpack(damaged, 10_000).length <= 10_000)
        } catch (error) {
          assert.ok(error instanceof RangeError, String(error))
        }
      }),
      { numRuns: 2000 },
    )
  }
})

test('an unknown codec is refused', () => {
  assert.throws(() => decompress(7, new Uint8Array(1)), /Unknown codec 7/)
})
