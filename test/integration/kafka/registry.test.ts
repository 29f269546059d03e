/** Avro of a schema registry through a broker: the sink asks for its schema's id, the source for the schemas of ids. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { arraySink, fromArray, job, run } from 'millrace'
import type { DeadLetter } from 'millrace'
import { registryAvro } from 'millrace/avro'
import { kafkaSink, kafkaSource } from 'millrace/kafka'
import { memoryRegistry } from 'millrace/schema-registry'
import type { SchemaRegistry } from 'millrace/schema-registry'
import { sharedKafka, skipWithoutKafka } from '../../support/kafka/start-kafka.ts'
import { append, freshTopic } from '../../support/kafka/topics.ts'

const fields = [{ name: 'n', type: 'int' }]
const first = { type: 'record', name: 'Row', fields }
const second = {
  ...first,
  fields: [...fields, { name: 'tag', type: 'string', default: 'none' }],
}
interface Row {
  readonly n: number
  readonly tag?: string
}

describe('Avro of a registry through Kafka', { skip: skipWithoutKafka(), timeout: 120_000 }, () => {
  let brokers: string[]
  before(async () => {
    brokers = [(await sharedKafka()).bootstrap]
  })

  async function write(
    topic: string,
    schema: object,
    registry: SchemaRegistry,
    rows: readonly Row[],
  ): Promise<void> {
    const value = registryAvro<Row>({ registry, schema, subject: `${topic}-value` })
    await run(
      job('write', (env) => {
        env.from('rows', fromArray(rows)).to('out', kafkaSink({ brokers, topic, value }))
      }),
    )
  }

  test('records of several schemas are read as one, an unknown one is a dead letter', async () => {
    const topic = await freshTopic(brokers[0] as string)
    const registry = memoryRegistry()
    const asked: number[] = []
    const slow: SchemaRegistry = {
      ...registry,
      async schemaOf(id) {
        asked.push(id)
        await new Promise((resolve) => setTimeout(resolve, 20))
        return registry.schemaOf(id)
      },
    }
    await write(topic, first, registry, [{ n: 1 }, { n: 2 }])
    await write(topic, second, registry, [{ n: 3, tag: 'x' }])
    await append(brokers[0] as string, topic, [
      { value: Buffer.from([0, 0, 0, 0, 99, 2]) },
      { value: 'no frame' },
    ])
    await write(topic, first, registry, [{ n: 4 }])

    const rows: Row[] = []
    const letters: DeadLetter[] = []
    await run(
      job('read', (env) => {
        const value = registryAvro<Row>({ registry: slow, schema: second })
        env
          .from(
            'in',
            kafkaSource({
              brokers,
              topics: [topic],
              value,
              endAt: 'latest',
              onUndecodable: 'dead-letter',
            }),
          )
          .to('rows', arraySink(rows))
        env.deadLetters.to('letters', arraySink(letters))
      }),
    )

    assert.deepEqual(rows, [
      { n: 1, tag: 'none' },
      { n: 2, tag: 'none' },
      { n: 3, tag: 'x' },
      { n: 4, tag: 'none' },
    ])
    assert.deepEqual(asked, [1, 2, 99])
    assert.deepEqual(
      letters.map(({ origin, error }) => [
        origin['offset'],
        /no schema 99|begins with byte/.test(error.message),
      ]),
      [
        [3, true],
        [4, true],
      ],
    )
  })

  test('a registry that is away fails the job, not the record', async () => {
    const topic = await freshTopic(brokers[0] as string)
    const registry = memoryRegistry()
    await write(topic, first, registry, [{ n: 1 }])
    const away = { ...registry, schemaOf: async () => Promise.reject(new Error('away')) }
    const reading = job('read', (env) => {
      const value = registryAvro<Row>({ registry: away })
      env
        .from(
          'in',
          kafkaSource({ brokers, topics: [topic], value, endAt: 'latest', onUndecodable: 'skip' }),
        )
        .to('rows', arraySink<Row>([]))
    })
    await assert.rejects(run(reading, { restart: { kind: 'none' } }), /away/)
  })
})
