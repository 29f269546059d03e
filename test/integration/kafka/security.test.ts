import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { kafkaSink, kafkaSource } from '../../../operators/kafka/index.ts'
import type { KafkaConnection } from '../../../operators/kafka/index.ts'
import { skipWithoutKafka, startKafka, testUser } from '../../support/kafka/start-kafka.ts'
import type { RunningKafka } from '../../support/kafka/start-kafka.ts'
import { closeSinkRuns, SinkRun } from '../../support/kafka/sink-run.ts'
import { closeSourceRuns, SourceRun, text } from '../../support/kafka/source-run.ts'
import { freshTopic } from '../../support/kafka/topics.ts'

afterEach(closeSinkRuns)
afterEach(closeSourceRuns)

describe('a connection with TLS and SASL', { skip: skipWithoutKafka(), timeout: 120_000 }, () => {
  let kafka: RunningKafka
  let secure: Pick<KafkaConnection, 'brokers' | 'ssl'>

  before(async () => {
    kafka = await startKafka({ isSecure: true })
    assert.ok(kafka.secure !== undefined)
    secure = { brokers: [kafka.secure.bootstrap], ssl: { ca: [kafka.secure.ca] } }
  })
  after(() => kafka.stop())

  for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512'] as const) {
    test(`writes and reads as a user of ${mechanism}`, async () => {
      const topic = await freshTopic(kafka.bootstrap)
      const connection = { ...secure, sasl: { mechanism, ...testUser } }

      const sink = await SinkRun.start(
        kafkaSink({ ...connection, topic, value: text, guarantee: 'at-least-once' }),
      )
      sink.write('a', 1000)
      await sink.prepare()
      const source = kafkaSource({ ...connection, topics: [topic], value: text, endAt: 'latest' })
      const records = await (await SourceRun.start(source)).all()

      assert.deepEqual(
        records.map(({ value }) => value),
        ['a'],
      )
    })
  }

  test('a wrong password is refused at once', async () => {
    for (const mechanism of ['plain', 'scram-sha-256'] as const) {
      const sasl = { mechanism, username: testUser.username, password: 'wrong' }
      const source = kafkaSource({ ...secure, sasl, topics: ['any'], value: text })

      await assert.rejects(SourceRun.start(source), {
        code: 'KAFKA_NOT_AUTHORIZED',
        message: /check sasl.mechanism, username and password/,
      })
    }
  })

  test('a certificate that nothing vouches for is refused at once', async () => {
    const sasl = { mechanism: 'plain', ...testUser } as const
    const source = kafkaSource({ ...secure, ssl: true, sasl, topics: ['any'], value: text })

    await assert.rejects(SourceRun.start(source), {
      code: 'KAFKA_UNREACHABLE',
      retryable: false,
      message: /certificate/,
    })
  })

  test('plans do not show the password', () => {
    const sasl = { mechanism: 'plain', ...testUser } as const
    const source = kafkaSource({ ...secure, sasl, topics: ['any'], value: text })
    const sink = kafkaSink({ ...secure, sasl, topic: 'any', value: text })

    assert.doesNotMatch(JSON.stringify([source.details, sink.details]), /secret/)
  })
})
