import assert from 'node:assert/strict'
import { afterEach, before, describe, test } from 'node:test'
import { kafkaSource } from '../../../operators/kafka/index.ts'
import { sharedKafka, skipWithoutKafka } from '../../support/kafka/start-kafka.ts'
import {
  closeSourceRuns,
  readValues,
  SourceRun,
  text,
  valuesOf,
} from '../../support/kafka/source-run.ts'
import type { ReadRecord } from '../../support/kafka/source-run.ts'
import { append, createTopic, freshTopic, numbered, withAdmin } from '../../support/kafka/topics.ts'

afterEach(closeSourceRuns)

describe(
  'the topics of a Kafka source, and what it holds of them',
  { skip: skipWithoutKafka(), timeout: 120_000 },
  () => {
    let bootstrap = ''

    before(async () => {
      bootstrap = (await sharedKafka()).bootstrap
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

    test('an unknown topic fails when the job starts', async () => {
      await assert.rejects(readValues(bootstrap, { topics: ['nobody-made-this'] }, { count: 1 }), {
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

      await assert.rejects(run.failure(), {
        code: 'KAFKA_TOPIC_UNKNOWN',
        message: new RegExp(topic),
      })
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

      const values = await readValues(bootstrap, {
        topics: [topic],
        endAt: 'latest',
        readAheadBytesMax: 100,
      })

      assert.equal(values.length, 30)
    })
  },
)
