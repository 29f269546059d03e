/** A broker that allows nothing without a rule: what is refused, and that the rights of docs/kafka.md are enough. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import kafkajs from 'kafkajs'
import type { AclOperationTypes, AclResourceTypes, ResourcePatternTypes } from 'kafkajs'
import { fromArray, job, run } from 'millrace'
import { kafkaSink, kafkaSource } from '../../../operators/kafka/index.ts'
import type { KafkaSinkOptions } from '../../../operators/kafka/index.ts'
import { committedValues } from '../../support/kafka/committed.ts'
import { skipWithoutKafka, startKafka, testUser } from '../../support/kafka/start-kafka.ts'
import type { RunningKafka } from '../../support/kafka/start-kafka.ts'
import { closeSourceRuns, SourceRun, text } from '../../support/kafka/source-run.ts'
import { append, freshTopic, numbered, withAdmin } from '../../support/kafka/topics.ts'
import { Directory } from '../../support/running-jobs.ts'

const skip = skipWithoutKafka()

describe('a broker with rules', { skip, timeout: 180_000 }, () => {
  let kafka: RunningKafka
  let connection: Pick<KafkaSinkOptions<string>, 'brokers' | 'ssl' | 'sasl'>
  before(async () => {
    kafka = await startKafka({
      isSecure: true,
      properties: {
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'super.users': 'User:ANONYMOUS',
      },
    })
    assert.ok(kafka.secure !== undefined)
    const sasl = { mechanism: 'scram-sha-256', ...testUser } as const
    connection = { brokers: [kafka.secure.bootstrap], ssl: { ca: [kafka.secure.ca] }, sasl }
  })
  after(closeSourceRuns)
  after(() => kafka.stop())

  function allow(
    resourceType: AclResourceTypes,
    resourceName: string,
    operations: readonly AclOperationTypes[],
    resourcePatternType: ResourcePatternTypes = kafkajs.ResourcePatternTypes.LITERAL,
  ): Promise<boolean> {
    const acl = operations.map((operation) => ({
      resourceType,
      resourceName,
      resourcePatternType,
      principal: `User:${testUser.username}`,
      host: '*',
      operation,
      permissionType: kafkajs.AclPermissionTypes.ALLOW,
    }))
    return withAdmin(kafka.bootstrap, (admin) => admin.createAcls({ acl }))
  }

  async function write(topic: string): Promise<void> {
    await using directory = await Directory.make()
    const guarantee = { kind: 'exactly-once' } as const
    const definition = job('rights', (env) => {
      const sink = kafkaSink<string>({ ...connection, topic, value: text, guarantee })
      env.from('in', fromArray(numbered(0, 100))).to('out', sink)
    })
    await run(definition, {
      checkpoints: { directory: directory.path },
      restart: { kind: 'none' },
    })
  }

  test('a source without rights fails, and says which topic', async () => {
    const topic = await freshTopic(kafka.bootstrap)
    const source = kafkaSource({ ...connection, topics: [topic], value: text })

    await assert.rejects(SourceRun.start(source), {
      code: 'KAFKA_NOT_AUTHORIZED',
      message: new RegExp(topic),
    })
  })

  test('a source reads with the right to', async () => {
    const topic = await freshTopic(kafka.bootstrap)
    await append(kafka.bootstrap, topic, ['a'])
    await allow(kafkajs.AclResourceTypes.TOPIC, topic, [kafkajs.AclOperationTypes.READ])

    const source = kafkaSource({ ...connection, topics: [topic], value: text, endAt: 'latest' })
    const records = await (await SourceRun.start(source)).all()

    assert.equal(records.length, 1)
  })

  test('the exactly-once sink fails without rights, and writes with those of the document', async () => {
    const topic = await freshTopic(kafka.bootstrap)
    const { READ, WRITE, DESCRIBE } = kafkajs.AclOperationTypes

    await assert.rejects(write(topic), { code: 'KAFKA_NOT_AUTHORIZED' })
    const { PREFIXED } = kafkajs.ResourcePatternTypes
    await allow(kafkajs.AclResourceTypes.TOPIC, topic, [WRITE, DESCRIBE, READ])
    await allow(kafkajs.AclResourceTypes.GROUP, 'rights-out-', [READ, DESCRIBE], PREFIXED)
    await allow(
      kafkajs.AclResourceTypes.TRANSACTIONAL_ID,
      'rights-out-',
      [WRITE, DESCRIBE],
      PREFIXED,
    )
    await write(topic)

    assert.deepEqual(await committedValues(kafka.bootstrap, topic), numbered(0, 100))
  })
})
