import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { text } from '../../../../operators/formats/text.ts'

test('every well-formed text comes back from its bytes as it was', () => {
  const format = text()
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      assert.equal(format.decode(format.encode(value)), value)
      assert.equal(format.decode(new Uint8Array(format.encode(value))), value)
    }),
    { numRuns: 300 },
  )
  assert.equal(format.decode(format.encode('\ufeff\u0000\ufffd')), '\ufeff\u0000\ufffd')
})

test('text with a lone surrogate is refused instead of being written as something else', () => {
  assert.throws(() => text().encode('a\ud800'), {
    code: 'VALUE_UNSUPPORTED',
    message: /lone surrogate.*toWellFormed/,
  })
})

test('what is no text is refused', () => {
  assert.throws(() => text().encode(5 as never), { code: 'VALUE_UNSUPPORTED', message: /number/ })
})

test('bytes that are no UTF-8 are undecodable', () => {
  for (const hex of ['ff', 'c328', 'eda080', 'f0288cbc', '61c3']) {
    assert.throws(() => text().decode(Buffer.from(hex, 'hex')), /no UTF-8/, hex)
  }
})
