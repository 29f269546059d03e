import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes } from '../../../../operators/formats/bytes.ts'
import { assertSameValue } from '../../../support/values.ts'

test('bytes come as a plain Uint8Array with memory of its own, also from a part of a Buffer', () => {
  const read = Buffer.from([0, 1, 2, 3])

  const value = bytes().decode(read.subarray(1, 3))
  read.fill(9)

  assertSameValue(value, new Uint8Array([1, 2]))
  assert.equal(value.buffer.byteLength, 2)
})

test('bytes are written as they are', () => {
  assert.deepEqual([...bytes().encode(new Uint8Array([0, 10, 255]))], [0, 10, 255])
})

test('what is no bytes is refused', () => {
  for (const value of ['text', [1, 2], null]) {
    assert.throws(() => bytes().encode(value as never), { code: 'VALUE_UNSUPPORTED' })
  }
})
