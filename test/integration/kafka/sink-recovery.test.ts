/** The broker is killed with SIGKILL and started again while it is written to. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, test } from 'node:test'
import { kafkaSink, kafkaSource } from '../../../operators/kafka/index.ts'
import { sharedKafka, skipWithoutKafka } from '../../support/kafka/start-kafka.ts'
import { closeSinkRuns, SinkRun } from '../../support/kafka/sink-run.ts'
import { closeSourceRuns, SourceRun, text } from '../../support/kafka/source-run.ts'
import { freshTopic, numbered } from '../../support/kafka/topics.ts'

afterEach(closeSinkRuns)
afterEach(closeSourceRuns)

describe(
  'a Kafka sink whose broker is killed',
  { skip: skipWithoutKafka(), timeout: 180_000 },
  () => {
    // The records are of today: a broker that starts again forgets producers whose newest record is older than a day, and takes
    // a batch that is sent again for a new one.
    test('loses nothing, writes nothing twice and keeps the order of each partition', async () => {
      const kafka = await sharedKafka()
      const brokers = [kafka.bootstrap]
      const topic = await freshTopic(kafka.bootstrap, 2)
      const sink = kafkaSink<string>({
        brokers,
        topic,
        value: text,
        guarantee: 'at-least-once',
        bufferBytesMax: 4000,
        partition: (value) => Number(value.slice(-1)) % 2,
      })
      const run = await SinkRun.start(sink)

      const values = numbered(0, 6000)
      let written = 0
      const writing = (async () => {
        for (const value of values) {
          await run.room()
          run.write(value, Date.now())
          written++
        }
        await run.prepare()
      })()
      for (const at of [1000, 3500]) {
        while (written < at) await sleep(1)
        assert.ok(written < values.length, 'it was still writing')
        await kafka.kill()
        await kafka.restart()
      }
      await writing

      const source = kafkaSource({ brokers, topics: [topic], value: text, endAt: 'latest' })
      const records = await (await SourceRun.start(source)).all()
      for (const partition of [0, 1]) {
        const own = records.filter(({ splitId }) => splitId === `${topic}-${partition}`)
        assert.deepEqual(
          own.map(({ value }) => value),
          values.filter((value) => Number(value.slice(-1)) % 2 === partition),
        )
      }
      assert.ok(
        run.logger.lines.some((line) => line.includes('trying again')),
        'it was logged',
      )
    })

    test('an epoch is not durable while the broker is away', async () => {
      const kafka = await sharedKafka()
      const topic = await freshTopic(kafka.bootstrap)
      const run = await SinkRun.start(
        kafkaSink({ brokers: [kafka.bootstrap], topic, value: text, guarantee: 'at-least-once' }),
      )
      await kafka.kill()

      run.write('a', 1000)
      let isDurable = false
      const durable = run.prepare().then(() => (isDurable = true))
      await run.warned()
      const wasDurable = isDurable
      await kafka.restart()
      await durable

      assert.equal(wasDurable, false)
    })
  },
)
