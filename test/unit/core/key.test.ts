import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { AnyKey } from '../../../src/core/key.ts'
import { checkKey, compareKeys, formatKey, sameKey } from '../../../src/core/key.ts'
import { anyKey, twoKeys } from '../../support/keys.ts'

test('every key passes the check, and -0 comes out as 0', () => {
  fc.assert(fc.property(anyKey, (key) => assert.ok(sameKey(checkKey(key), key))))
  assert.ok(Object.is(checkKey(-0), 0))
})

const refused: readonly (readonly [string, unknown, RegExp])[] = [
  ['NaN', NaN, /NaN/],
  ['NaN in a tuple', ['a', NaN], /NaN/],
  ['undefined', undefined, /undefined/],
  ['an object', { id: 1 }, /an object/],
  ['a promise', Promise.resolve('a'), /a promise/],
  ['a function', () => 'a', /a function/],
  ['a symbol', Symbol('a'), /a symbol/],
  ['a symbol in a tuple', [Symbol('a')], /a symbol/],
  ['an empty tuple', [], /an empty array/],
  ['a tuple in a tuple', ['a', ['b']], /a tuple with/],
  ['null in a tuple', ['a', null], /a tuple with null/],
  ['undefined in a tuple', ['a', undefined], /undefined/],
  // oxlint-disable-next-line no-sparse-arrays -- what is refused
  ['a hole in a tuple', [, 'a'], /undefined/],
]
for (const [what, key, message] of refused) {
  test(`${what} is no key`, () => {
    assert.throws(() => checkKey(key), { code: 'KEY_INVALID', message })
  })
}

test('1, 1n, "1" and true are four keys', () => {
  const keys: readonly AnyKey[] = [1, 1n, '1', true, [1], [1n], ['1'], [true]]
  for (const [i, a] of keys.entries()) {
    for (const [j, b] of keys.entries()) {
      assert.equal(sameKey(a, b), i === j)
      assert.equal(compareKeys(a, b) === 0, i === j)
    }
  }
})

test('comparing is an order: antisymmetric, transitive, and zero for the same key only', () => {
  fc.assert(
    fc.property(twoKeys, anyKey, ([a, b], c) => {
      const [low, middle, high] = [a, b, c].sort(compareKeys) as [AnyKey, AnyKey, AnyKey]
      assert.equal(Math.sign(compareKeys(a, b)), 0 - Math.sign(compareKeys(b, a)))
      assert.ok(compareKeys(low, middle) <= 0 && compareKeys(middle, high) <= 0)
      assert.ok(compareKeys(low, high) <= 0)
      assert.equal(compareKeys(a, b) === 0, sameKey(a, b))
    }),
    { numRuns: 3000 },
  )
})

test('messages show a key so that its kind can be told', () => {
  assert.equal(formatKey('a"b'), '"a\\"b"')
  assert.equal(formatKey(1.5), '1.5')
  assert.equal(formatKey(-Infinity), '-Infinity')
  assert.equal(formatKey(1n), '1n')
  assert.equal(formatKey(true), 'true')
  assert.equal(formatKey(null), 'null')
  assert.equal(formatKey(['a', 1, 2n]), '["a", 1, 2n]')
})
