import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { InvariantError } from '../../../../src/core/errors.ts'
import {
  ELSEWHERE,
  NumberPack,
  decodePack,
  eachOfPack,
  encodePack,
} from '../../../../state-backends/leveldb/number-pack.ts'

const keys = fc.oneof(fc.integer(), fc.constantFrom(0, -1, 2 ** 31 - 1, -(2 ** 31)))
const kindsOfValues = [
  fc.integer({ min: 0, max: 255 }),
  fc.integer({ min: 0, max: 65_535 }),
  fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  fc.oneof(fc.double(), fc.constantFrom(-0, NaN, 2 ** 32, 2 ** 53, -1)),
  fc.oneof(fc.integer(), fc.constant(ELSEWHERE)),
]
const cells = fc.oneof(
  ...kindsOfValues.map((values) =>
    fc.uniqueArray(fc.tuple(keys, values), { selector: ([key]) => key, maxLength: 100 }),
  ),
)

describe('NumberPack', () => {
  it('is the same after it was encoded and decoded', () => {
    fc.assert(
      fc.property(cells, (entries) => {
        const decoded = decodePack(encodePack(packOf(entries)))
        assert.deepStrictEqual(
          decoded.keys.map((key, index) => [key, decoded.values[index]]),
          entries,
        )
      }),
    )
  })

  it('takes five bytes for a cell with a small count', () => {
    const bytes = encodePack(packOf(Array.from({ length: 40 }, (_, key) => [key, key])))
    assert.equal(bytes.length, 1 + 40 * 5)
  })

  it('passes over values that are elsewhere', () => {
    const bytes = encodePack(
      packOf([
        [1, 10],
        [2, ELSEWHERE],
        [3, -0],
      ]),
    )
    const seen: [number, number][] = []
    eachOfPack(bytes, (key, value) => seen.push([key, value]))
    assert.deepStrictEqual(seen, [
      [1, 10],
      [3, -0],
    ])
  })

  it('agrees with a map over additions and removals', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(20), fc.boolean(), fc.double())), (steps) => {
        const pack = new NumberPack()
        const map = new Map<number, number>()
        for (const [key, isRemoved, value] of steps) {
          const index = pack.indexOf(key)
          assert.equal(index >= 0, map.has(key))
          if (isRemoved) {
            if (index >= 0) pack.removeAt(index)
            map.delete(key)
          } else {
            if (index >= 0) pack.values[index] = value
            else pack.add(key, value)
            map.set(key, value)
          }
        }
        assert.deepStrictEqual(
          new Map(pack.keys.map((key, index) => [key, pack.values[index]])),
          map,
        )
      }),
    )
  })

  it('refuses bytes that are no pack', () => {
    for (const bytes of [Buffer.of(0, 1), Buffer.of(7), Buffer.of(3, 1, 2, 3, 4)]) {
      assert.throws(() => decodePack(bytes), InvariantError)
    }
  })
})

function packOf(entries: readonly (readonly [number, number | undefined])[]): NumberPack {
  const pack = new NumberPack()
  for (const [key, value] of entries) pack.add(key, value)
  return pack
}
