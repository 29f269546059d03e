import assert from 'node:assert/strict'
import { afterEach, before, describe, test } from 'node:test'
import { decodeValue, encodeValue } from '../../../src/core/value-codec.ts'
import { kafkaSource } from '../../../operators/kafka/index.ts'
import { sharedKafka, skipWithoutKafka } from '../../support/kafka/start-kafka.ts'
import {
  closeSourceRuns,
  readValues,
  SourceRun,
  text,
  valuesOf,
} from '../../support/kafka/source-run.ts'
import {
  append,
  deleteBefore,
  freshTopic,
  numbered,
  withAdmin,
} from '../../support/kafka/topics.ts'

afterEach(closeSourceRuns)

describe(
  'where a Kafka source begins, goes on and ends',
  { skip: skipWithoutKafka(), timeout: 120_000 },
  () => {
    let bootstrap = ''

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

      const values = await readValues(bootstrap, {
        topics: [topic],
        startAt: { timestampMs: 1500 },
        endAt: 'latest',
      })

      assert.deepEqual(values, ['b', 'c'])
    })

    test('startAt a time behind the last record begins behind it', async () => {
      const topic = await freshTopic(bootstrap)
      await append(bootstrap, topic, [{ value: 'a', timestamp: '1000' }])

      const values = await readValues(bootstrap, {
        topics: [topic],
        startAt: { timestampMs: 1500 },
        endAt: 'latest',
      })

      assert.deepEqual(values, [])
    })

    test('startAt offsets begins there, and at the first record of a partition that is not named', async () => {
      const topic = await freshTopic(bootstrap, 2)
      await append(bootstrap, topic, ['a', 'b', 'c'], 0)
      await append(bootstrap, topic, ['x', 'y'], 1)

      const offsets = { [`${topic}-0`]: 2n }
      const values = await readValues(bootstrap, {
        topics: [topic],
        startAt: { offsets },
        endAt: 'latest',
      })

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

      const values = await readValues(bootstrap, {
        topics: [topic],
        startAt: 'committed',
        group,
        endAt: 'latest',
      })

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

      assert.deepEqual(
        await readValues(bootstrap, { topics: [topic], endAt: { timestampMs: 2000 } }),
        ['a'],
      )
      assert.deepEqual(
        await readValues(bootstrap, { topics: [topic], endAt: { timestampMs: 9000 } }),
        ['a', 'b', 'c'],
      )
    })

    test('endAt offsets ends there, also within a batch, and waits for what is not written yet', async () => {
      const topic = await freshTopic(bootstrap)
      await append(bootstrap, topic, ['a', 'b', 'c'])
      const endAt = (offset: bigint) => ({ offsets: { [`${topic}-0`]: offset } })

      assert.deepEqual(await readValues(bootstrap, { topics: [topic], endAt: endAt(2n) }), [
        'a',
        'b',
      ])
      const ahead = readValues(bootstrap, { topics: [topic], endAt: endAt(4n) })
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
      await assert.rejects(readValues(bootstrap, { topics: [topic], startAt }, { count: 1 }), {
        code: 'KAFKA_OFFSET_OUT_OF_RANGE',
      })
    })
  },
)
