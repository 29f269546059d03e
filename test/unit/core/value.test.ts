import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { VALUE_DEPTH_MAX, checkValue, copyValue } from '../../../src/core/value.ts'
import { encodeValue } from '../../../src/core/value-codec.ts'
import { anyValue, assertSameValue, differenceOf, sharesObject } from '../../support/values.ts'

test('a copy is the same value and shares nothing that can change', () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      checkValue(value)
      const copy = copyValue(value)
      assertSameValue(copy, value)
      assert.equal(sharesObject(copy, value), false)
    }),
    { numRuns: 5000 },
  )
})

test('changing a copy leaves the original as it was', () => {
  const original = {
    list: [1, [2]],
    map: new Map([['a', [1]]]),
    set: new Set(['x']),
    at: new Date(5),
    bytes: new Uint8Array([1, 2]),
  }

  const copy = copyValue(original)
  copy.list.push(3)
  copy.map.get('a')?.push(2)
  copy.set.add('y')
  copy.at.setTime(6)
  copy.bytes[0] = 9

  assertSameValue(original, {
    list: [1, [2]],
    map: new Map([['a', [1]]]),
    set: new Set(['x']),
    at: new Date(5),
    bytes: new Uint8Array([1, 2]),
  })
})

test('a value referred to twice becomes two values', () => {
  const shared = { n: 1 }
  const copy = copyValue([shared, shared])
  assert.notEqual(copy[0], copy[1])
})

test('an object without prototype becomes a plain one', () => {
  const copy: unknown = copyValue(Object.assign(Object.create(null) as object, { a: 1 }))
  assertSameValue(copy, { a: 1 })
  assert.equal(Object.getPrototypeOf(copy), Object.prototype)
})

test('a typed array over a part of a buffer is copied alone', () => {
  const copy = copyValue(new Uint8Array([1, 2, 3, 4]).subarray(1, 3))
  assertSameValue(copy, new Uint8Array([2, 3]))
  assert.equal(copy.buffer.byteLength, 2)
})

class Money {
  readonly cents = 5
}
class Names extends Array<string> {}
class Index extends Map<string, string> {}
class Bytes extends Uint8Array {}

/** What is not of the model, and how the refusal calls it. */
const foreign: Readonly<Record<string, readonly [unknown, RegExp]>> = {
  'an instance of a class': [new Money(), /a Money.*plain object/],
  'a subclass of Array': [new Names('a'), /a Names/],
  'a subclass of Map': [new Index(), /a Index/],
  'a subclass of Uint8Array': [new Bytes(2), /a Bytes/],
  'an object that inherits from another': [Object.create({ a: 1 }), /cannot be carried/],
  'a function': [() => 1, /a function.*leave it out/],
  'a named function': [encodeValue, /a function \(encodeValue\)/],
  'a class itself': [Money, /a function \(Money\)/],
  'a symbol': [Symbol('s'), /a symbol.*leave it out/],
  'a promise': [Promise.resolve(1), /a promise.*await it/],
  'a Buffer': [Buffer.from('ab'), /a Buffer.*new Uint8Array/],
  'an Error': [new Error('e'), /an? Error.*message or stack/],
  'a TypeError': [new TypeError('e'), /a TypeError.*message or stack/],
  'a RegExp': [/x/g, /a RegExp.*source/],
  'an ArrayBuffer': [new ArrayBuffer(2), /an? ArrayBuffer.*new Uint8Array/],
  'a SharedArrayBuffer': [new SharedArrayBuffer(2), /a SharedArrayBuffer/],
  'a DataView': [new DataView(new ArrayBuffer(2)), /a DataView/],
  'a WeakMap': [new WeakMap(), /a WeakMap/],
  'a URL': [new URL('http://a'), /a URL/],
  'a boxed number': [Object(1), /a Number/],
  'an iterator': [[1].values(), /cannot be carried/],
  'a generator': [(function* () {})(), /cannot be carried/],
  'an object of another realm': [runInNewContext('({ a: 1 })'), /cannot be carried/],
}

/** Where in a record it may stand, and how the refusal names that place. */
const places: Readonly<Record<string, readonly [(value: unknown) => unknown, RegExp]>> = {
  'as the record': [(value) => value, /The value is/],
  'as a field': [(value) => ({ ok: 1, bad: value }), /The field bad is/],
  'deep in a record': [
    (value) => ({ a: [{ b: { c: [0, value] } }] }),
    /The field a\[0\]\.b\.c\[1\] is/,
  ],
  'as an item': [(value) => [1, value], /The field \[1\] is/],
  'in a map': [(value) => ({ m: new Map([['k', value]]) }), /The field m<\w+>\S* is/],
  'as the key of a map': [(value) => ({ m: new Map([[value, 1]]) }), /The field m<\w+>\S* is/],
  'in a set': [(value) => ({ s: [new Set([value])] }), /The field s\[0\]<\w+>\S* is/],
  'behind a field of any name': [
    (value) => ({ '\ud800': 1, deep: { bad: value } }),
    /The field deep\.bad is/,
  ],
}

const operations: Readonly<Record<string, (value: unknown) => unknown>> = {
  copyValue,
  checkValue,
  encodeValue,
}

for (const [what, [value, message]] of Object.entries(foreign)) {
  test(`${what} is refused wherever it stands, with its place and a remedy`, () => {
    for (const [where, [place, path]] of Object.entries(places)) {
      for (const [name, operation] of Object.entries(operations)) {
        assert.throws(
          () => operation(place(value)),
          (error: unknown) => {
            assert.ok(error instanceof Error && 'code' in error)
            assert.equal(error.code, 'VALUE_UNSUPPORTED')
            assert.match(error.message, message, `${name}, ${where}`)
            assert.match(error.message, path, `${name}, ${where}`)
            return true
          },
          `${name}, ${where}`,
        )
      }
    }
  })
}

test('a half-precision array is refused where the platform has one', (t) => {
  const constructor: unknown = Reflect.get(globalThis, 'Float16Array')
  if (typeof constructor !== 'function') return t.skip('no Float16Array on this version of Node')
  const halves: unknown = Reflect.construct(constructor, [2])
  for (const operation of Object.values(operations)) {
    assert.throws(() => operation({ halves }), { code: 'VALUE_UNSUPPORTED', message: /halves/ })
  }
})

test('a field named __proto__ is refused wherever it stands, and nothing inherits from it', () => {
  const parsed: unknown = JSON.parse('{"a":[{"__proto__":{"admin":true}}]}')
  const afterOddName: unknown = JSON.parse('{"\\ud800":1,"__proto__":{"admin":true}}')
  for (const [name, operation] of Object.entries(operations)) {
    const refusal = { code: 'VALUE_UNSUPPORTED', message: /__proto__.*rename/ }
    assert.throws(() => operation(parsed), refusal, name)
    assert.throws(() => operation(parsed), { message: /The object a\[0\]/ }, name)
    assert.throws(() => operation(afterOddName), refusal, name)
  }
})

test('a value that contains itself is refused with the way that leads into it', () => {
  const list: unknown[] = []
  list.push({ again: list })
  const map = new Map<string, unknown>()
  map.set('self', map)
  const set = new Set<unknown>()
  set.add([set])
  const object: Record<string, unknown> = {}
  object['self'] = object

  for (const [name, operation] of Object.entries(operations)) {
    for (const cyclic of [list, map, set, object]) {
      assert.throws(
        () => operation({ cyclic }),
        { code: 'VALUE_UNSUPPORTED', message: /nested deeper.*cyclic.*must not contain itself/ },
        name,
      )
    }
  }
})

test('a value may be nested as deep as the bound, and no deeper', () => {
  const nested = (depth: number): unknown => {
    let value: unknown = {}
    for (let i = 0; i < depth; i++) value = { value }
    return value
  }
  for (const operation of Object.values(operations)) {
    assert.doesNotThrow(() => operation(nested(VALUE_DEPTH_MAX)))
    assert.throws(() => operation(nested(VALUE_DEPTH_MAX + 1)), { code: 'VALUE_UNSUPPORTED' })
  }
})

test('the equality these tests rest on tells apart what a program can', () => {
  const pairs: readonly (readonly [unknown, unknown])[] = [
    [0, -0],
    [1, 1n],
    [null, undefined],
    ['', null],
    [{ a: undefined }, {}],
    [
      { a: 1, b: 2 },
      { b: 2, a: 1 },
    ],
    [[undefined], []],
    [[1], { 0: 1 }],
    [new Date(1), new Date(2)],
    [new Date(NaN), new Date(0)],
    [new Uint8Array([1]), new Int8Array([1])],
    [new Uint8Array([1]), new Uint8ClampedArray([1])],
    [new Uint8Array([1]), Buffer.from([1])],
    [new Float64Array([0]), new Float64Array([-0])],
    [new Map([[1, 2]]), new Map([[1, 3]])],
    [new Map([[1, 2]]), new Set([[1, 2]])],
    [new Set([1, 2]), new Set([2, 1])],
    [{ a: [{ b: -0 }] }, { a: [{ b: 0 }] }],
    ['\ud800', '\ufffd'],
  ]
  for (const [a, b] of pairs) {
    assert.notEqual(differenceOf(a, b), undefined)
    assert.notEqual(differenceOf(b, a), undefined)
  }
  assert.equal(differenceOf([NaN, new Date(NaN)], [NaN, new Date(NaN)]), undefined)
})
