import assert from 'node:assert/strict'
import { afterEach, before, describe, test } from 'node:test'
import { EngineError } from '../../../src/core/errors.ts'
import { kafkaRecordSource, kafkaSink } from '../../../operators/kafka/index.ts'
import type { KafkaRecord, KafkaSinkOptions } from '../../../operators/kafka/index.ts'
import { partitionOfKey } from '../../../operators/kafka/murmur2.ts'
import { sharedKafka, skipWithoutKafka } from '../../support/kafka/start-kafka.ts'
import { closeSinkRuns, SinkRun } from '../../support/kafka/sink-run.ts'
import { closeSourceRuns, SourceRun, text } from '../../support/kafka/source-run.ts'
import { createTopic, freshTopic, numbered, withAdmin } from '../../support/kafka/topics.ts'

const skip = skipWithoutKafka()
let bootstrap = ''

afterEach(closeSinkRuns)
afterEach(closeSourceRuns)

type Options = Omit<KafkaSinkOptions<string>, 'brokers' | 'value'>

function start(options: Options): Promise<SinkRun<string>> {
  return SinkRun.start(
    kafkaSink({ brokers: [bootstrap], value: text, guarantee: 'at-least-once', ...options }),
  )
}

async function recordsOf(topic: string): Promise<KafkaRecord<string, string>[]> {
  const source = kafkaRecordSource({
    brokers: [bootstrap],
    topics: [topic],
    value: text,
    key: text,
    endAt: 'latest',
  })
  const run = await SourceRun.start(source)
  return (await run.all()).map(({ value }) => value)
}

const byText = (a: unknown, b: unknown): number => (String(a) < String(b) ? -1 : 1)

describe('kafkaSink', { skip, timeout: 120_000 }, () => {
  before(async () => {
    bootstrap = (await sharedKafka()).bootstrap
  })

  test('what was written before a barrier is there when its epoch is durable', async () => {
    const topic = await freshTopic(bootstrap, 3)
    const run = await start({ topic })

    for (const value of numbered(0, 500)) run.write(value, 1000)
    await run.prepare()
    const first = (await recordsOf(topic)).map(({ value }) => value)
    for (const value of numbered(500, 700)) run.write(value, 1000)
    await run.prepare()
    const second = (await recordsOf(topic)).map(({ value }) => value)

    assert.deepEqual(first.toSorted(byText), numbered(0, 500))
    assert.deepEqual(second.toSorted(byText), numbered(0, 700))
  })

  test('an epoch without records is durable at once', async () => {
    const run = await start({ topic: await freshTopic(bootstrap) })

    await run.prepare()
    await run.prepare()
  })

  test('records of a key go to the partition that the Java client would choose, in order', async () => {
    const topic = await freshTopic(bootstrap, 4)
    const run = await start({ topic, key: (value) => value.slice(-1) })

    for (const value of numbered(0, 400)) run.write(value, 1000)
    await run.prepare()

    const records = await recordsOf(topic)
    assert.equal(new Set(records.map(({ partition }) => partition)).size > 1, true)
    for (let digit = 0; digit < 10; digit++) {
      const own = records.filter(({ key }) => key === String(digit))
      const partition = partitionOfKey(Buffer.from(String(digit)), 4)
      assert.ok(own.every((record) => record.partition === partition))
      assert.deepEqual(
        own.map(({ value }) => value),
        numbered(0, 400).filter((value) => value.endsWith(String(digit))),
      )
    }
  })

  test('records without a key are spread over the partitions', async () => {
    const topic = await freshTopic(bootstrap, 4)
    const run = await start({ topic })

    for (let round = 0; round < 8; round++) {
      for (const value of numbered(round * 10, round * 10 + 10)) run.write(value, 1000)
      await run.prepare()
    }

    const records = await recordsOf(topic)
    assert.equal(records.length, 80)
    const partitions = new Set(records.map(({ partition }) => partition))
    assert.deepEqual(
      [...partitions].toSorted((a, b) => a - b),
      [0, 1, 2, 3],
    )
  })

  test('writes topic, partition, headers and time as the options say, record by record', async () => {
    const [one, two] = [await freshTopic(bootstrap, 2), await freshTopic(bootstrap, 2)]
    const run = await start({
      topic: (value) => (value.startsWith('1') ? one : two),
      partition: (value, count) => (value.endsWith('!') ? count - 1 : 0),
      headers: (value) => ({ length: String(value.length), bytes: Uint8Array.of(1, 2) }),
      timestampMs: (value) => value.length,
      key: () => ['eu', 17],
    })

    for (const value of ['1', '2!', '1!!']) run.write(value, 1000)
    await run.prepare()

    const [a, b] = await recordsOf(one)
    const [c] = await recordsOf(two)
    assert.deepEqual([a, b, c], [record(one, 0, '1'), record(one, 1, '1!!'), record(two, 1, '2!')])
    function record(topic: string, partition: number, value: string): unknown {
      const headers = new Map([
        ['length', new TextEncoder().encode(String(value.length))],
        ['bytes', Uint8Array.of(1, 2)],
      ])
      const place = { topic, partition, offset: 0n, timestampMs: value.length }
      return { ...place, key: '["eu",17]', value, headers }
    }
  })

  test('a record has its event time, and processing time where it has none', async () => {
    const topic = await freshTopic(bootstrap)
    const run = await start({ topic })
    const before = Date.now()

    run.write('timed', 1234)
    run.write('untimed', NaN)
    await run.prepare()

    const [timed, untimed] = await recordsOf(topic)
    assert.equal(timed?.timestampMs, 1234)
    assert.ok(untimed !== undefined && untimed.timestampMs >= before)
  })

  test('writes compressed batches', async () => {
    const topic = await freshTopic(bootstrap)
    const run = await start({ topic, compression: 'gzip' })

    for (const value of numbered(0, 3000)) run.write(value, 1000)
    await run.prepare()

    assert.deepEqual(
      (await recordsOf(topic)).map(({ value }) => value),
      numbered(0, 3000),
    )
  })

  test('has no room above its bound, and has again when the brokers acknowledged', async () => {
    const topic = await freshTopic(bootstrap)
    const run = await start({ topic, bufferBytesMax: 100_000 })
    const value = 'x'.repeat(1000)

    let written = 0
    while (run.hasRoom()) {
      run.write(value, 1000)
      written++
    }
    await run.room()

    assert.ok(written > 90 && written <= 100, `${written} records fitted`)
    assert.equal(run.hasRoom(), true)
  })

  test('splits a batch that is larger than the topic allows, and keeps the order', async () => {
    const topic = await freshTopic(bootstrap, 1, { 'max.message.bytes': '10000' })
    const run = await start({ topic, headers: (value) => ({ value }) })
    const padding = 'x'.repeat(500)

    for (const value of numbered(0, 200)) run.write(value + padding, 1000)
    await run.prepare()

    const records = await recordsOf(topic)
    assert.deepEqual(
      records.map(({ value }) => value?.slice(0, 6)),
      numbered(0, 200),
    )
    for (const { headers, value } of records) {
      assert.equal(Buffer.from(headers.get('value') ?? []).toString(), value)
    }
    run.write('still going', 1000)
    await run.prepare()
  })

  test('a record that alone is too large fails the subtask and says what to do', async () => {
    const topic = await freshTopic(bootstrap, 1, { 'max.message.bytes': '10000' })
    const run = await start({ topic })

    run.write('x'.repeat(20_000), 1000)
    const refusal = {
      code: 'KAFKA_FAILED',
      retryable: false,
      message: new RegExp(`${topic}-0 .*max.message.bytes`),
    }

    await assert.rejects(run.prepare(), refusal)
    await assert.rejects(run.failure(), refusal)
    assert.throws(() => run.write('more', 1000), EngineError)
  })

  test('an unknown topic fails when the sink is opened', async () => {
    await assert.rejects(start({ topic: 'nobody-made-this' }), {
      code: 'KAFKA_TOPIC_UNKNOWN',
      message: /nobody-made-this/,
    })
  })

  test('an unknown topic chosen for a record fails the subtask', async () => {
    const run = await start({ topic: () => 'nobody-made-this' })

    run.write('a', 1000)

    await assert.rejects(run.failure(), { code: 'KAFKA_TOPIC_UNKNOWN' })
  })

  test('closing writes what is left', async () => {
    const topic = await freshTopic(bootstrap)
    const run = await start({ topic, guarantee: 'none' })

    run.write('last', 1000)
    assert.equal(run.prepareNow().durable, undefined)
    await run.close()

    assert.deepEqual(
      (await recordsOf(topic)).map(({ value }) => value),
      ['last'],
    )
  })

  test('a partition function out of range is refused', async () => {
    const topic = await freshTopic(bootstrap, 2)
    const run = await start({ topic, partition: () => 2 })

    assert.throws(() => run.write('a', 1000), { code: 'PARTITION_OUT_OF_RANGE' })
  })

  test('goes on when the topic was made anew between two epochs', async () => {
    const topic = await freshTopic(bootstrap)
    const run = await start({ topic })
    run.write('a', 1000)
    await run.prepare()
    await withAdmin(bootstrap, (admin) => admin.deleteTopics({ topics: [topic] }))
    await createTopic(bootstrap, topic)

    run.write('b', 1000)
    await run.prepare()

    assert.deepEqual(
      (await recordsOf(topic)).map(({ value }) => value),
      ['b'],
    )
  })
})
