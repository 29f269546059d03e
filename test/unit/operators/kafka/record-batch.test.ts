import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { AbortedTransaction } from '../../../../operators/kafka/kafka-client.ts'
import { RecordBatchWriter, stampBatch } from '../../../../operators/kafka/record-batch-writer.ts'
import { RecordCursor, wholeBatches } from '../../../../operators/kafka/record-cursor.ts'
import type { FetchedRecords } from '../../../../operators/kafka/record-cursor.ts'

interface TestRecord {
  readonly timestampMs: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: Readonly<Record<string, string>>
}

interface BatchOptions {
  readonly offset?: number
  readonly compression?: 'none' | 'gzip'
  /** Attributes of the batch beside its codec. */
  readonly attributes?: number
  readonly producerId?: bigint
}

const transactional = 0x10
const control = 0x20

function batchOf(records: readonly TestRecord[], options: BatchOptions = {}): Uint8Array {
  const { offset = 0, compression = 'none', attributes = 0, producerId = 7n } = options
  const writer = new RecordBatchWriter()
  for (const { timestampMs, key, value, headers } of records) {
    writer.append(timestampMs, key, value, headers)
  }
  const bytes = writer.finish(compression)
  bytes.writeBigInt64BE(BigInt(offset), 0)
  bytes.writeInt16BE(bytes.readInt16BE(21) | attributes, 21)
  stampBatch(bytes, { producerId, epoch: 1 }, 0)
  return new Uint8Array(bytes)
}

function texts(...values: readonly string[]): TestRecord[] {
  return values.map((value) => ({
    timestampMs: 5,
    key: null,
    value: Buffer.from(value),
    headers: {},
  }))
}

function fetched(
  batches: readonly Uint8Array[],
  fromOffset: number = 0,
  aborted: readonly AbortedTransaction[] = [],
): FetchedRecords {
  const bytes = new Uint8Array(Buffer.concat(batches))
  const whole = wholeBatches(bytes)
  return { bytes, fromOffset, nextOffset: whole?.nextOffset ?? fromOffset, aborted }
}

function readAll(records: FetchedRecords): (TestRecord & { readonly offset: number })[] {
  const cursor = new RecordCursor('orders-0')
  cursor.open(records)
  const all = []
  while (cursor.next()) {
    const { body, keyStart, keyLength, valueStart, valueLength, offset, timestampMs } = cursor
    const key = keyLength < 0 ? null : body.slice(keyStart, keyStart + keyLength)
    const value = valueLength < 0 ? null : body.slice(valueStart, valueStart + valueLength)
    const headers = Array.from(cursor.headers(), ([name, bytes]) => [
      name,
      Buffer.from(bytes).toString(),
    ])
    all.push({ offset, timestampMs, key, value, headers: Object.fromEntries(headers) })
  }
  return all
}

function valuesOf(records: FetchedRecords): string[] {
  return readAll(records).map(({ value }) => Buffer.from(value ?? []).toString())
}

const anyRecord: fc.Arbitrary<TestRecord> = fc.record({
  timestampMs: fc.integer({ min: 0, max: 2 ** 42 }),
  key: fc.option(fc.uint8Array({ maxLength: 200 })),
  value: fc.option(fc.uint8Array({ maxLength: 200 })),
  headers: fc.dictionary(
    fc.string({ maxLength: 8 }).filter((name) => name !== '__proto__'),
    fc.string({ maxLength: 100, unit: 'grapheme' }),
    { noNullPrototype: true, maxKeys: 4 },
  ),
})

test('records come out as they were written, plain or packed', () => {
  fc.assert(
    fc.property(
      fc.array(anyRecord, { minLength: 1, maxLength: 60 }),
      fc.constantFrom('none', 'gzip'),
      fc.nat(2 ** 40),
      (records, compression, offset) => {
        const read = readAll(fetched([batchOf(records, { compression, offset })], offset))

        assert.deepEqual(
          read,
          records.map((record, i) => ({ ...record, offset: offset + i })),
        )
      },
    ),
  )
})

test('values of a megabyte and times far apart come out as they were written', () => {
  const records = [0, 1_900_000_000_000, 5].map((timestampMs, i) => ({
    timestampMs,
    key: null,
    headers: {},
    value: new Uint8Array(2 ** (10 + 5 * i)).fill(i),
  }))

  assert.deepEqual(
    readAll(fetched([batchOf(records)])),
    records.map((record, offset) => ({ ...record, offset })),
  )
})

test('a writer counts the bytes of its batch', () => {
  const writer = new RecordBatchWriter()
  for (const { timestampMs, key, value, headers } of texts('a', 'bb', 'ccc')) {
    writer.append(timestampMs, key, value, headers)
  }

  const counted = writer.bytes
  assert.equal(writer.finish('none').length, counted)
})

test('begins within a batch, and says where it ended', () => {
  const batches = [batchOf(texts('a', 'b', 'c')), batchOf(texts('d', 'e'), { offset: 3 })]
  const cursor = new RecordCursor('orders-0')
  cursor.open(fetched(batches, 2))

  const offsets = []
  while (cursor.next()) offsets.push([cursor.offset, cursor.nextOffset])

  assert.deepEqual(offsets, [
    [2, 3],
    [3, 4],
    [4, 5],
  ])
  assert.equal(cursor.nextOffset, 5)
})

test('a record without a time has none', () => {
  const records = texts('a').map((record) => ({ ...record, timestampMs: -1 }))

  assert.deepEqual(
    readAll(fetched([batchOf(records)])).map(({ timestampMs }) => timestampMs),
    [NaN],
  )
})

test('a batch that is cut off is no whole batch', () => {
  const [a, b] = [batchOf(texts('a')), batchOf(texts('b'), { offset: 1 })]
  const both = Buffer.concat([a, b])

  assert.deepEqual(wholeBatches(new Uint8Array(both)), { bytesCount: both.length, nextOffset: 2 })
  for (const length of [a.length, a.length + 1, a.length + 61, both.length - 1]) {
    assert.deepEqual(wholeBatches(new Uint8Array(both.subarray(0, length))), {
      bytesCount: a.length,
      nextOffset: 1,
    })
  }
  for (const length of [0, 1, 60, a.length - 1]) {
    assert.equal(wholeBatches(a.subarray(0, length)), undefined)
  }
})

test('records of aborted transactions are left out, those of others and later ones are not', () => {
  const of = (producerId: bigint, offset: number, ...values: string[]) =>
    batchOf(texts(...values), { offset, producerId, attributes: transactional })
  const end = (producerId: bigint, offset: number) =>
    batchOf(texts('marker'), { offset, producerId, attributes: transactional | control })
  const batches = [
    of(1n, 0, 'a'),
    of(2n, 1, 'b'),
    of(1n, 2, 'a2'),
    end(1n, 3),
    of(2n, 4, 'b2'),
    end(2n, 5),
    of(1n, 6, 'a3'),
    end(1n, 7),
    of(1n, 8, 'a4'),
    end(1n, 9),
    batchOf(texts('plain'), { offset: 10 }),
  ]
  const aborted = [
    { producerId: 1n, firstOffset: 8 },
    { producerId: 1n, firstOffset: 0 },
  ]

  assert.deepEqual(valuesOf(fetched(batches, 0, aborted)), ['b', 'b2', 'a3', 'plain'])
  // A fetch that begins within the transaction is told of it too.
  assert.deepEqual(valuesOf(fetched(batches.slice(2), 2, aborted)), ['b2', 'a3', 'plain'])
  assert.deepEqual(valuesOf(fetched(batches)).length, 7)
})

test('damage anywhere in a batch is an error that names its place, never a record', () => {
  const batch = batchOf(texts('some text', 'more text'), { offset: 41 })
  for (let at = 21; at < batch.length; at++) {
    const damaged = batch.slice()
    damaged[at] = (damaged[at] ?? 0) ^ 0x10
    assert.throws(() => readAll({ bytes: damaged, fromOffset: 0, nextOffset: 43, aborted: [] }), {
      code: 'KAFKA_FAILED',
      message: /orders-0 at offset 41 is damaged: its checksum/,
    })
  }
})

test('packed records that cannot be unpacked are damage', () => {
  const batch = Buffer.from(batchOf(texts('some text'), { compression: 'gzip' }))
  batch.fill(0, 61, 70)
  stampBatch(batch, { producerId: 1n, epoch: 1 }, 0)

  assert.throws(() => valuesOf(fetched([batch])), /damaged: it cannot be unpacked/)
})

test('an old format of records is refused with its place', () => {
  const batch = batchOf(texts('a'), { offset: 3 })
  batch[16] = 1

  assert.throws(() => valuesOf({ bytes: batch, fromOffset: 0, nextOffset: 4, aborted: [] }), {
    code: 'KAFKA_FAILED',
    retryable: false,
    message: /orders-0 has records in format 1 at offset 3/,
  })
})
