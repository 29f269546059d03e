import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { messagePack } from '../../../../operators/formats/message-pack.ts'
import type { Schema } from '../../../../src/core/schema.ts'
// loaded for its effect: it registers an extension for all of msgpackr
import '../../../../src/core/value-codec.ts'
import { anyName, assertSameValue } from '../../../support/values.ts'

const anyPlain: fc.Arbitrary<unknown> = fc.letrec<{ node: unknown }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(null, true, false, NaN, Infinity, 0, 127, 128, 2 ** 32, 2 ** 53, -(2 ** 53)),
    fc.double().filter((number) => !Object.is(number, -0)),
    fc.integer(),
    fc.bigInt({ min: 2n ** 53n + 1n, max: 2n ** 64n - 1n }),
    fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) - 1n }),
    fc.string({ unit: 'grapheme' }),
    fc.date({ noInvalidDate: true }),
    fc.uint8Array(),
    fc.array(tie('node'), { maxLength: 20 }),
    fc
      .array(
        fc.tuple(
          anyName.filter((name) => name.isWellFormed()),
          tie('node'),
        ),
        {
          maxLength: 20,
        },
      )
      // a mark at the start of a long name is the one thing that msgpackr reads as something else
      .map((entries) => Object.fromEntries(entries.filter(([name]) => !name.startsWith('\ufeff')))),
  ),
})).node

test('every plain value comes back from its bytes as it was', () => {
  const format = messagePack()
  fc.assert(
    fc.property(anyPlain, (value) => {
      const bytes = Buffer.from(format.encode(value))
      assertSameValue(format.decode(bytes), value)
      assertSameValue(format.decode(new Uint8Array(bytes)), value)
    }),
    { numRuns: 2000 },
  )
})

test('what is written is what other programs read', () => {
  const hex = (value: unknown): string => Buffer.from(messagePack().encode(value)).toString('hex')
  assert.equal(hex({ a: 1, b: undefined, c: [null, true] }), '82a16101a16392c0c3')
  assert.equal(hex(new Uint8Array([1, 2])), 'c4020102')
  assert.equal(hex(5n), 'd30000000000000005')
  assert.equal(hex(2n ** 64n - 1n), 'cf' + 'ff'.repeat(8))
  assert.equal(hex(0.5), 'cb3fe0000000000000')
  assert.equal(hex(new Date(1000)), 'd6ff00000001')
})

test('what other programs write is read, whatever size of integer they chose', () => {
  const read = (hex: string): unknown => messagePack().decode(Buffer.from(hex, 'hex'))
  assertSameValue(read('d30000000000000005'), 5)
  assertSameValue(read('cf0020000000000000'), 2 ** 53)
  assertSameValue(read('cf0020000000000001'), 2n ** 53n + 1n)
  assertSameValue(read('ca3f000000'), 0.5)
  assertSameValue(read('8101a162'), { 1: 'b' })
  assertSameValue(read('d7ff77359400' + '00000001'), new Date(1500))
})

test('binary is read as a plain Uint8Array with memory of its own', () => {
  const bytes = Buffer.from(messagePack().encode({ image: new Uint8Array([1, 2, 3]) }))
  const { image } = messagePack<{ image: Uint8Array }>().decode(bytes)
  bytes.fill(0)
  assertSameValue(image, new Uint8Array([1, 2, 3]))
})

const refused: Readonly<Record<string, readonly [unknown, RegExp]>> = {
  'a bigint beyond 64 bits': [{ n: 2n ** 64n }, /The field n .* MessagePack: .* beyond 64 bits/],
  'an undefined item': [{ a: [undefined] }, /The field a\[0\] .* undefined/],
  'a Map': [new Map(), /The value .* a Map/],
  'a Set': [[new Set()], /The field \[0\] .* a Set/],
  'a typed array': [{ t: new Float64Array(1) }, /The field t .* typed array/],
  'an invalid Date': [{ at: new Date(NaN) }, /The field at .* invalid Date/],
  'a lone surrogate': [{ name: 'a\udc00' }, /The field name .* lone surrogate/],
  'a function': [{ f: () => 1 }, /The field f .* no plain value/],
}
for (const [what, [value, message]] of Object.entries(refused)) {
  test(`${what} is refused instead of being written as something else`, () => {
    assert.throws(() => messagePack().encode(value), { code: 'VALUE_UNSUPPORTED', message })
  })
}

test('bytes that are no MessagePack, or more than one value, are undecodable', () => {
  const format = messagePack()
  const bytes = format.encode({ a: [1, 'two', { three: 3 }] })
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => format.decode(bytes.subarray(0, length)), `${length} of ${bytes.length}`)
  }
  assert.throws(() => format.decode(Buffer.concat([bytes, bytes])))
  assert.throws(() => format.decode(Buffer.from('d47f00', 'hex')))
})

test('after undecodable bytes the next value is read as ever', () => {
  const format = messagePack()
  assert.throws(() => format.decode(Buffer.from('82a161', 'hex')))
  assertSameValue(format.decode(format.encode({ a: 'b'.repeat(100) })), { a: 'b'.repeat(100) })
})

test('a field named __proto__ changes what no object inherits', () => {
  const value = messagePack<object>().decode(
    Buffer.concat([
      Buffer.from([0x81, 0xa9]),
      Buffer.from('__proto__'),
      Buffer.from('81a16101', 'hex'),
    ]),
  )
  assert.equal(Object.getPrototypeOf(value), Object.prototype)
  assert.equal('a' in value, false)
})

test('with a schema, the decoded value is checked', () => {
  const schema: Schema<string> = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value) =>
        typeof value === 'number'
          ? { value: `#${value}` }
          : { issues: [{ message: 'is no number', path: [] }] },
    },
  }
  const format = messagePack(schema)
  assert.equal(format.decode(Buffer.from([5])), '#5')
  assert.throws(() => format.decode(Buffer.from([0xc0])), /is no number/)
})
