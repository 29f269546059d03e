import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { VALUE_DEPTH_MAX } from '../../../src/core/value.ts'
import { decodeValue, encodeValue } from '../../../src/core/value-codec.ts'
import { anyBigint, anyName, anyValue, assertSameValue } from '../../support/values.ts'

function assertComesBack(value: unknown): void {
  assertSameValue(decodeValue(encodeValue(value)), value)
}

test('every value of the model comes back from its bytes as it was', () => {
  fc.assert(fc.property(anyValue, assertComesBack), { numRuns: 5000 })
})

test('large values of the model come back too', () => {
  const large = fc.array(anyValue, { minLength: 20, maxLength: 200, size: 'max' })
  fc.assert(fc.property(large, assertComesBack), { numRuns: 100 })
})

test('bigints of any size come back', () => {
  fc.assert(fc.property(anyBigint, assertComesBack), { numRuns: 3000 })
})

test('fields of any name come back in their order', () => {
  const names = fc.uniqueArray(anyName, { maxLength: 40 })
  fc.assert(
    fc.property(names, (list) => {
      assertComesBack(Object.fromEntries(list.map((name, i) => [name, i])))
    }),
    { numRuns: 2000 },
  )
})

test('an object with more fields and a map with more entries than 16 bits count come back', () => {
  const entries = Array.from({ length: 70_000 }, (_, i): [string, number] => [`k${i}`, i])
  assertComesBack(Object.fromEntries(entries))
  assertComesBack(new Map(entries))
  assertComesBack(entries)
})

test('fields named as JavaScript names its own do not change how the object is written', () => {
  // oxlint-disable-next-line unicorn/no-thenable -- as a record may
  assertComesBack({ constructor: 1, toJSON: 'text', hasOwnProperty: false, then: null })
  assertComesBack({ nested: [{ toJSON: {}, constructor: { name: 'Map' } }] })
  assertComesBack({ length: 3, 0: 'a' })
})

test('a byte order mark at the start of a text or of a name stays', () => {
  assertComesBack('\ufeff'.padEnd(100, 'a'))
  assertComesBack({ ['\ufeff'.padEnd(100, 'a')]: '\ufeff'.padEnd(70_000, 'é') })
})

test('an object without prototype comes back as a plain object', () => {
  const bare: object = Object.assign(Object.create(null), { a: 1, toJSON: 'x' })
  const back = decodeValue(encodeValue(bare))
  assertSameValue(back, { a: 1, toJSON: 'x' })
  assert.equal(Object.getPrototypeOf(back), Object.prototype)
})

test('holes of an array come back as undefined', () => {
  const holes = new Array<number>(3)
  holes[1] = 7
  const back = decodeValue(encodeValue({ holes }))
  assertSameValue(back, { holes: [undefined, 7, undefined] })
})

test('a window into a buffer comes back alone, without the rest of the buffer', () => {
  const back = decodeValue(encodeValue(new Uint8Array([1, 2, 3, 4]).subarray(1, 3)))
  assert.ok(back instanceof Uint8Array && !Buffer.isBuffer(back))
  assert.equal(back.buffer.byteLength, 2)
})

test('what was decoded shares no memory with the bytes it came from', () => {
  const value = {
    bytes: new Uint8Array([1, 2, 3]),
    text: 'abc'.repeat(50),
    sixteen: new Uint16Array([7]),
  }
  const bytes = encodeValue(value)
  const back = decodeValue(bytes)
  bytes.fill(0)
  assertSameValue(back, value)
})

test('what was encoded is not changed by encoding another value', () => {
  fc.assert(
    fc.property(anyValue, anyValue, (a, b) => {
      const bytes = encodeValue(a)
      encodeValue(b)
      assertSameValue(decodeValue(bytes), a)
    }),
  )
})

test('encoding does not change the value', () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const before = structuredClone(value)
      encodeValue(value)
      assertSameValue(value, before)
    }),
  )
})

test('a value may be nested as deep as the bound, and no deeper', () => {
  const nested = (depth: number): unknown => {
    let value: unknown = { leaf: true }
    for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : new Map([[1, value]])
    return value
  }
  assertComesBack(nested(VALUE_DEPTH_MAX))
  assert.throws(() => encodeValue(nested(VALUE_DEPTH_MAX + 1)), { code: 'VALUE_UNSUPPORTED' })
})

/** Written by the first version of the codec. They must be read for ever: never compute them anew. */
const golden: readonly (readonly [string, unknown])[] = [
  [
    '88' +
      ('a161' + '9701cbbff8000000000000d44d0092a22d30c0cb7ff8000000000000c0d40000c3') +
      ('a162' + 'd44d0092a16eb2343030303030303030303030303030303030') +
      ('a163' + 'd3fffffffffffffffb') +
      ('a164' + 'd44d0092a164cb426d1a94a2000000') +
      ('a16d' + 'd44d0092a16d94a16b0181a16f01d44d0092a1739201a178') +
      ('a175' + 'd44d0092a175c40400d8e900') +
      ('a174' + 'd44d0092ac466c6f617436344172726179c408000000000000f03f') +
      ('a179' + 'd44d0092aa55696e74384172726179c4020102'),
    {
      a: [1, -1.5, -0, NaN, null, undefined, true],
      b: 2n ** 70n,
      c: -5n,
      d: new Date(1e12),
      m: new Map<unknown, unknown>([
        ['k', 1],
        [{ o: 1 }, new Set([1, 'x'])],
      ]),
      u: '\ud800é',
      t: new Float64Array([1]),
      y: new Uint8Array([1, 2]),
    },
  ],
  [
    'd44d0092a16f94d44d0092a175c40200d801a162d44d0092a16eb22d3130303030303030303030303030303030',
    { '\ud800': 1, b: -(2n ** 64n) },
  ],
]

test('bytes of the first version are read, and written, as ever', () => {
  for (const [hex, value] of golden) {
    assertSameValue(decodeValue(Buffer.from(hex, 'hex')), value)
    assert.equal(encodeValue(value).toString('hex'), hex)
  }
})

test('bytes that are no value are refused', () => {
  const bytes = encodeValue({ a: [1, 'two', new Map([[3, 4n]])] })
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => decodeValue(bytes.subarray(0, length)), `${length} of ${bytes.length}`)
  }
  assert.throws(() => decodeValue(Buffer.concat([bytes, Buffer.from([0])])))
})

test('bytes cannot make an object inherit from what they say', () => {
  const entries = (name: string): Buffer =>
    Buffer.concat([
      // extension 0x4d, ['o', [name, { admin: true }]]
      Buffer.from([0xd4, 0x4d, 0, 0x92, 0xa1, 0x6f, 0x92, 0xa0 | name.length]),
      Buffer.from(name),
      Buffer.from([0x81, 0xa5]),
      Buffer.from('admin'),
      Buffer.from([0xc3]),
    ])
  assertSameValue(decodeValue(entries('any')), { any: { admin: true } })
  assert.throws(() => decodeValue(entries('__proto__')), /__proto__/)
})
