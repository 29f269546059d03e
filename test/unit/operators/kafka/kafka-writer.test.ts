/** The sink's writer against a cluster in memory. */
import assert from 'node:assert/strict'
import { afterEach, describe, test } from 'node:test'
import { EngineError } from '../../../../src/core/errors.ts'
import { openKafkaWriter } from '../../../../operators/kafka/kafka-writer.ts'
import type { KafkaSinkOptions } from '../../../../operators/kafka/kafka-sink-options.ts'
import { FakeKafkaClient } from '../../../support/kafka/fake-kafka-client.ts'
import { closeSinkRuns, SinkRun } from '../../../support/kafka/sink-run.ts'
import { text } from '../../../support/kafka/source-run.ts'
import { numbered } from '../../../support/kafka/topics.ts'

const unreachable = new EngineError('KAFKA_UNREACHABLE', 'broker 1 is away')

afterEach(closeSinkRuns)

function start(
  client: FakeKafkaClient,
  options: Partial<KafkaSinkOptions<string>> = {},
): Promise<SinkRun<string>> {
  const all = { brokers: ['a:1'], topic: 'a', value: text, ...options }
  return SinkRun.start<string>({
    type: 'kafka',
    open: (context) => openKafkaWriter(context, all, client),
  })
}

describe('a Kafka writer', { timeout: 60_000 }, () => {
  test('a batch that failed in passing is sent again as it was, before what came later', async () => {
    const client = new FakeKafkaClient()
    const [partition] = client.addTopic('a', 1)
    const run = await start(client)

    client.refusals.push(7)
    client.failures.push({ call: 'produce', error: unreachable })
    run.write('a', 0)
    run.write('b', 0)
    const first = run.prepare()
    await new Promise(setImmediate)
    run.write('c', 0)
    await run.prepare()
    await first

    assert.deepEqual(partition?.values(), ['a', 'b', 'c'])
    assert.deepEqual(partition?.sequences, ['1:0', '1:0', '1:2'])
  })

  test('a batch that the broker has already counts as written', async () => {
    const client = new FakeKafkaClient()
    const [partition] = client.addTopic('a', 1)
    const run = await start(client)

    client.refusals.push(46)
    run.write('a', 0)
    await run.prepare()
    run.write('b', 0)
    await run.prepare()

    assert.deepEqual(partition?.sequences, ['1:0', '1:1'])
  })

  test('where the broker has forgotten the producer, a new one goes on with the same records', async () => {
    const client = new FakeKafkaClient()
    const partitions = client.addTopic('a', 2)
    const run = await start(client, { partition: (value) => Number(value.startsWith('b')) })
    for (const value of ['a1', 'b1']) run.write(value, 0)
    await run.prepare()

    for (const code of [45, 47, 49, 59]) {
      client.refusals.push(code)
      run.write('a', 0)
      await run.prepare()
    }
    run.write('b2', 0)
    await run.prepare()

    assert.deepEqual(partitions[0]?.values(), ['a1', 'a', 'a', 'a', 'a'])
    assert.deepEqual(partitions[0]?.sequences, [
      '1:0',
      '1:1',
      '2:0',
      '2:1',
      '3:0',
      '3:1',
      '4:0',
      '4:1',
      '5:0',
    ])
    assert.deepEqual(partitions[1]?.sequences, ['1:0', '1:1'])
  })

  test('follows a partition to its new leader', async () => {
    const client = new FakeKafkaClient()
    const [partition] = client.addTopic('a', 1)
    const run = await start(client)
    run.write('a', 0)
    await run.prepare()

    if (partition !== undefined) partition.leader = 2
    run.write('b', 0)
    await run.prepare()

    assert.deepEqual(partition?.values(), ['a', 'b'])
    assert.equal(client.calls.at(-1), 'produce 2')
  })

  test('what is refused for good fails the subtask, and nothing is durable any more', async () => {
    const client = new FakeKafkaClient()
    client.addTopic('a', 1)
    const run = await start(client)

    client.refusals.push(32)
    run.write('a', 0)
    const durable = run.prepare()
    const refusal = { code: 'KAFKA_FAILED', retryable: false, message: /message.timestamp.after/ }

    await assert.rejects(durable, refusal)
    await assert.rejects(run.failure(), refusal)
    await assert.rejects(run.prepare(), refusal)
  })

  test('epochs settle in their order', async () => {
    const client = new FakeKafkaClient()
    client.addTopic('a', 2)
    const run = await start(client, { partition: (value) => Number(value === 'fast') })
    const settled: number[] = []

    client.refusals.push(6, 0, 6)
    run.write('slow', 0)
    const first = run.prepare().then(() => settled.push(1))
    run.write('fast', 0)
    const second = run.prepare().then(() => settled.push(2))
    await Promise.all([first, second])

    assert.deepEqual(settled, [1, 2])
  })

  test('records of a topic that is only now named wait for it, in order, and count', async () => {
    const client = new FakeKafkaClient()
    const [partition] = client.addTopic('b', 1)
    const run = await start(client, { topic: () => 'b', bufferBytesMax: 30 })

    client.failures.push({ call: 'metadata', error: unreachable })
    const values = numbered(0, 6)
    for (const value of values) run.write(value, 0)
    const hadRoom = run.hasRoom()
    await run.prepare()

    assert.equal(hadRoom, false)
    assert.equal(run.hasRoom(), true)
    assert.deepEqual(partition?.values(), values)
  })

  test('what was written before it failed to open is closed again', async () => {
    const client = new FakeKafkaClient()
    client.failures.push({
      call: 'initProducer',
      error: new EngineError('KAFKA_NOT_AUTHORIZED', 'no'),
    })

    await assert.rejects(start(client), { code: 'KAFKA_NOT_AUTHORIZED' })
    assert.equal(client.isClosed, true)
  })

  test('a write that was refused does not hold up closing', async () => {
    const client = new FakeKafkaClient()
    const [partition] = client.addTopic('a', 1)
    const run = await start(client, { partition: (value) => (value === 'a' ? 0 : -1) })

    run.write('a', 0)
    assert.throws(() => run.write('b', 0), { code: 'PARTITION_OUT_OF_RANGE' })
    await run.close()

    assert.deepEqual(partition?.values(), ['a'])
  })

  test('a cancelled subtask does not wait for brokers when it closes', async () => {
    const client = new FakeKafkaClient()
    client.addTopic('a', 1)
    const run = await start(client)
    for (let i = 0; i < 100; i++) client.failures.push({ call: 'produce', error: unreachable })

    run.write('a', 0)
    await run.abandon()

    assert.equal(client.isClosed, true)
  })
})
