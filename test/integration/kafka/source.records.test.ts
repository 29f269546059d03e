import assert from 'node:assert/strict'
import { afterEach, before, describe, test } from 'node:test'
import { checkValue } from '../../../src/core/value.ts'
import { kafkaRecordSource, kafkaSource } from '../../../operators/kafka/index.ts'
import { sharedKafka, skipWithoutKafka } from '../../support/kafka/start-kafka.ts'
import { closeSourceRuns, readValues, SourceRun, text } from '../../support/kafka/source-run.ts'
import {
  append,
  freshTopic,
  numbered,
  toMessages,
  withProducer,
} from '../../support/kafka/topics.ts'

afterEach(closeSourceRuns)

describe('the records of a Kafka source', { skip: skipWithoutKafka(), timeout: 120_000 }, () => {
  let bootstrap = ''

  before(async () => {
    bootstrap = (await sharedKafka()).bootstrap
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

      assert.deepEqual(
        await readValues(bootstrap, { topics: [topic], endAt: 'latest' }),
        values,
        codec,
      )
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

    const committed = await readValues(bootstrap, { topics: [topic], endAt: 'latest' })
    const all = await readValues(bootstrap, {
      topics: [topic],
      endAt: 'latest',
      isolation: 'read_uncommitted',
    })

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
        const atOnce = await readValues(bootstrap, { topics: [topic], endAt: 'latest' })
        const later = readValues(bootstrap, { topics: [topic] }, { count: 2 })
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

    await assert.rejects(
      readValues(bootstrap, { topics: [topic], endAt: 'latest' }),
      (error: Error) => {
        assert.match(error.message, new RegExp(`${topic}, partition 0, offset 1`))
        assert.match(error.message, /'bad one' is bad.*onUndecodable/)
        return 'code' in error && error.code === 'RECORD_UNDECODABLE'
      },
    )
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
