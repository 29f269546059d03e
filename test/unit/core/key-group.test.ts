import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { KeyGroup } from '../../../src/core/ids.ts'
import type { KeyGroupRange, Scale } from '../../../src/core/key-group.ts'
import {
  MAX_PARALLELISM_LIMIT,
  checkScale,
  intersectRanges,
  keyGroupOf,
  keyGroupsOf,
  sameRange,
  subtaskOf,
} from '../../../src/core/key-group.ts'

const anyScale: fc.Arbitrary<Scale> = fc
  .oneof(
    fc.integer({ min: 1, max: 300 }),
    fc.constantFrom(128, 1024, 32_767, MAX_PARALLELISM_LIMIT),
  )
  .chain((maxParallelism) =>
    fc.record({
      maxParallelism: fc.constant(maxParallelism),
      parallelism: fc.integer({ min: 1, max: Math.min(maxParallelism, 200) }),
    }),
  )

const anyRange: fc.Arbitrary<KeyGroupRange> = fc
  .tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 40 }))
  .map(([start, length]) => ({ start, end: start + length }))

test('the key groups of all subtasks follow each other without gap or overlap', () => {
  fc.assert(
    fc.property(anyScale, (scale) => {
      let end = 0
      for (let subtask = 0; subtask < scale.parallelism; subtask++) {
        const range = keyGroupsOf(subtask, scale)
        assert.equal(range.start, end)
        assert.ok(range.end > range.start, `subtask ${subtask} has no key group`)
        end = range.end
      }
      assert.equal(end, scale.maxParallelism)
    }),
  )
})

test('a key group lies in the range of its subtask and of no other', () => {
  fc.assert(
    fc.property(anyScale, fc.nat(), (scale, seed) => {
      const group = (seed % scale.maxParallelism) as KeyGroup
      for (let subtask = 0; subtask < scale.parallelism; subtask++) {
        const { start, end } = keyGroupsOf(subtask, scale)
        assert.equal(start <= group && group < end, subtaskOf(group, scale) === subtask)
      }
    }),
  )
})

test('subtasks differ by one key group at most', () => {
  fc.assert(
    fc.property(anyScale, (scale) => {
      const sizes = Array.from({ length: scale.parallelism }, (_, subtask) => {
        const { start, end } = keyGroupsOf(subtask, scale)
        return end - start
      })
      assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1)
    }),
  )
})

test('every hash has a key group, the smallest and the largest included', () => {
  fc.assert(
    fc.property(anyScale, fc.integer(), ({ maxParallelism }, hash) => {
      const group = keyGroupOf(hash, maxParallelism)
      assert.ok(Number.isInteger(group) && group >= 0 && group < maxParallelism)
    }),
  )
  for (const maxParallelism of [1, 100, 128, MAX_PARALLELISM_LIMIT]) {
    assert.equal(keyGroupOf(0, maxParallelism), 0)
    assert.equal(keyGroupOf(-1, maxParallelism), maxParallelism - 1)
  }
})

test('a key group is the same for ever', () => {
  assert.deepEqual(
    [0, 1, -1, 327721211, -1952841256, 0x7fff_ffff, -0x8000_0000].map((hash) => [
      keyGroupOf(hash, 128),
      keyGroupOf(hash, 100),
      keyGroupOf(hash, MAX_PARALLELISM_LIMIT),
    ]),
    [
      [0, 0, 0],
      [0, 0, 0],
      [127, 99, 32_767],
      [9, 7, 2500],
      [69, 54, 17_869],
      [63, 49, 16_383],
      [64, 50, 16_384],
    ],
  )
})

test('two ranges share exactly the key groups that lie in both', () => {
  fc.assert(
    fc.property(anyRange, anyRange, fc.integer({ min: 0, max: 80 }), (a, b, group) => {
      const isIn = (range: KeyGroupRange): boolean => range.start <= group && group < range.end
      const shared = intersectRanges(a, b)
      assert.equal(isIn(shared), isIn(a) && isIn(b))
      assert.ok(shared.start <= shared.end)
      assert.ok(sameRange(shared, intersectRanges(b, a)) || shared.start === shared.end)
    }),
  )
})

test('a scale that makes no sense is refused', () => {
  const check = (parallelism: number, maxParallelism: number) => () =>
    checkScale({ parallelism, maxParallelism }, 'operator counts')
  assert.doesNotThrow(check(1, 1))
  assert.doesNotThrow(check(128, 128))
  assert.doesNotThrow(check(3, MAX_PARALLELISM_LIMIT))
  for (const bad of [0, -1, 1.5, NaN, Infinity]) {
    assert.throws(check(bad, 128), { code: 'PARALLELISM_INVALID', message: /operator counts/ })
    assert.throws(check(1, bad), { code: 'PARALLELISM_INVALID', message: /maxParallelism/ })
  }
  assert.throws(check(1, MAX_PARALLELISM_LIMIT + 1), { code: 'PARALLELISM_INVALID' })
  assert.throws(check(129, 128), { code: 'PARALLELISM_ABOVE_MAX', message: /operator counts/ })
})
