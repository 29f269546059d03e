import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ByteWriter } from '../../../src/core/byte-writer.ts'
import { KeyReader, writeKey } from '../../../src/core/key-bytes.ts'
import type { AnyKey } from '../../../src/core/key.ts'
import { compareKeys, sameKey } from '../../../src/core/key.ts'
import { anyKey, twoKeys } from '../../support/keys.ts'
import { assertSameValue } from '../../support/values.ts'

const runs = { numRuns: 3000 }

function bytesOf(key: AnyKey): Buffer {
  const out = new ByteWriter(1)
  writeKey(out, key)
  return out.copy()
}

/** -0 is 0, wherever it stands in a key. */
function withoutMinusZero(key: AnyKey): AnyKey {
  if (typeof key === 'object' && key !== null) {
    return key.map((part) => (part === 0 ? 0 : part)) as unknown as AnyKey
  }
  return key === 0 ? 0 : key
}

test('a key comes back from its bytes as it was, but for -0, which is 0', () => {
  fc.assert(
    fc.property(anyKey, (key) => {
      const bytes = bytesOf(key)
      const reader = new KeyReader(bytes)
      assertSameValue(reader.read(), withoutMinusZero(key))
      assert.equal(reader.offset, bytes.length)
    }),
    runs,
  )
})

test('keys written one behind the other are read one by one', () => {
  fc.assert(
    fc.property(fc.array(anyKey, { maxLength: 10 }), (keys) => {
      const out = new ByteWriter()
      for (const key of keys) writeKey(out, key)

      const reader = new KeyReader(out.view())
      for (const key of keys) assertSameValue(reader.read(), withoutMinusZero(key))
      assert.equal(reader.offset, out.length)
    }),
  )
})

test('bytes are in the order of their keys', () => {
  fc.assert(
    fc.property(twoKeys, ([a, b]) => {
      assert.equal(Math.sign(compareKeys(a, b)), Buffer.compare(bytesOf(a), bytesOf(b)))
    }),
    { numRuns: 10_000 },
  )
})

test('keys are equal when their bytes are, and only then', () => {
  fc.assert(
    fc.property(twoKeys, ([a, b]) => {
      assert.equal(sameKey(a, b), bytesOf(a).equals(bytesOf(b)))
    }),
    runs,
  )
})

test("no key's bytes begin another's", () => {
  fc.assert(
    fc.property(twoKeys, ([a, b]) => {
      const bytesA = bytesOf(a)
      const bytesB = bytesOf(b)
      if (bytesA.equals(bytesB)) return
      assert.notDeepEqual(bytesB.subarray(0, bytesA.length), bytesA)
    }),
    runs,
  )
})

test('keys of every kind stand in one order, in bytes as in comparison', () => {
  const ascending: readonly AnyKey[] = [
    null,
    false,
    true,
    -Infinity,
    -1e300,
    -2,
    -1.5,
    -5e-324,
    0,
    5e-324,
    1,
    2 ** 53,
    Infinity,
    -(2n ** 300n),
    -(2n ** 64n),
    -(2n ** 64n) + 1n,
    -256n,
    -255n,
    -1n,
    0n,
    1n,
    255n,
    256n,
    2n ** 64n,
    2n ** 300n,
    '',
    '\u0000',
    '\u0000\u0000',
    '\u0000\u0001',
    '\u0000a',
    '\u0001',
    'a',
    'a\u0000',
    'a\u0000b',
    'aa',
    'b',
    '\u007f',
    '\u0080',
    '\u07ff',
    '\u0800',
    '\ud7ff',
    '\ud83d',
    '\ud83dz\ude00',
    '\ud83d\ud83d',
    '\ud83d\uffff',
    '\ude00',
    '\ude00\ud83d',
    '\ue000',
    '\ufeff',
    '\uffff',
    '\ud800\udc00',
    '\ud83d\ude00',
    '\ud83d\ude00\u0000',
    '\ud83d\ude01',
    '\udbff\udfff',
    [false],
    [1],
    [1, 0],
    [1, ''],
    ['', 0],
    ['\u0000'],
    ['a'],
    ['a', -1],
    ['a', 'b'],
    ['a\u0000'],
    ['a\u0000', 'b'],
    ['aa'],
  ]
  for (const [i, a] of ascending.entries()) {
    for (const [j, b] of ascending.entries()) {
      const expected = Math.sign(i - j)
      const label = `${JSON.stringify(String(a))} (${i}) against ${JSON.stringify(String(b))} (${j})`
      assert.equal(Math.sign(compareKeys(a, b)), expected, `comparing ${label}`)
      assert.equal(Buffer.compare(bytesOf(a), bytesOf(b)), expected, `the bytes of ${label}`)
    }
  }
})

test('the byte form is the one that is written down', () => {
  const hex = (key: AnyKey): string => bytesOf(key).toString('hex')
  assert.equal(hex(null), '01')
  assert.equal(hex(false), '02')
  assert.equal(hex(true), '03')
  assert.equal(hex(1), '04bff0000000000000')
  assert.equal(hex(-1), '04400fffffffffffff')
  assert.equal(hex(-0), hex(0))
  assert.equal(hex(258n), '05800000020102')
  assert.equal(hex(-258n), '057ffffffefefd')
  assert.equal(hex(0n), '0580000000')
  assert.equal(hex('a\u0000é'), '066100ffc3a90000')
  assert.equal(hex('\ud800'), '06eda0800000')
  assert.equal(hex(['a', 1]), '0706610000' + '04bff0000000000000' + '00')
})

test('bytes that are no key are refused', () => {
  assert.throws(() => new KeyReader(Buffer.from([9])).read(), { code: 'INVARIANT_BROKEN' })
  assert.throws(() => new KeyReader(Buffer.from([])).read(), { code: 'INVARIANT_BROKEN' })
  assert.throws(() => new KeyReader(Buffer.from([6, 0x61])).read(), { code: 'INVARIANT_BROKEN' })
})
