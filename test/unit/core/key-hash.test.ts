import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { keyGroupOf } from '../../../src/core/key-group.ts'
import { KEY_HASH_NAME, fmix32, hashKey } from '../../../src/core/key-hash.ts'
import type { AnyKey } from '../../../src/core/key.ts'
import { compareKeys, formatKey } from '../../../src/core/key.ts'
import { anyKey } from '../../support/keys.ts'

/** Computed once, with the first version of `millrace-1`. A change to any of them loses the state of every savepoint. */
const golden: readonly (readonly [AnyKey, number])[] = [
  [null, 0],
  [false, -1091482191],
  [true, -965147808],
  [0, 327721211],
  [1, -141126032],
  [-1, -771685574],
  [42, -1952841256],
  [2147483647, 623139515],
  [-2147483648, 433047320],
  [2147483648, 1342658748],
  [4294967296, -762865688],
  [0.5, 1401572543],
  [-0.5, -525590390],
  [1.5e300, -117993799],
  [5e-324, -1975781800],
  [Infinity, 2057078569],
  [-Infinity, -1210380931],
  [9007199254740991, 380079014],
  [1700000000000, 1778943280],
  [0n, -859944447],
  [1n, -385689305],
  [-1n, -2043405538],
  [42n, -1795638700],
  [4294967296n, -1056082222],
  [4294967295n, -358480482],
  [18446744073709551616n, 509602059],
  [-18446744073709551616n, -940253619],
  [1606938044258990275541962092341162602522202993782792835301377n, 1438660867],
  ['', 1825104902],
  ['0', 1896730707],
  ['1', 477521849],
  ['a', 1639304015],
  ['b', 2027377036],
  ['ab', 759118648],
  ['ba', 775273109],
  ['key', -394840161],
  ['auction-1007', 506428045],
  ['\u0000', -438027806],
  ['\u0000\u0000', 925118564],
  ['ä', -741612623],
  ['€', -1164326598],
  ['😀', -880620594],
  ['\ud83d', -150245215],
  ['\ude00', 2046802875],
  ['x'.repeat(1000), 1387657920],
  [[1], -1353288192],
  [['1'], -1938866971],
  [[1n], -923375622],
  [[true], -702125163],
  [['a', 'b'], -1344575512],
  [['ab', ''], 1418610553],
  [['b', 'a'], 1563946202],
  [[1, 2, 3], -508438122],
  [[3, 2, 1], 659134792],
  [['user', 7, false, -3n], -85783865],
]

test('the hash millrace-1 of a key is the same for ever', () => {
  assert.equal(KEY_HASH_NAME, 'millrace-1')
  for (const [key, hash] of golden) {
    assert.equal(hashKey(key), hash, `the hash of ${formatKey(key).slice(0, 40)}`)
  }
})

test('equal keys have equal hashes, also -0 and 0, alone and in a tuple', () => {
  assert.equal(hashKey(-0), hashKey(0))
  assert.equal(hashKey(['a', -0]), hashKey(['a', 0]))
  fc.assert(
    fc.property(anyKey, (key) => {
      const twin: AnyKey = structuredClone(key)
      assert.equal(compareKeys(key, twin), 0)
      assert.equal(hashKey(key), hashKey(twin))
    }),
  )
})

test('a hash is a signed 32-bit integer', () => {
  fc.assert(
    fc.property(anyKey, (key) => {
      const hash = hashKey(key)
      assert.equal(hash | 0, hash)
    }),
  )
})

test('fmix32 is a bijection: no two of a million neighbours meet', () => {
  const seen = new Set<number>()
  const count = 1_000_000
  for (let i = 0; i < count; i++) seen.add(fmix32(i))
  assert.equal(seen.size, count)
})

const keyCount = 128 * 200
const patterns: Readonly<Record<string, (i: number) => AnyKey>> = {
  'counted integers': (i) => i,
  'negative integers': (i) => -i,
  'multiples of 1024': (i) => i * 1024,
  'multiples of 65536': (i) => i * 65_536,
  'timestamps of whole seconds': (i) => 1_700_000_000_000 + i * 1000,
  'halves and quarters': (i) => i / 4,
  'large bigints': (i) => 2n ** 80n + BigInt(i),
  'bigints that differ in their high limb only': (i) => BigInt(i) << 96n,
  'names with a number at the end': (i) => `user-${i}`,
  'names with a number at the start': (i) => `${i}@example.org`,
  'fixed-width hexadecimal': (i) => (i * 4096).toString(16).padStart(16, '0'),
  'single code units': (i) => String.fromCharCode(i),
  'pairs of small integers': (i) => [i >> 8, i & 0xff],
  'pairs of a constant and an integer': (i) => ['page', i],
}

for (const [pattern, keyAt] of Object.entries(patterns)) {
  for (const maxParallelism of [128, 100]) {
    test(`${pattern} spread evenly over ${maxParallelism} key groups`, () => {
      const counts = new Array<number>(maxParallelism).fill(0)

      for (let i = 0; i < keyCount; i++) {
        const group = keyGroupOf(hashKey(keyAt(i)), maxParallelism)
        counts[group] = (counts[group] ?? NaN) + 1
      }

      // what a fair die would do: the chi-square statistic is about the number of groups, give or take a few deviations
      const expected = keyCount / maxParallelism
      const statistic = counts.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0)
      const bound = maxParallelism + 5 * Math.sqrt(2 * maxParallelism)
      assert.ok(statistic < bound, `chi-square is ${statistic.toFixed(0)}, above ${bound}`)
      assert.equal(
        counts.reduce((sum, n) => sum + n, 0),
        keyCount,
      )
    })
  }
}

test('the low bits of hashes within one key group are spread too, so tables may use them', () => {
  const slots = new Array<number>(16).fill(0)
  let inGroup = 0
  for (let i = 0; i < keyCount * 4; i++) {
    const hash = hashKey(i)
    if (keyGroupOf(hash, 128) !== 5) continue
    inGroup += 1
    slots[hash & 15] = (slots[hash & 15] ?? NaN) + 1
  }

  const expected = inGroup / 16
  const statistic = slots.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0)
  assert.ok(statistic < 16 + 5 * Math.sqrt(32), `chi-square is ${statistic.toFixed(0)}`)
})
