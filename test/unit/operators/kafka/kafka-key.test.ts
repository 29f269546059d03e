import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeKey } from '../../../../operators/kafka/kafka-key.ts'

test('a string is its UTF-8, everything else JSON text', () => {
  const cases: readonly (readonly [unknown, string])[] = [
    ['schlüssel', 'schlüssel'],
    ['', ''],
    ['17', '17'],
    [17, '17'],
    [17n, '17'],
    [-0, '0'],
    [1.5, '1.5'],
    [true, 'true'],
    [2n ** 70n, '1180591620717411303424'],
    [['eu', 17, false, 3n], '["eu",17,false,3]'],
    [['a "quoted" part'], '["a \\"quoted\\" part"]'],
  ]
  for (const [key, text] of cases) assert.equal(encodeKey(key)?.toString(), text)
})

test('no key is none', () => {
  assert.equal(encodeKey(null), null)
})

test('what has no exact text is refused', () => {
  for (const key of [
    NaN,
    Infinity,
    -Infinity,
    '\ud800',
    ['a', '\udc00'],
    [1, Infinity],
    undefined,
    {},
    [],
  ]) {
    assert.throws(() => encodeKey(key), { code: 'KEY_INVALID' })
  }
})
