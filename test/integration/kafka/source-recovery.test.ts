/** The broker is killed with SIGKILL and started again while it is read from. */
import assert from 'node:assert/strict'
import { afterEach, describe, test } from 'node:test'
import { kafkaSource } from '../../../operators/kafka/index.ts'
import { sharedKafka, skipWithoutKafka } from '../../support/kafka/start-kafka.ts'
import { closeSourceRuns, SourceRun, text } from '../../support/kafka/source-run.ts'
import { append, freshTopic, numbered } from '../../support/kafka/topics.ts'

afterEach(closeSourceRuns)

describe(
  'a Kafka source whose broker is killed',
  { skip: skipWithoutKafka(), timeout: 180_000 },
  () => {
    test('goes on where it was when the broker is back: nothing lost, nothing twice, in order', async () => {
      const kafka = await sharedKafka()
      const brokers = [kafka.bootstrap]
      const topic = await freshTopic(kafka.bootstrap, 2)
      for (const partition of [0, 1]) {
        for (let first = 0; first < 2000; first += 100) {
          await append(kafka.bootstrap, topic, numbered(first, first + 100), partition)
        }
      }
      // So little is read ahead that most of it is still to be fetched when the broker dies.
      const options = { brokers, topics: [topic], value: text, readAheadBytesMax: 8000 }
      const run = await SourceRun.start(kafkaSource(options), { recordsMax: 20 })

      const records = await run.take(200)
      await kafka.kill()
      const restarted = kafka.restart()
      records.push(...(await run.take(4000 - records.length)))
      await restarted
      await append(kafka.bootstrap, topic, ['written after'])
      const [last] = await run.take(1)

      for (const partition of [0, 1]) {
        const own = records.filter(({ splitId }) => splitId === `${topic}-${partition}`)
        assert.deepEqual(
          own.map(({ value }) => value),
          numbered(0, 2000),
        )
      }
      assert.equal(last?.value, 'written after')
      assert.ok(
        run.logger.lines.some((line) => line.includes('trying again')),
        'it was logged',
      )
    })

    test('a source that starts while the broker is away waits for it', async () => {
      const kafka = await sharedKafka()
      const topic = await freshTopic(kafka.bootstrap)
      await append(kafka.bootstrap, topic, ['a'])
      await kafka.kill()

      const source = kafkaSource({ brokers: [kafka.bootstrap], topics: [topic], value: text })
      const started = SourceRun.start(source)
      await kafka.restart()
      const records = await (await started).take(1)

      assert.deepEqual(
        records.map(({ value }) => value),
        ['a'],
      )
    })
  },
)
