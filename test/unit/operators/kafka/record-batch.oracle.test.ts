/** Our record batches against those of kafkajs: what we write it reads, what it writes we read, and plain batches are the same bytes. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import { RecordBatchWriter, stampBatch } from '../../../../operators/kafka/record-batch-writer.ts'
import { RecordCursor } from '../../../../operators/kafka/record-cursor.ts'

interface TestRecord {
  readonly timestampMs: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, Buffer>>
}

interface TestBatch {
  readonly records: readonly TestRecord[]
  readonly producerId: number
  readonly epoch: number
  readonly sequence: number
  readonly isTransactional: boolean
  readonly compression: 'none' | 'gzip'
}

interface KafkajsBatch {
  readonly producerId: string
  readonly producerEpoch: number
  readonly firstSequence: number
  readonly inTransaction: boolean
  readonly lastOffsetDelta: number
  readonly maxTimestamp: string
  readonly records: readonly {
    readonly timestamp: string
    readonly offset: string
    readonly key: Buffer | null
    readonly value: Buffer | null
    readonly headers: Readonly<Record<string, Buffer>>
  }[]
}

const load = createRequire(import.meta.url)
const { RecordBatch } = load('kafkajs/src/protocol/recordBatch/v0') as {
  RecordBatch: (options: object) => Promise<{ readonly buffer: Buffer }>
}
const encodeRecord = load('kafkajs/src/protocol/recordBatch/record/v0') as (
  options: object,
) => unknown
const decodeBatch = load('kafkajs/src/protocol/recordBatch/v0/decoder') as (
  decoder: object,
) => Promise<KafkajsBatch>
const Decoder = load('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => object

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array))
const anyBatch: fc.Arbitrary<TestBatch> = fc.record({
  records: fc.array(
    fc.record({
      timestampMs: fc.integer({ min: 0, max: 2 ** 42 }),
      key: fc.option(bytes),
      value: fc.option(bytes),
      headers: fc.dictionary(
        // kafkajs looks them up in a plain object, and finds what every object has
        fc.string({ minLength: 1, maxLength: 8 }).filter((name) => !(name in Object.prototype)),
        bytes,
        { noNullPrototype: true, maxKeys: 4 },
      ),
    }),
    { minLength: 1, maxLength: 40 },
  ),
  producerId: fc.integer({ min: 0, max: 2 ** 40 }),
  epoch: fc.integer({ min: 0, max: 32_767 }),
  sequence: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  isTransactional: fc.boolean(),
  compression: fc.constantFrom('none' as const, 'gzip' as const),
})

function ours(batch: TestBatch): Buffer {
  const writer = new RecordBatchWriter()
  for (const { timestampMs, key, value, headers } of batch.records) {
    writer.append(timestampMs, key, value, headers)
  }
  const { epoch, sequence, isTransactional } = batch
  const finished = writer.finish(batch.compression)
  stampBatch(finished, { producerId: BigInt(batch.producerId), epoch }, sequence, isTransactional)
  return Buffer.from(finished)
}

async function theirs(batch: TestBatch): Promise<Buffer> {
  const times = batch.records.map(({ timestampMs }) => timestampMs)
  const first = times[0] ?? 0
  const { buffer } = await RecordBatch({
    compression: batch.compression === 'gzip' ? 1 : 0,
    firstTimestamp: first,
    maxTimestamp: Math.max(...times),
    lastOffsetDelta: batch.records.length - 1,
    transactional: batch.isTransactional,
    producerId: batch.producerId,
    producerEpoch: batch.epoch,
    firstSequence: batch.sequence,
    records: batch.records.map(({ timestampMs, key, value, headers }, offsetDelta) =>
      encodeRecord({ offsetDelta, timestampDelta: timestampMs - first, key, value, headers }),
    ),
  })
  return buffer
}

/** Comparable: what a batch holds. */
function contentsOf(records: readonly TestRecord[]): unknown[] {
  return records.map(({ timestampMs, key, value, headers }, offset) => ({
    offset,
    timestampMs,
    key: key?.toString('hex') ?? null,
    value: value?.toString('hex') ?? null,
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, header]) => [name, header.toString('hex')]),
    ),
  }))
}

test('what we write kafkajs reads', async () => {
  await fc.assert(
    fc.asyncProperty(anyBatch, async (batch) => {
      const read = await decodeBatch(new Decoder(ours(batch)))

      assert.deepEqual(
        [read.producerId, read.producerEpoch, read.firstSequence, read.inTransaction],
        [String(batch.producerId), batch.epoch, batch.sequence, batch.isTransactional],
      )
      assert.equal(read.lastOffsetDelta, batch.records.length - 1)
      assert.deepEqual(
        contentsOf(
          read.records.map(({ timestamp, key, value, headers }) => ({
            timestampMs: Number(timestamp),
            key,
            value,
            headers,
          })),
        ),
        contentsOf(batch.records),
      )
    }),
  )
})

test('what kafkajs writes we read', async () => {
  await fc.assert(
    fc.asyncProperty(anyBatch, async (batch) => {
      const cursor = new RecordCursor('orders-0')
      const nextOffset = batch.records.length
      cursor.open({
        bytes: new Uint8Array(await theirs(batch)),
        fromOffset: 0,
        nextOffset,
        aborted: [],
      })

      const read: TestRecord[] = []
      while (cursor.next()) {
        const { body, keyStart, keyLength, valueStart, valueLength, timestampMs } = cursor
        const part = (start: number, length: number): Buffer | null =>
          length < 0 ? null : Buffer.from(body.slice(start, start + length))
        read.push({
          timestampMs,
          key: part(keyStart, keyLength),
          value: part(valueStart, valueLength),
          headers: Object.fromEntries(
            Array.from(cursor.headers(), ([name, header]) => [name, Buffer.from(header)]),
          ),
        })
      }

      assert.deepEqual(contentsOf(read), contentsOf(batch.records))
    }),
  )
})

test('a plain batch is the same bytes', async () => {
  await fc.assert(
    fc.asyncProperty(anyBatch, async (any) => {
      const batch = { ...any, compression: 'none' as const }

      assert.deepEqual(ours(batch), await theirs(batch))
    }),
  )
})
