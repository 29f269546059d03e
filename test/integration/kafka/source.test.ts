import assert from 'node:assert/strict'
import { afterEach, before, describe, test } from 'node:test'
import { checkValue } from '../../../src/core/value.ts'
import { decodeValue, encodeValue } from '../../../src/core/value-codec.ts'
import { kafkaRecordSource, kafkaSource } from '../../../operators/kafka/index.ts'
import type { KafkaSourceOptions } from '../../../operators/kafka/index.ts'
import { sharedKafka, skipWithoutKafka } from '../../support/kafka/start-kafka.ts'
import { closeSourceRuns, SourceRun, text } from '../../support/kafka/source-run.ts'
import type { ReadRecord, SourceRunOptions } from '../../support/kafka/source-run.ts'
import {
  append,
  createTopic,
  deleteBefore,
  freshTopic,
  numbered,
  toMessages,
  withAdmin,
  withProducer,
} from '../../support/kafka/topics.ts'

const skip = skipWithoutKafka()
const timeout = 120_000
let bootstrap = ''

afterEach(closeSourceRuns)

type Options = Partial<KafkaSourceOptions<string, string>>

/** What `kafkaSource` gives, without an end or to it. */
async function read(
  options: Options & { readonly topics: KafkaSourceOptions<string>['topics'] },
  run: SourceRunOptions & { readonly count?: number } = {},
): Promise<string[]> {
  const { key: _, ...rest } = options
  const source = kafkaSource({ brokers: [bootstrap], value: text, ...rest })
  const reading = await SourceRun.start(source, run)
  const records = run.count === undefined ? await reading.all() : await reading.take(run.count)
  return records.map(({ value }) => value)
}

function valuesOf(records: readonly ReadRecord<string>[], splitId: string): string[] {
  return records.filter((record) => record.splitId === splitId).map(({ value }) => value)
}

describe('kafkaSource', { skip, timeout }, () => {
  before(async () => {
    bootstrap = (await sharedKafka()).bootstrap
  })

  test('reads each partition from its first record on, in order, with the times of the records', async () => {
    const topic = await freshTopic(bootstrap, 3)
    for (let partition = 0; partition < 3; partition++) {
      const messages = numbered(partition * 1000, partition * 1000 + 700).map((value, i) => ({
        value,
        timestamp: String(1_000_000 + i),
      }))
      await append(bootstrap, topic, messages, partition)
    }

    const run = await SourceRun.start(
      kafkaSource({ brokers: [bootstrap], topics: [topic], value: text, endAt: 'latest' }),
    )
    const records = await run.all()

    for (let partition = 0; partition < 3; partition++) {
      const expected = numbered(partition * 1000, partition * 1000 + 700)
      assert.deepEqual(valuesOf(records, `${topic}-${partition}`), expected)
    }
    const times = records.filter(({ splitId }) => splitId === `${topic}-1`)
    assert.deepEqual(
      times.map(({ timestampMs }) => timestampMs),
      numbered(0, 700).map((_, i) => 1_000_000 + i),
    )
  })

  test('a source without an end hands out what is written while it runs', async () => {
    const topic = await freshTopic(bootstrap)
    const run = await SourceRun.start(
      kafkaSource({ brokers: [bootstrap], topics: [topic], value: text }),
    )
    await append(bootstrap, topic, ['a', 'b'])
    const first = await run.take(2)
    await append(bootstrap, topic, ['c'])
    const second = await run.take(1)

    assert.deepEqual(
      [...first, ...second].map(({ value }) => value),
      ['a', 'b', 'c'],
    )
  })

  test('startAt latest passes over what is there at the start', async () => {
    const topic = await freshTopic(bootstrap)
    await append(bootstrap, topic, ['old'])

    const run = await SourceRun.start(
      kafkaSource({ brokers: [bootstrap], topics: [topic], value: text, startAt: 'latest' }),
    )
    await append(bootstrap, topic, ['new'])
    const records = await run.take(1)

    assert.deepEqual(
      records.map(({ value }) => value),
      ['new'],
    )
  })

  test('startAt a time begins with the first record that is not earlier', async () => {
    const topic = await freshTopic(bootstrap)
    for (const [value, timestamp] of [
      ['a', '1000'],
      ['b', '2000'],
      ['c', '3000'],
    ] as const) {
      await append(bootstrap, topic, [{ value, timestamp }])
    }

    const values = await read({ topics: [topic], startAt: { timestampMs: 1500 }, endAt: 'latest' })

    assert.deepEqual(values, ['b', 'c'])
  })

  test('startAt a time behind the last record begins behind it', async () => {
    const topic = await freshTopic(bootstrap)
    await append(bootstrap, topic, [{ value: 'a', timestamp: '1000' }])

    const values = await read({ topics: [topic], startAt: { timestampMs: 1500 }, endAt: 'latest' })

    assert.deepEqual(values, [])
  })

  test('startAt offsets begins there, and at the first record of a partition that is not named', async () => {
    const topic = await freshTopic(bootstrap, 2)
    await append(bootstrap, topic, ['a', 'b', 'c'], 0)
    await append(bootstrap, topic, ['x', 'y'], 1)

    const offsets = { [`${topic}-0`]: 2n }
    const values = await read({ topics: [topic], startAt: { offsets }, endAt: 'latest' })

    assert.deepEqual(values.sort(), ['c', 'x', 'y'])
  })

  test('startAt committed begins at the offsets of the group, else at the first record', async () => {
    const topic = await freshTopic(bootstrap, 2)
    await append(bootstrap, topic, ['a', 'b', 'c'], 0)
    await append(bootstrap, topic, ['x', 'y'], 1)
    const group = `group-of-${topic}`
    await withAdmin(bootstrap, (admin) =>
      admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: '1' }] }),
    )

    const values = await read({ topics: [topic], startAt: 'committed', group, endAt: 'latest' })

    assert.deepEqual(values.sort(), ['b', 'c', 'x', 'y'])
  })

  test('endAt latest ends each partition where it ended at the start', async () => {
    const topic = await freshTopic(bootstrap, 2)
    await append(bootstrap, topic, ['a', 'b'], 0)
    const source = kafkaSource({
      brokers: [bootstrap],
      topics: [topic],
      value: text,
      endAt: 'latest',
    })

    const run = await SourceRun.start(source)
    await append(bootstrap, topic, ['too late'], 0)
    await append(bootstrap, topic, ['too late'], 1)
    const records = await run.all()

    assert.equal(source.isBounded, true)
    assert.deepEqual(
      records.map(({ value }) => value),
      ['a', 'b'],
    )
  })

  test('endAt a time ends before the first record that is not earlier', async () => {
    const topic = await freshTopic(bootstrap)
    for (const [value, timestamp] of [
      ['a', '1000'],
      ['b', '2000'],
      ['c', '3000'],
    ] as const) {
      await append(bootstrap, topic, [{ value, timestamp }])
    }

    assert.deepEqual(await read({ topics: [topic], endAt: { timestampMs: 2000 } }), ['a'])
    assert.deepEqual(await read({ topics: [topic], endAt: { timestampMs: 9000 } }), ['a', 'b', 'c'])
  })

  test('endAt offsets ends there, also within a batch, and waits for what is not written yet', async () => {
    const topic = await freshTopic(bootstrap)
    await append(bootstrap, topic, ['a', 'b', 'c'])
    const endAt = (offset: bigint) => ({ offsets: { [`${topic}-0`]: offset } })

    assert.deepEqual(await read({ topics: [topic], endAt: endAt(2n) }), ['a', 'b'])
    const ahead = read({ topics: [topic], endAt: endAt(4n) })
    await append(bootstrap, topic, ['d', 'e'])

    assert.deepEqual(await ahead, ['a', 'b', 'c', 'd'])
  })

  test('a restored split goes on exactly behind the last record that was handed out', async () => {
    const topic = await freshTopic(bootstrap, 2)
    await append(bootstrap, topic, numbered(0, 300), 0)
    await append(bootstrap, topic, numbered(300, 600), 1)
    const source = kafkaSource({
      brokers: [bootstrap],
      topics: [topic],
      value: text,
      endAt: 'latest',
    })

    const run = await SourceRun.start(source, { recordsMax: 7 })
    const first = await run.take(101)
    const stored = encodeValue(run.checkpoint())
    await run.close()
    const splits = decodeValue(stored) as ReturnType<typeof run.checkpoint>
    const second = await SourceRun.start(source, { splits })
    const rest = await second.all()

    const values = [...first, ...rest]
    assert.ok(rest.length > 0 && rest.length < 600)
    assert.deepEqual(valuesOf(values, `${topic}-0`), numbered(0, 300))
    assert.deepEqual(valuesOf(values, `${topic}-1`), numbered(300, 600))
  })

  test('leaves out tombstones, and its position moves past them', async () => {
    const topic = await freshTopic(bootstrap)
    const tombstones = Array.from({ length: 50 }, () => ({ key: 'k', value: null }))
    await append(bootstrap, topic, ['a', ...tombstones, 'b', ...tombstones])
    const source = kafkaSource({
      brokers: [bootstrap],
      topics: [topic],
      value: text,
      endAt: 'latest',
    })

    const run = await SourceRun.start(source, { recordsMax: 2 })
    const records = await run.all()
    const [split] = run.checkpoint()

    assert.deepEqual(
      records.map(({ value }) => value),
      ['a', 'b'],
    )
    assert.equal(split?.position, 102n)
  })

  test('reads every codec', async () => {
    const values = numbered(0, 2000)
    const canUnpackZstd =
      process.getBuiltinModule?.('node:zlib') !== undefined &&
      'zstdDecompressSync' in process.getBuiltinModule('node:zlib')
    for (const codec of ['gzip', 'snappy', 'lz4', ...(canUnpackZstd ? ['zstd'] : [])]) {
      const topic = await freshTopic(bootstrap, 1, { 'compression.type': codec })
      await append(bootstrap, topic, values)

      assert.deepEqual(await read({ topics: [topic], endAt: 'latest' }), values, codec)
    }
  })

  test('gives the time at which the broker appended, where the topic is set so', async () => {
    const topic = await freshTopic(bootstrap, 1, { 'message.timestamp.type': 'LogAppendTime' })
    const before = Date.now()
    await append(bootstrap, topic, [
      { value: 'a', timestamp: '1000' },
      { value: 'b', timestamp: '2000' },
    ])

    const run = await SourceRun.start(
      kafkaSource({ brokers: [bootstrap], topics: [topic], value: text, endAt: 'latest' }),
    )
    const records = await run.all()

    const [a, b] = records.map(({ timestampMs }) => timestampMs)
    assert.ok(a !== undefined && a >= before, `${a} is before ${before}`)
    assert.equal(b, a)
  })

  test('does not see records of aborted transactions, unless asked to', async () => {
    const topic = await freshTopic(bootstrap)
    await withProducer(
      bootstrap,
      async (producer) => {
        for (const [tag, commits] of [
          ['a', true],
          ['b', false],
          ['c', true],
          ['d', false],
        ] as const) {
          const transaction = await producer.transaction()
          await transaction.send({ topic, messages: toMessages([`${tag}1`, `${tag}2`]) })
          await transaction.send({ topic, messages: toMessages([`${tag}3`]) })
          await (commits ? transaction.commit() : transaction.abort())
        }
      },
      `tx-${topic}`,
    )
    await append(bootstrap, topic, ['plain'])

    const committed = await read({ topics: [topic], endAt: 'latest' })
    const all = await read({ topics: [topic], endAt: 'latest', isolation: 'read_uncommitted' })

    assert.deepEqual(committed, ['a1', 'a2', 'a3', 'c1', 'c2', 'c3', 'plain'])
    assert.equal(all.length, 13)
  })

  test('holds back records of a transaction until it is committed', async () => {
    const topic = await freshTopic(bootstrap)
    const values = await withProducer(
      bootstrap,
      async (producer) => {
        await append(bootstrap, topic, ['before'])
        const transaction = await producer.transaction()
        await transaction.send({ topic, messages: toMessages(['within']) })
        const atOnce = await read({ topics: [topic], endAt: 'latest' })
        const later = read({ topics: [topic] }, { count: 2 })
        await transaction.commit()
        return { atOnce, later: await later }
      },
      `tx-${topic}`,
    )

    assert.deepEqual(values, { atOnce: ['before'], later: ['before', 'within'] })
  })

  test('an undecodable record fails with its place and a remedy', async () => {
    const topic = await freshTopic(bootstrap)
    await append(bootstrap, topic, ['a', 'bad one', 'b'])

    await assert.rejects(read({ topics: [topic], endAt: 'latest' }), (error: Error) => {
      assert.match(error.message, new RegExp(`${topic}, partition 0, offset 1`))
      assert.match(error.message, /'bad one' is bad.*onUndecodable/)
      return 'code' in error && error.code === 'RECORD_UNDECODABLE'
    })
  })

  test('an undecodable record is left out and logged where that is asked for', async () => {
    const topic = await freshTopic(bootstrap)
    await append(bootstrap, topic, ['a', 'bad one', 'b'])
    const source = kafkaSource({
      brokers: [bootstrap],
      topics: [topic],
      value: text,
      endAt: 'latest',
      onUndecodable: 'skip',
    })

    const run = await SourceRun.start(source)
    const records = await run.all()

    assert.deepEqual(
      records.map(({ value }) => value),
      ['a', 'b'],
    )
    assert.equal(run.logger.lines.filter((line) => line.includes('offset 1')).length, 1)
  })

  test('finds a new partition and reads it from its first record on, whatever startAt says', async () => {
    const topic = await freshTopic(bootstrap)
    const source = kafkaSource({
      brokers: [bootstrap],
      topics: [topic],
      value: text,
      startAt: 'latest',
      discoverPartitionsEvery: '5s',
    })
    const run = await SourceRun.start(source)
    await withAdmin(bootstrap, (admin) =>
      admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] }),
    )
    await append(bootstrap, topic, ['written before it was found'], 1)

    const splits = await run.enumerator.discover(new Set([`${topic}-0`]))
    for (const split of splits) run.open(split)
    const records = await run.take(1)

    assert.equal(run.enumerator.discoverEveryMs, 5000)
    assert.deepEqual(
      splits.map(({ id }) => id),
      [`${topic}-1`],
    )
    assert.deepEqual(
      records.map(({ value }) => value),
      ['written before it was found'],
    )
  })

  test('finds topics by a regular expression, also those made later', async () => {
    const base = await freshTopic(bootstrap)
    const later = `${base}-later`
    const source = kafkaSource({
      brokers: [bootstrap],
      topics: new RegExp(`^${base}`, 'g'),
      value: text,
    })
    const run = await SourceRun.start(source)
    const first = run.checkpoint().map(({ id }) => id)
    await createTopic(bootstrap, later)

    const splits = await run.enumerator.discover(new Set(first))

    assert.deepEqual(first, [`${base}-0`])
    assert.deepEqual(
      splits.map(({ id }) => id),
      [`${later}-0`],
    )
  })

  test('a position below the start of the log fails with the range that is there', async () => {
    const topic = await freshTopic(bootstrap)
    await append(bootstrap, topic, numbered(0, 10))
    const source = kafkaSource({ brokers: [bootstrap], topics: [topic], value: text })
    const run = await SourceRun.start(source)
    await run.take(4)
    const splits = run.checkpoint().map((split) => ({ ...split, position: 4n }))
    await run.close()
    await deleteBefore(bootstrap, topic, 7)

    const restored = await SourceRun.start(source, { splits })
    await assert.rejects(restored.failure(), {
      code: 'KAFKA_OFFSET_OUT_OF_RANGE',
      message: new RegExp(`${topic}-0 has offsets 7 to 10.*on at 4: the records from 4 to 6`),
    })
  })

  test('a position behind the end of the log fails with the range that is there', async () => {
    const topic = await freshTopic(bootstrap)
    await append(bootstrap, topic, ['a'])
    const source = kafkaSource({ brokers: [bootstrap], topics: [topic], value: text })
    const splits = [{ id: `${topic}-0`, data: { topic, partition: 0 }, position: 99n }]

    const run = await SourceRun.start(source, { splits })
    await assert.rejects(run.failure(), {
      code: 'KAFKA_OFFSET_OUT_OF_RANGE',
      message: /offsets 0 to 1, .* at 99: the log ends before it/,
    })
  })

  test('startAt offsets below the start of the log fails when the job starts', async () => {
    const topic = await freshTopic(bootstrap)
    await append(bootstrap, topic, numbered(0, 10))
    await deleteBefore(bootstrap, topic, 7)

    const startAt = { offsets: { [`${topic}-0`]: 3n } }
    await assert.rejects(read({ topics: [topic], startAt }, { count: 1 }), {
      code: 'KAFKA_OFFSET_OUT_OF_RANGE',
    })
  })

  test('an unknown topic fails when the job starts', async () => {
    await assert.rejects(read({ topics: ['nobody-made-this'] }, { count: 1 }), {
      code: 'KAFKA_TOPIC_UNKNOWN',
      message: /nobody-made-this/,
    })
  })

  test('a topic that is deleted while it is read fails the source', async () => {
    const topic = await freshTopic(bootstrap)
    await append(bootstrap, topic, ['a'])
    const source = kafkaSource({ brokers: [bootstrap], topics: [topic], value: text })
    const run = await SourceRun.start(source)
    await run.take(1)

    await withAdmin(bootstrap, (admin) => admin.deleteTopics({ topics: [topic] }))

    await assert.rejects(run.failure(), { code: 'KAFKA_TOPIC_UNKNOWN', message: new RegExp(topic) })
  })

  test('commits the positions of a completed checkpoint to the group', async () => {
    const topic = await freshTopic(bootstrap, 2)
    await append(bootstrap, topic, numbered(0, 10), 0)
    const group = `group-of-${topic}`
    const source = kafkaSource({ brokers: [bootstrap], topics: [topic], value: text, group })
    const run = await SourceRun.start(source)
    await run.take(10)

    const positions = run.checkpoint().map(({ id, position }) => ({ splitId: id, position }))
    await run.enumerator.onCheckpointComplete?.(positions)

    const [offsets] = await withAdmin(bootstrap, (admin) =>
      admin.fetchOffsets({ groupId: group, topics: [topic] }),
    )
    const byPartition = new Map(
      offsets?.partitions.map(({ partition, offset }) => [partition, offset]),
    )
    assert.deepEqual([byPartition.get(0), byPartition.get(1)], ['10', '0'])
  })

  test('a slow job holds no more than the read-ahead allows, and loses nothing', async () => {
    const topic = await freshTopic(bootstrap, 2)
    const padding = 'x'.repeat(1000)
    for (const partition of [0, 1]) {
      for (let first = 0; first < 1000; first += 50) {
        const values = numbered(first, first + 50).map((value) => value + padding)
        await append(bootstrap, topic, values, partition)
      }
    }
    const readAheadBytesMax = 200_000
    const batchBytesMax = 60_000
    const source = kafkaSource({
      brokers: [bootstrap],
      topics: [topic],
      value: text,
      endAt: 'latest',
      readAheadBytesMax,
    })

    const run = await SourceRun.start(source, { recordsMax: 10 })
    let bufferedMost = 0
    const records: ReadRecord<string>[] = []
    while (records.length < 2000) {
      records.push(...(await run.take(10)))
      const buffered = 'bufferedBytes' in run.reader ? Number(run.reader.bufferedBytes) : NaN
      bufferedMost = Math.max(bufferedMost, buffered)
    }

    assert.ok(bufferedMost > readAheadBytesMax / 4, `only ${bufferedMost} bytes were buffered`)
    assert.ok(bufferedMost <= readAheadBytesMax + batchBytesMax, `${bufferedMost} bytes`)
    for (const partition of [0, 1]) {
      const values = valuesOf(records, `${topic}-${partition}`).map((value) => value.slice(0, 6))
      assert.deepEqual(values, numbered(0, 1000))
    }
  })

  test('reads batches that are larger than the whole read-ahead', async () => {
    const topic = await freshTopic(bootstrap, 3)
    const padding = 'x'.repeat(5000)
    for (const partition of [0, 1, 2]) {
      for (const value of numbered(0, 5)) {
        await append(bootstrap, topic, [value + padding, value + padding], partition)
      }
    }

    const values = await read({ topics: [topic], endAt: 'latest', readAheadBytesMax: 100 })

    assert.equal(values.length, 30)
  })
})

describe('kafkaRecordSource', { skip, timeout }, () => {
  before(async () => {
    bootstrap = (await sharedKafka()).bootstrap
  })

  test('gives key, headers, place and tombstones, in the value model', async () => {
    const topic = await freshTopic(bootstrap)
    await append(bootstrap, topic, [
      { key: 'k', value: 'v', timestamp: '1000', headers: { one: 'eins', two: Buffer.of(1, 2) } },
      { key: 'k', value: null, timestamp: '2000' },
      { value: 'no key', timestamp: '3000' },
    ])
    const source = kafkaRecordSource({
      brokers: [bootstrap],
      topics: [topic],
      value: text,
      endAt: 'latest',
    })

    const run = await SourceRun.start(source)
    const records = (await run.all()).map(({ value }) => value)

    for (const record of records) checkValue(record)
    const place = { topic, partition: 0 }
    assert.deepEqual(records, [
      {
        ...place,
        offset: 0n,
        timestampMs: 1000,
        key: new Uint8Array([107]),
        value: 'v',
        headers: new Map([
          ['one', new TextEncoder().encode('eins')],
          ['two', new Uint8Array([1, 2])],
        ]),
      },
      {
        ...place,
        offset: 1n,
        timestampMs: 2000,
        key: new Uint8Array([107]),
        value: null,
        headers: new Map(),
      },
      { ...place, offset: 2n, timestampMs: 3000, key: null, value: 'no key', headers: new Map() },
    ])
  })

  test('decodes keys by their format', async () => {
    const topic = await freshTopic(bootstrap)
    await append(bootstrap, topic, [{ key: 'schlüssel', value: 'v' }])
    const source = kafkaRecordSource({
      brokers: [bootstrap],
      topics: [topic],
      value: text,
      key: text,
      endAt: 'latest',
    })

    const run = await SourceRun.start(source)
    const [record] = await run.all()

    assert.equal(record?.value.key, 'schlüssel')
  })
})
