/** The client over kafkajs' public interface when its broker goes away. */
import assert from 'node:assert/strict'
import { afterEach, describe, test } from 'node:test'
import { publicSource } from '../../support/kafka/public-source.ts'
import { closeSourceRuns, SourceRun } from '../../support/kafka/source-run.ts'
import { skipWithoutKafka, startKafka } from '../../support/kafka/start-kafka.ts'
import { append, freshTopic, numbered } from '../../support/kafka/topics.ts'

afterEach(closeSourceRuns)

describe("kafkajs' public interface", { skip: skipWithoutKafka(), timeout: 300_000 }, () => {
  test('reading goes on when the broker comes back', async () => {
    const kafka = await startKafka()
    try {
      const topic = await freshTopic(kafka.bootstrap)
      await append(kafka.bootstrap, topic, numbered(0, 50))
      const run = await SourceRun.start(
        publicSource({ brokers: [kafka.bootstrap], topics: [topic] }),
      )
      const before = await run.take(50)

      await kafka.kill()
      await kafka.restart()
      await append(kafka.bootstrap, topic, numbered(50, 80))
      const after = await run.take(30)

      const values = [...before, ...after].map(({ value }) =>
        Buffer.from(value.value ?? []).toString(),
      )
      assert.deepEqual(values, numbered(0, 80))
      await run.close()
    } finally {
      await kafka.stop()
    }
  })
})
