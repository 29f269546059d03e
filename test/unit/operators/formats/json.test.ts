import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { json } from '../../../../operators/formats/json.ts'
import type { Schema } from '../../../../src/core/schema.ts'
import { type } from '../../../../src/core/schema.ts'
import { assertSameValue } from '../../../support/values.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

test('every JSON value comes back from its bytes as it was', () => {
  const format = json()
  const anyJson = fc.jsonValue({ noUnicodeString: false, maxDepth: 4 })
  fc.assert(
    fc.property(anyJson, (value) => {
      const withoutMinusZero: unknown = JSON.parse(JSON.stringify(value))
      assertSameValue(format.decode(format.encode(value)), withoutMinusZero)
    }),
    { numRuns: 300 },
  )
})

test('what is written has no line end, whatever the texts in it', () => {
  const bytes = json().encode({ 'a\nb': 'c\r\nd\u2028\u0085' })
  assert.equal(bytes.includes(0x0a), false)
  assert.equal(bytes.includes(0x0d), false)
})

test('a lone surrogate is written as an escape and comes back', () => {
  const format = json()
  assert.equal(format.decode(format.encode('a\ud800b')), 'a\ud800b')
})

test('fields that are undefined are left out, dates are ISO 8601 text', () => {
  const bytes = json().encode({ a: undefined, at: new Date(0), toJSON: 1 })
  assert.equal(Buffer.from(bytes).toString(), '{"at":"1970-01-01T00:00:00.000Z","toJSON":1}')
})

const cyclic: unknown[] = []
cyclic.push(cyclic)

const refused: Readonly<Record<string, readonly [unknown, RegExp]>> = {
  NaN: [{ price: NaN }, /The field price .* JSON: it is NaN; map it to null/],
  infinity: [[1, -Infinity], /The field \[1\] .* -Infinity/],
  'a bigint': [{ a: [{ id: 5n }] }, /The field a\[0\]\.id .* a bigint/],
  'an undefined item': [[undefined], /The field \[0\] .* undefined/],
  'undefined alone': [undefined, /The value .* undefined/],
  'a Map': [{ counts: new Map([['a', 1]]) }, /The field counts .* a Map.*Object\.fromEntries/],
  'a Set': [{ tags: new Set(['a']) }, /The field tags .* a Set.*Array\.from/],
  binary: [{ image: new Uint8Array([1]) }, /The field image .* binary/],
  'an invalid Date': [{ at: new Date(NaN) }, /The field at .* invalid Date/],
  'a function': [{ f: () => 1 }, /The field f .* no plain value/],
  'a class instance': [new (class Money {})(), /The value .* no plain value/],
  'a value that contains itself': [cyclic, /nested deeper than/],
}
for (const [what, [value, message]] of Object.entries(refused)) {
  test(`${what} is refused instead of being written as something else`, () => {
    assert.throws(() => json().encode(value), { code: 'VALUE_UNSUPPORTED', message })
  })
}

test('text that is no JSON is undecodable', () => {
  for (const text of ['', '{', '{}}', 'undefined', "{'a':1}", '\ufeff{}']) {
    assert.throws(() => json().decode(utf8(text)), SyntaxError, JSON.stringify(text))
  }
})

test('bytes that are no UTF-8 are undecodable, a replacement character that was sent is not', () => {
  const format = json()
  const broken = Buffer.concat([utf8('"a'), Buffer.from([0xc3, 0x28]), utf8('"')])
  assert.throws(() => format.decode(broken), /no UTF-8/)
  assert.equal(format.decode(utf8('"\ufffd"')), '\ufffd')
})

test('bytes are read alike from a Buffer, an array of bytes, or a part of either', () => {
  const format = json<{ a: string }>()
  const whole = utf8('xx{"a":"é"}xx')
  const part = whole.subarray(2, -2)
  assert.deepEqual(format.decode(part), { a: 'é' })
  assert.deepEqual(format.decode(Buffer.from(part)), { a: 'é' })
  assert.deepEqual(format.decode(Buffer.from(whole).subarray(2, -2)), { a: 'é' })
})

test('a field named __proto__ changes what no object inherits', () => {
  const value = json<object>().decode(utf8('{"__proto__":{"admin":true},"a":{"__proto__":null}}'))
  assert.equal(Object.getPrototypeOf(value), Object.prototype)
  assert.equal('admin' in value, false)
  assert.equal('admin' in {}, false)
  assert.deepEqual(Object.keys(value), ['__proto__', 'a'])
})

interface View {
  readonly page: string
  readonly atMs: number
}

const viewSchema: Schema<View> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => {
      const { page, at } = value as { readonly page?: unknown; readonly at?: unknown }
      const issues: { readonly message: string; readonly path: readonly PropertyKey[] }[] = []
      if (typeof page !== 'string') issues.push({ message: 'is no text', path: ['page'] })
      if (typeof at !== 'string') issues.push({ message: 'is no time', path: ['seen', 0, 'at'] })
      if (typeof page !== 'string' || typeof at !== 'string') return { issues }
      return { value: { page, atMs: Date.parse(at) } }
    },
  },
}

test("with a schema, the schema's output takes the place of what was decoded", () => {
  const view: View = json(viewSchema).decode(utf8('{"page":"/","at":"1970-01-01T00:00:01Z"}'))
  assert.deepEqual(view, { page: '/', atMs: 1000 })
})

test('a value that does not fit its schema is refused with every issue and its path', () => {
  assert.throws(() => json(viewSchema).decode(utf8('{"page":1}')), {
    message: /page: is no text; seen\[0\]\.at: is no time$/,
  })
})

test('paths and texts of issues are shown as the schema gives them', () => {
  const schema: Schema<unknown> = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: () => ({
        issues: [
          { message: 'at the root' },
          { message: 'also', path: [] },
          { message: 'by steps', path: [{ key: 'a' }, { key: 1 }, Symbol('s')] },
        ],
      }),
    },
  }
  assert.throws(() => json(schema).decode(utf8('{}')), {
    message: /: at the root; also; a\[1\]\.Symbol\(s\): by steps$/,
  })
})

test('type() checks nothing', () => {
  assert.deepEqual(json(type<View>()).decode(utf8('[1]')), [1])
})

test('a schema that answers with a promise says so', () => {
  const schema: Schema<number> = {
    '~standard': { version: 1, vendor: 'slow', validate: async () => ({ value: 1 }) },
  }
  assert.throws(() => json(schema).decode(utf8('1')), { code: 'SCHEMA_ASYNC' })
})
