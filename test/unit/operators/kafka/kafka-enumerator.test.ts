import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EngineError } from '../../../../src/core/errors.ts'
import type { EnumeratorContext, SplitEnumerator } from '../../../../src/contract/source.ts'
import { kafkaEnumerator } from '../../../../operators/kafka/kafka-enumerator.ts'
import type { KafkaSourceSettings } from '../../../../operators/kafka/kafka-source-options.ts'
import { FakeKafkaClient } from '../../../support/kafka/fake-kafka-client.ts'
import { LogLines } from '../../../support/kafka/source-run.ts'

const none: ReadonlySet<string> = new Set()

interface TestEnumerator {
  readonly client: FakeKafkaClient
  readonly enumerator: SplitEnumerator
  readonly logger: LogLines
}

function enumeratorOf(options: Partial<KafkaSourceSettings>): TestEnumerator {
  const client = new FakeKafkaClient()
  const logger = new LogLines()
  let elapsedMs = 0
  const context: EnumeratorContext = {
    operatorUid: 'source',
    parallelism: 1,
    logger,
    signal: new AbortController().signal,
    clock: { now: () => 0, elapsed: () => (elapsedMs += 1000) },
  }
  const settings = { brokers: ['a:1'], topics: ['a'], ...options }
  return { client, logger, enumerator: kafkaEnumerator(context, settings, client) }
}

/** Ids and positions. */
async function discover(
  enumerator: SplitEnumerator,
  known: ReadonlySet<string> = none,
): Promise<Record<string, unknown>> {
  const splits = await enumerator.discover(known)
  return Object.fromEntries(splits.map(({ id, position }) => [id, position]))
}

function fill(client: FakeKafkaClient, topic: string, partitionCount: number): void {
  for (const partition of client.addTopic(topic, partitionCount)) {
    partition.earliest = 10
    partition.latest = 50
  }
}

test('startAt holds at the start; partitions found later begin at their first record', async () => {
  const { client, enumerator } = enumeratorOf({ startAt: 'latest' })
  fill(client, 'a', 2)

  assert.deepEqual(await discover(enumerator), { 'a-0': 50n, 'a-1': 50n })
  fill(client, 'a', 3)
  assert.deepEqual(await discover(enumerator, new Set(['a-0', 'a-1'])), { 'a-2': 10n })
})

test('a restored job takes what it does not know for new', async () => {
  const { client, enumerator } = enumeratorOf({ startAt: 'latest' })
  fill(client, 'a', 2)

  assert.deepEqual(await discover(enumerator, new Set(['a-0'])), { 'a-1': 10n })
})

test('a topic that is made after a start without any is read from its first record', async () => {
  const { client, enumerator, logger } = enumeratorOf({ startAt: 'latest', topics: /^a/ })

  assert.deepEqual(await discover(enumerator), {})
  fill(client, 'ab', 1)
  assert.deepEqual(await discover(enumerator), { 'ab-0': 10n })
  assert.match(logger.lines.join(), /there is none yet/)
})

test('a regular expression never matches internal topics, and matches alike every time', async () => {
  const { client, enumerator } = enumeratorOf({ topics: /a/g })
  for (const topic of ['a', '__a', 'ba', 'c']) fill(client, topic, 1)

  assert.deepEqual(Object.keys(await discover(enumerator)), ['a-0', 'ba-0'])
  assert.deepEqual(Object.keys(await discover(enumerator)), ['a-0', 'ba-0'])
})

test('a bounded source without a matching topic fails', async () => {
  const { enumerator } = enumeratorOf({ topics: /^a/, endAt: 'latest' })

  await assert.rejects(enumerator.discover(none), { code: 'KAFKA_TOPIC_UNKNOWN' })
})

test('the end of the log is asked for before times are, so nothing in between is passed over', async () => {
  const { client, enumerator } = enumeratorOf({
    startAt: { timestampMs: 5 },
    endAt: { timestampMs: 9 },
  })
  fill(client, 'a', 1)
  client.atTime.set('a-0', 20)

  const [split] = await enumerator.discover(none)

  assert.deepEqual(client.calls, [
    'metadata',
    'offsets earliest',
    'offsets latest',
    'offsets 5',
    'offsets 9',
  ])
  assert.deepEqual(split, {
    id: 'a-0',
    data: { topic: 'a', partition: 0, endOffset: 20n },
    position: 20n,
  })
  assert.equal(enumerator.discoverEveryMs, undefined)
})

test('offsets of the group are asked for only where the job starts there', async () => {
  const { client, enumerator } = enumeratorOf({ startAt: 'committed', group: 'g' })
  fill(client, 'a', 2)
  client.committed.set('a-1', 30)

  assert.deepEqual(await discover(enumerator), { 'a-0': 10n, 'a-1': 30n })
  fill(client, 'a', 3)
  client.committed.set('a-2', 30)
  assert.deepEqual(await discover(enumerator, new Set(['a-0', 'a-1'])), { 'a-2': 10n })
})

test('passing failures are tried again and logged, others are not', async () => {
  const { client, enumerator, logger } = enumeratorOf({})
  fill(client, 'a', 1)
  const error = new EngineError('KAFKA_UNREACHABLE', 'away')
  client.failures.push({ call: 'metadata', error }, { call: 'offsets', error })

  assert.deepEqual(await discover(enumerator), { 'a-0': 10n })
  assert.match(logger.lines.join(), /away; trying again/)

  client.failures.push({ call: 'metadata', error: new EngineError('KAFKA_NOT_AUTHORIZED', 'no') })
  await assert.rejects(enumerator.discover(none), { code: 'KAFKA_NOT_AUTHORIZED' })
})

test('an unknown topic is waited for a little, then fails', async () => {
  const { client, enumerator } = enumeratorOf({ topics: ['a', 'b'] })
  fill(client, 'a', 1)

  await assert.rejects(enumerator.discover(none), { code: 'KAFKA_TOPIC_UNKNOWN', message: /'b'/ })
  assert.ok(client.calls.length > 1)
})

test('commits of a group follow one another, the newest last, and are tried again', async () => {
  const { client, enumerator } = enumeratorOf({ group: 'g' })
  const commit = (position: bigint): Promise<void> | undefined =>
    enumerator.onCheckpointComplete?.([{ splitId: 'a-0', position }])
  client.failures.push({
    call: 'commitOffsets',
    error: new EngineError('KAFKA_FAILED', 'NOT_COORDINATOR'),
  })

  await Promise.all([commit(1n), commit(2n), commit(3n)])

  assert.equal(client.committed.get('a-0'), 3)
  assert.equal(client.calls.length, 2) // the one that failed, and one for the newest
})

test('closing lets the last commit of a group come through', async () => {
  const { client, enumerator } = enumeratorOf({ group: 'g' })
  client.failures.push({
    call: 'commitOffsets',
    error: new EngineError('KAFKA_FAILED', 'COORDINATOR_NOT_AVAILABLE'),
  })

  const committed = enumerator.onCheckpointComplete?.([{ splitId: 'a-0', position: 7n }])
  await enumerator.close?.()
  await committed

  assert.equal(client.committed.get('a-0'), 7)
})

test('commits the offsets of a checkpoint only where there is a group', async () => {
  const { client, enumerator } = enumeratorOf({ group: 'g' })

  await enumerator.onCheckpointComplete?.([
    { splitId: 'a-0', position: 12n },
    { splitId: 'b-c-1', position: 3n },
  ])

  assert.deepEqual(
    [...client.committed],
    [
      ['a-0', 12],
      ['b-c-1', 3],
    ],
  )
  assert.equal(typeof enumeratorOf({}).enumerator.onCheckpointComplete, 'undefined')
})
