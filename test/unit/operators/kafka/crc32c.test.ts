import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { crc32c } from '../../../../operators/kafka/crc32c.ts'

test('has the check values of the specification (RFC 3720, appendix B.4)', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa)
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43)
  assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e)
})

test('is the same as bit by bit, for every length and alignment', () => {
  const bitByBit = (bytes: Uint8Array): number => {
    let crc = -1
    for (const byte of bytes) {
      crc ^= byte
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0)
    }
    return ~crc >>> 0
  }
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300, size: 'max' }),
      fc.nat(9),
      fc.nat(9),
      (bytes, head, tail) => {
        const end = Math.max(head, bytes.length - tail)
        assert.equal(crc32c(bytes, head, end), bitByBit(bytes.subarray(head, end)))
      },
    ),
  )
})
