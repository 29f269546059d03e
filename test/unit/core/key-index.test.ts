import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { hashKey } from '../../../src/core/key-hash.ts'
import { KeyIndex } from '../../../src/core/key-index.ts'
import type { AnyKey } from '../../../src/core/key.ts'

const intKey = fc.integer({ min: -40, max: 40 })
const anyKey: fc.Arbitrary<AnyKey> = fc.oneof(
  intKey,
  fc.constantFrom<AnyKey>('a', 'b', '1', 0.5, 2 ** 40, 1n, true, null, ['a', 1], ['a', 2]),
)
const step = (key: fc.Arbitrary<AnyKey>): fc.Arbitrary<readonly [boolean, AnyKey, number]> =>
  fc.tuple(fc.boolean(), key, fc.integer({ min: 0, max: 3 }))

/** Inserts and removes as told, and compares with a map after each step. */
function check(steps: readonly (readonly [boolean, AnyKey, number])[], hasSubs: boolean): void {
  const index = new KeyIndex(hasSubs)
  const model = new Map<string, number>()
  for (const [adds, key, anySub] of steps) {
    const sub = hasSubs ? anySub : 0
    const name = `${typeof key} ${String(key)} ${sub}`
    const hash = hashKey(key)
    const entry = index.find(key, hash, sub)
    assert.equal(entry, model.get(name) ?? -1)
    if (adds && entry < 0) {
      model.set(name, index.insert(key, hash, sub))
    } else if (!adds && entry >= 0) {
      index.remove(entry, hash)
      model.delete(name)
    }
    assert.equal(index.liveCount, model.size)
  }
  for (const entry of model.values()) {
    const key = index.key(entry)
    assert.equal(index.find(key, hashKey(key), index.sub(entry)), entry)
  }
}

describe('KeyIndex', () => {
  test('finds what a map finds, for integers', () => {
    fc.assert(
      fc.property(fc.array(step(intKey), { maxLength: 200 }), (steps) => check(steps, false)),
    )
  })

  test('finds what a map finds, for keys of every kind, with subs and without', () => {
    fc.assert(
      fc.property(fc.array(step(anyKey), { maxLength: 200 }), fc.boolean(), (steps, hasSubs) =>
        check(steps, hasSubs),
      ),
    )
  })

  test('keys of one hash are told apart once one of them is no integer', () => {
    const index = new KeyIndex(false)
    const hash = hashKey(7)
    index.insert(7, hash, 0)

    assert.equal(index.find('seven', hash, 0), -1)
    const other = index.insert('seven', hash, 0)

    assert.equal(index.find('seven', hash, 0), other)
    assert.equal(index.find(7, hash, 0), 0)
  })

  test('warming sees what lies beside entries and changes nothing', () => {
    const index = new KeyIndex(false)
    const values: number[] = []
    for (let key = 0; key < 1000; key++) values[index.insert(key, hashKey(key), 0)] = key
    const hashes = Int32Array.from({ length: 1000 }, (_, key) => hashKey(key))

    assert.ok(index.warm(hashes, 0, 1000, values) > 0)

    assert.equal(index.liveCount, 1000)
    assert.equal(index.find(999, hashKey(999), 0), 999)
  })
})
