import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import avsc from 'avsc'
import fc from 'fast-check'
import { isEngineError, type } from 'millrace'
import { avro, registryAvro } from 'millrace/avro'
import { memoryRegistry } from 'millrace/schema-registry'
import { checkValue } from '../../../../src/core/value.ts'

const viewSchema = {
  type: 'record',
  name: 'View',
  namespace: 'org.example',
  fields: [
    { name: 'page', type: 'string' },
    { name: 'atMs', type: { type: 'long', logicalType: 'timestamp-millis' } },
    { name: 'user', type: ['null', 'string'], default: null },
    { name: 'digest', type: { type: 'fixed', name: 'Digest', size: 2 } },
    { name: 'tags', type: { type: 'map', values: { type: 'array', items: 'bytes' } } },
  ],
}

const view = {
  page: '/',
  atMs: 1_700_000_000_000,
  user: 'a',
  digest: new Uint8Array([1, 2]),
  tags: { a: [new Uint8Array([3]), new Uint8Array()] },
}

describe('Avro', () => {
  test('values come back plain, in the value model, with bytes of their own', () => {
    const format = avro<typeof view>({ schema: viewSchema })
    const bytes = format.encode(view)
    const read = format.decode(bytes)

    assert.deepEqual(read, view)
    checkValue(read)
    assert.equal(Object.getPrototypeOf(read), Object.prototype)
    assert.ok(!Buffer.isBuffer(read.digest))
    bytes.fill(0)
    assert.deepEqual(read, view)
  })

  test('the bytes are those that the library alone writes, as far as it is exact', () => {
    const fields = [{ name: 'n', type: 'long' }]
    const schema = { type: 'record' as const, name: 'R', fields }
    const alone = avsc.Type.forSchema(schema)
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 52), max: 2 ** 52 }), (n) => {
        assert.deepEqual(
          Buffer.from(avro<{ n: number }>({ schema }).encode({ n })),
          alone.toBuffer({ n }),
        )
      }),
      { numRuns: 50 },
    )
  })

  test('longs are exact: numbers up to 2^53, bigints beyond', () => {
    const format = avro<number | bigint>({ schema: 'long' })
    fc.assert(
      fc.property(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), (long) => {
        const read = format.decode(format.encode(long))
        assert.equal(BigInt(read), long)
        assert.equal(typeof read, Number.isSafeInteger(Number(long)) ? 'number' : 'bigint')
      }),
      { numRuns: 200 },
    )
  })

  test('an older or a newer schema of the writer is brought to that of the reader', () => {
    const old = {
      type: 'record',
      name: 'R',
      fields: [
        { name: 'n', type: 'int' },
        { name: 'gone', type: 'string' },
      ],
    }
    const now = {
      type: 'record',
      name: 'R',
      fields: [
        { name: 'n', type: 'long' },
        { name: 'added', type: 'string', default: 'none' },
      ],
    }
    const bytes = avro<object>({ schema: old }).encode({ n: 7, gone: 'x' })
    assert.deepEqual(avro<object>({ schema: now, writerSchema: old }).decode(bytes), {
      n: 7,
      added: 'none',
    })
  })

  test('what does not fit is refused with the field', () => {
    const format = avro<object>({ schema: viewSchema })
    assert.throws(() => format.encode({ ...view, page: 5 }), {
      code: 'VALUE_UNSUPPORTED',
      message: /field page /,
    })
    assert.throws(() => format.encode({ ...view, digest: new Uint8Array(3) }), /field digest /)
  })

  test('too few bytes, or more than the value, are undecodable', () => {
    const format = avro<string>({ schema: 'string' })
    const bytes = format.encode('abc')
    for (const bad of [bytes.subarray(0, 2), Buffer.concat([bytes, bytes]), new Uint8Array()]) {
      assert.throws(
        () => format.decode(bad),
        (error) => !isEngineError(error),
      )
    }
    assert.equal(format.decode(bytes), 'abc')
  })

  test('a schema that is none is a mistake of the job', () => {
    for (const schema of ['{', { type: 'recrd' }, '{"type":"record"}']) {
      assert.throws(() => avro({ schema }), { code: 'OPTION_INVALID' })
    }
  })
})

describe('Avro of a registry', () => {
  const schema = (fields: readonly object[]): object => ({ type: 'record', name: 'R', fields })
  const one = schema([{ name: 'n', type: 'int' }])
  const two = schema([
    { name: 'n', type: 'int' },
    { name: 'm', type: 'int', default: 5 },
  ])

  test('each value is read by the schema it was written with', async () => {
    const registry = memoryRegistry()
    const first = registryAvro<object>({ registry, schema: one, subject: 's' })
    const second = registryAvro<object>({ registry, schema: two, subject: 's' })
    await first.openEncoder?.()
    await second.openEncoder?.()
    const messages = [first.encode({ n: 1 }), second.encode({ n: 2, m: 3 })]
    assert.deepEqual([...(messages[1] as Uint8Array).subarray(0, 5)], [0, 0, 0, 0, 2])

    const asSecond = registryAvro<object>({ registry, schema: two })
    const asWritten = registryAvro<object>({ registry })
    for (const message of messages) {
      await asSecond.awaitsBefore?.(message)
      await asWritten.awaitsBefore?.(message)
      assert.equal(asSecond.awaitsBefore?.(message), undefined)
    }
    assert.deepEqual(
      messages.map((message) => asSecond.decode(message)),
      [
        { n: 1, m: 5 },
        { n: 2, m: 3 },
      ],
    )
    assert.deepEqual(
      messages.map((message) => asWritten.decode(message)),
      [{ n: 1 }, { n: 2, m: 3 }],
    )
  })

  test('an id that is asked for twice at once is fetched once', async () => {
    const inner = memoryRegistry()
    const writer = registryAvro<object>({ registry: inner, schema: one, subject: 's' })
    await writer.openEncoder?.()
    let asked = 0
    const registry = {
      ...inner,
      schemaOf: (id: number) => {
        asked += 1
        return inner.schemaOf(id)
      },
    }
    const format = registryAvro<object>({ registry })
    const message = writer.encode({ n: 1 })
    await Promise.all([format.awaitsBefore?.(message), format.awaitsBefore?.(message)])
    assert.equal(asked, 1)
  })

  test('an id the registry does not know, a schema of another kind and bytes of another format are undecodable', async () => {
    const registry = memoryRegistry()
    await registry.idOf('s', { type: 'JSON', schema: '{}' })
    const format = registryAvro<object>({ registry, schema: one, validate: type<object>() })
    const message = (id: number): Uint8Array => new Uint8Array([0, 0, 0, 0, id, 2])
    for (const [bytes, reason] of [
      [message(9), /knows no schema 9/],
      [message(1), /schema 1 cannot be used: it is of JSON/],
      [new Uint8Array([1, 0, 0, 0, 1, 2]), /begins with byte 1/],
      [new Uint8Array([0, 0]), /2 bytes are too few/],
    ] as const) {
      await format.awaitsBefore?.(bytes)
      assert.throws(
        () => format.decode(bytes),
        (error: unknown) => {
          assert.ok(error instanceof Error && !isEngineError(error))
          assert.match(error.message, reason)
          return true
        },
      )
    }
  })

  test('a registry that does not answer is no undecodable record', async () => {
    const registry = {
      ...memoryRegistry(),
      schemaOf: async () => Promise.reject(new Error('away')),
    }
    const format = registryAvro<object>({ registry })
    await assert.rejects(
      async () => format.awaitsBefore?.(new Uint8Array([0, 0, 0, 0, 1, 2])),
      /away/,
    )
  })

  test('a format without a subject cannot be written with', async () => {
    const format = registryAvro<object>({ registry: memoryRegistry(), schema: one })
    await assert.rejects(async () => format.openEncoder?.(), { code: 'OPTION_INVALID' })
  })
})
