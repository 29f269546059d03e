/**
 * Values for tests: an arbitrary for the whole value model (src/core/value.ts), and an equality as strict as the model is.
 *
 * `differenceOf` tells apart all that a program can: -0 and 0, undefined and missing, the order of fields and entries, the
 * class of a typed array, a Buffer and a Uint8Array. It does not tell an object without prototype from a plain one: to the
 * model both are plain objects.
 */
import assert from 'node:assert/strict'
import fc from 'fast-check'

/** Names that mean something to JavaScript or to a codec, beside `__proto__`, which the model refuses. */
const awkwardNames: readonly string[] = [
  '',
  '0',
  '-0',
  '01',
  '4294967295',
  'constructor',
  'prototype',
  'toJSON',
  'toString',
  'valueOf',
  'hasOwnProperty',
  'length',
  'then',
  '__proto_',
  '\u0000',
  '\ufeff',
  '\ud800',
  'a'.repeat(40),
  '\ufeff'.padEnd(80, 'b'),
]

const codeUnit: fc.Arbitrary<number> = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0x20, max: 0x7e }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(0, 0x0a, 0x7f, 0x80, 0xff, 0x7ff, 0x800, 0xfeff, 0xffff),
  },
  { weight: 1, arbitrary: fc.integer({ min: 0xd800, max: 0xdfff }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff }) },
)

/** Strings of any code units: pairs and lone surrogates, zeros, byte order marks, short ones and ones beyond 64 KiB. */
export const anyString: fc.Arbitrary<string> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.array(codeUnit, { maxLength: 40 }).map((units) => String.fromCharCode(...units)),
  },
  { weight: 2, arbitrary: fc.string({ unit: 'grapheme', maxLength: 20 }) },
  { weight: 2, arbitrary: fc.constantFrom(...awkwardNames, '__proto__') },
  {
    weight: 1,
    arbitrary: fc
      .tuple(codeUnit, codeUnit, fc.constantFrom(15, 31, 32, 64, 65, 255, 256, 4100, 65_536))
      .map(([first, other, length]) =>
        String.fromCharCode(first).padEnd(length, String.fromCharCode(other)),
      ),
  },
)

/** Where MessagePack, V8 or IEEE 754 changes how a number is written. */
// prettier-ignore
const borderNumbers: readonly number[] = [
  0, -0, NaN, Infinity, -Infinity, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000,
  -0x20, -0x21, -0x80, -0x81, -0x8000, -0x8001, -0x8000_0000, -0x8000_0001,
  0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 2 ** 53, 2 ** 63, 2 ** 64,
  Number.MIN_VALUE, Number.MAX_VALUE, Number.EPSILON, Math.fround(0.1), 0.1,
]

/** All numbers, those at borders more often. */
export const anyNumber: fc.Arbitrary<number> = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(...borderNumbers),
)

/** Bigints of any size, those around the borders of 64 bits more often. */
export const anyBigint: fc.Arbitrary<bigint> = fc.oneof(
  fc.bigInt({ min: -300n, max: 300n }),
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
  fc.bigInt({ min: -(2n ** 600n), max: 2n ** 600n }),
  fc
    .tuple(
      fc.constantFrom(31n, 32n, 53n, 63n, 64n, 127n, 128n, 4096n),
      fc.integer({ min: -2, max: 2 }),
      fc.boolean(),
    )
    .map(([bits, off, isNegative]) => (isNegative ? -1n : 1n) * (2n ** bits + BigInt(off))),
)

const anyDate: fc.Arbitrary<Date> = fc.oneof(
  fc.date({ noInvalidDate: false }),
  fc.constantFrom(new Date(0), new Date(-1), new Date(8.64e15), new Date(-8.64e15), new Date(NaN)),
)

const anyTypedArray: fc.Arbitrary<ArrayBufferView> = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  // a window into a larger buffer, at an offset that larger elements could not have
  fc.uint8Array({ minLength: 3, maxLength: 20 }).map((bytes) => bytes.subarray(1, -1)),
  fc.uint8ClampedArray(),
  fc.uint16Array(),
  fc.uint32Array(),
  fc.int8Array(),
  fc.int16Array(),
  fc.int32Array(),
  fc.float32Array(),
  fc.float64Array(),
  fc.bigInt64Array(),
  fc.bigUint64Array(),
)

/** Names of fields, but for `__proto__`. */
export const anyName: fc.Arbitrary<string> = fc
  .oneof(
    { weight: 3, arbitrary: fc.string({ maxLength: 12 }) },
    { weight: 2, arbitrary: fc.constantFrom(...awkwardNames) },
    { weight: 1, arbitrary: anyString },
  )
  .filter((name) => name !== '__proto__')

const primitive: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(null, undefined, true, false),
  anyNumber,
  anyBigint,
  anyString,
)

/** Any value of the model, nested a few levels deep. */
export const anyValue: fc.Arbitrary<unknown> = fc.letrec<{ node: unknown }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, depthIdentifier: 'value' },
    primitive,
    anyDate,
    anyTypedArray,
    fc.array(tie('node'), { maxLength: 20, depthIdentifier: 'value' }),
    fc
      .array(fc.tuple(anyName, tie('node')), { maxLength: 20, depthIdentifier: 'value' })
      .map((entries) => Object.fromEntries(entries)),
    fc
      .array(fc.tuple(tie('node'), tie('node')), { maxLength: 6, depthIdentifier: 'value' })
      .map((entries) => new Map(entries)),
    fc
      .array(tie('node'), { maxLength: 6, depthIdentifier: 'value' })
      .map((items) => new Set(items)),
  ),
})).node

/** Where and how two values differ; undefined where nothing tells them apart. */
export function differenceOf(actual: unknown, expected: unknown, path = '$'): string | undefined {
  if (Object.is(actual, expected)) return undefined
  if (!isObject(actual) || !isObject(expected)) {
    return `${path}: ${show(actual)} is not ${show(expected)}`
  }
  const kind = kindOf(actual)
  if (kind !== kindOf(expected)) return `${path}: ${kind} is not ${kindOf(expected)}`
  if (actual instanceof Date && expected instanceof Date) {
    return differenceOf(actual.getTime(), expected.getTime(), `${path}<time>`)
  }
  if (ArrayBuffer.isView(actual) && ArrayBuffer.isView(expected)) {
    const isSame = Buffer.compare(bytesOf(actual), bytesOf(expected)) === 0
    return isSame ? undefined : `${path}: the bytes of the ${kind}s differ`
  }
  return listDifference(partsOf(actual), partsOf(expected), path)
}

/** Fails unless the two are the same value to any program. */
export function assertSameValue(actual: unknown, expected: unknown): void {
  const difference = differenceOf(actual, expected)
  if (difference !== undefined) assert.fail(difference)
}

/** Whether two values share an object that could be changed. */
export function sharesObject(a: unknown, b: unknown): boolean {
  const seen = new Set<object>()
  collectObjects(a, seen)
  const others = new Set<object>()
  collectObjects(b, others)
  for (const object of others) if (seen.has(object)) return true
  return false
}

function listDifference(
  actual: readonly unknown[],
  expected: readonly unknown[],
  path: string,
): string | undefined {
  if (actual.length !== expected.length) {
    return `${path}: ${actual.length} fields or items instead of ${expected.length}`
  }
  for (let i = 0; i < actual.length; i++) {
    const difference = differenceOf(actual[i], expected[i], `${path}/${i}`)
    if (difference !== undefined) return difference
  }
  return undefined
}

/** What an object is made of, in its order. Holes of arrays are undefined, as in the model. */
function partsOf(value: object): readonly unknown[] {
  if (Array.isArray(value)) return Array.from(value as readonly unknown[])
  if (value instanceof Map) return [...value].flat(1)
  if (value instanceof Set) return [...value]
  return Reflect.ownKeys(value).flatMap((name) => [name, Reflect.get(value, name)])
}

function kindOf(value: object): string {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null ? 'Object' : value instanceof Object ? classOf(prototype) : 'foreign'
}

function classOf(prototype: unknown): string {
  const constructor: unknown = Reflect.get(prototype as object, 'constructor')
  return typeof constructor === 'function' ? constructor.name : 'nameless'
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
}

function collectObjects(value: unknown, into: Set<object>): void {
  if (!isObject(value) || into.has(value)) return
  into.add(value)
  if (ArrayBuffer.isView(value)) into.add(value.buffer)
  else if (!(value instanceof Date)) for (const part of partsOf(value)) collectObjects(part, into)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function show(value: unknown): string {
  if (Object.is(value, -0)) return '-0'
  if (typeof value === 'bigint') return `${value}n`
  return isObject(value) ? kindOf(value) : (JSON.stringify(value) ?? String(value))
}
