import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import type { ConnectionOptions } from 'node:tls'
import { inspect } from 'node:util'
import { after, afterEach, before, describe, test } from 'node:test'
import { job, run } from 'millrace'
import { toErrorData } from '../../../src/core/errors.ts'
import { fingerprintOf } from '../../../src/plan/fingerprint.ts'
import { openKafkajsClient } from '../../../operators/kafka/kafkajs-client.ts'
import { kafkaSink, kafkaSource } from '../../../operators/kafka/index.ts'
import type { KafkaConnection } from '../../../operators/kafka/index.ts'
import {
  skipWithoutKafka,
  startKafka,
  testToken,
  testUser,
} from '../../support/kafka/start-kafka.ts'
import type { RunningKafka } from '../../support/kafka/start-kafka.ts'
import { closeSinkRuns, SinkRun } from '../../support/kafka/sink-run.ts'
import { closeSourceRuns, SourceRun, text } from '../../support/kafka/source-run.ts'
import { Directory, Log } from '../../support/running-jobs.ts'
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

  test('writes and reads with tokens, one for each connection', async () => {
    const topic = await freshTopic(kafka.bootstrap)
    let tokenCount = 0
    const token = async (): Promise<string> => {
      tokenCount += 1
      return testToken()
    }
    const connection = { ...secure, sasl: { mechanism: 'oauthbearer', token } } as const

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
    assert.ok(tokenCount >= 2, `${tokenCount} tokens`)
  })

  test('a token whose time is over is refused at once, and is not shown', async () => {
    const token = testToken({ isOver: true })
    const sasl = { mechanism: 'oauthbearer', token: () => token } as const

    await assert.rejects(
      SourceRun.start(kafkaSource({ ...secure, sasl, topics: ['any'], value: text })),
      (error: unknown) => {
        const data = toErrorData(error)
        assert.equal(data.code, 'KAFKA_NOT_AUTHORIZED', data.message)
        assert.equal(data.retryable, false)
        assert.match(data.message, /token/)
        assert.ok(!JSON.stringify(data).includes(token))
        return true
      },
    )
  })

  test('a client with a certificate is let in, and one without is not', async () => {
    assert.ok(kafka.secure !== undefined)
    const { ca, client, mutualBootstrap } = kafka.secure
    const topic = await freshTopic(kafka.bootstrap)
    const brokers = [mutualBootstrap]
    const options = { topics: [topic], value: text, endAt: 'latest' } as const
    const ssl = { ca: [ca], ...client }

    const sink = await SinkRun.start(
      kafkaSink({ brokers, ssl, topic, value: text, guarantee: 'at-least-once' }),
    )
    sink.write('a', 1000)
    await sink.prepare()
    const records = await (await SourceRun.start(kafkaSource({ brokers, ssl, ...options }))).all()

    assert.deepEqual(
      records.map(({ value }) => value),
      ['a'],
    )
    const bare = openKafkajsClient({ brokers, ssl: { ca: [ca] } })
    try {
      await assert.rejects(bare.metadata([topic]), { code: 'KAFKA_UNREACHABLE' })
    } finally {
      await bare.close()
    }
  })

  test('no plan, log or error shows a secret', async () => {
    const secret = 'hush-hush'
    const password = { mechanism: 'plain', username: 'alice', password: secret } as const
    const ssl = {
      ca: secure.ssl === true ? [] : (secure.ssl as ConnectionOptions).ca,
      passphrase: secret,
    }
    const connection = { brokers: secure.brokers, ssl, sasl: password }
    const log = new Log()
    const leaking = job('leaking', (env) => {
      env
        .from('in', kafkaSource({ ...connection, topics: ['any'], value: text }))
        .to('out', kafkaSink({ ...connection, topic: 'any', value: text }))
    })
    const shown: string[] = (['text', 'json', 'mermaid'] as const).map((format) =>
      leaking.explain({ format }),
    )
    shown.push(JSON.stringify(fingerprintOf(leaking.build(undefined))))

    await using directory = await Directory.make()
    const checkpoints = { directory: directory.path, interval: '100ms' } as const
    await assert.rejects(run(leaking, { checkpoints, logger: log }), (error: unknown) => {
      const data = toErrorData(error)
      assert.equal(data.code, 'KAFKA_NOT_AUTHORIZED')
      shown.push(JSON.stringify(data), inspect(error, { depth: 10 }))
      return true
    })
    shown.push(...log.lines)
    for (const name of await readdir(directory.path, { recursive: true })) {
      shown.push(await readFile(directory.at(name), 'utf8').catch(() => ''))
    }
    assert.throws(
      () =>
        kafkaSource({
          ...connection,
          brokers: [`kafka://alice:${secret}@host`],
          topics: ['any'],
          value: text,
        }),
      (error: unknown) => shown.push(inspect(error)) > 0,
    )

    for (const line of shown) assert.doesNotMatch(line, /hush|aHVzaC/)
  })
})
