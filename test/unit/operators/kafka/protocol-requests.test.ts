/** Our requests against those of kafkajs, which speaks the same versions: byte for byte, and answers through its decoders' eyes. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { ProtocolReader, ProtocolWriter } from '../../../../operators/kafka/protocol-bytes.ts'
import {
  apiVersionsRequest,
  fetchRequest,
  findCoordinatorRequest,
  initProducerIdRequest,
  listOffsetsRequest,
  metadataRequest,
  offsetCommitRequest,
  offsetFetchRequest,
  produceRequest,
} from '../../../../operators/kafka/protocol-requests.ts'
import type { KafkaRequest } from '../../../../operators/kafka/protocol-requests.ts'

interface KafkajsRequest {
  readonly apiKey: number
  readonly apiVersion: number
  encode(): Promise<{ readonly buffer: Buffer }>
}

const load = createRequire(import.meta.url)

async function assertSame(
  ours: KafkaRequest<unknown>,
  path: string,
  options: object,
): Promise<void> {
  const make: (options: object) => KafkajsRequest = load(
    `kafkajs/src/protocol/requests/${path}/request`,
  )
  const theirs = make(options)
  assert.deepEqual([ours.apiKey, ours.apiVersion], [theirs.apiKey, theirs.apiVersion], path)
  assert.deepEqual(Buffer.from(ours.encode()), (await theirs.encode()).buffer, path)
}

const partitions = [
  { topic: 'a', partition: 0 },
  { topic: 'b', partition: 1 },
  { topic: 'a', partition: 2 },
]

test('requests are those of the protocol', async () => {
  await assertSame(metadataRequest(['a', 'ü']), 'metadata/v6', {
    topics: ['a', 'ü'],
    allowAutoTopicCreation: false,
  })
  await assertSame(metadataRequest(undefined), 'metadata/v6', {
    topics: [],
    allowAutoTopicCreation: false,
  })
  await assertSame(
    listOffsetsRequest(partitions, { timestampMs: 1_700_000_000_000 }, 'read_committed'),
    'listOffsets/v3',
    {
      replicaId: -1,
      isolationLevel: 1,
      topics: byTopic({ timestamp: 1_700_000_000_000 }),
    },
  )
  await assertSame(
    fetchRequest({
      isolation: 'read_uncommitted',
      maxWaitMs: 500,
      bytesMax: 1000,
      partitions: partitions.map((place) => ({ ...place, offset: 2 ** 40, bytesMax: 300 })),
    }),
    'fetch/v11',
    {
      replicaId: -1,
      maxWaitTime: 500,
      minBytes: 1,
      maxBytes: 1000,
      isolationLevel: 0,
      topics: byTopic({ fetchOffset: 2 ** 40, maxBytes: 300 }),
    },
  )
  await assertSame(initProducerIdRequest(), 'initProducerId/v1', {
    transactionalId: null,
    transactionTimeout: 20_000,
  })
  await assertSame(findCoordinatorRequest('g'), 'findCoordinator/v2', {
    coordinatorKey: 'g',
    coordinatorType: 0,
  })
  await assertSame(offsetFetchRequest('g', partitions), 'offsetFetch/v4', {
    groupId: 'g',
    topics: byTopic({}),
  })
  await assertSame(
    offsetCommitRequest(
      'g',
      partitions.map((place) => ({ ...place, offset: 5n })),
    ),
    'offsetCommit/v5',
    { groupId: 'g', groupGenerationId: -1, memberId: '', topics: byTopic({ offset: '5' }) },
  )
})

test('a write names topics and partitions before their batches', () => {
  const bytes = Buffer.from('a batch')
  const request = produceRequest(partitions.map((place) => ({ ...place, bytes })))
  const reader = new ProtocolReader(Buffer.from(request.encode()))

  assert.equal(reader.string(), null)
  assert.equal(reader.int16(), -1)
  reader.skip(4)
  const written = reader.array(() => [
    reader.string(),
    reader.array(() => [reader.int32(), Buffer.from(reader.bytes()).toString()]),
  ])
  assert.deepEqual(written, [
    [
      'a',
      [
        [0, 'a batch'],
        [2, 'a batch'],
      ],
    ],
    ['b', [[1, 'a batch']]],
  ])
})

test('an answer to a fetch', () => {
  const out = new ProtocolWriter().int32(9).int16(0).int32(0)
  out.array(['a'], (topic) =>
    out.string(topic).array([3, 4], (partition) => {
      out
        .int32(partition)
        .int16(partition === 4 ? 6 : 0)
        .int64(100n)
        .int64(90n)
        .int64(10n)
      out.array(partition === 3 ? [11n] : [], (id) => out.int64(id).int64(42n))
      out.int32(-1)
      if (partition === 4) out.int32(-1)
      else out.int32(2).bytes(Uint8Array.of(7, 8))
    }),
  )

  const request = fetchRequest({
    isolation: 'read_committed',
    maxWaitMs: 0,
    bytesMax: 0,
    partitions: [],
  })
  const { throttleMs, body } = request.decode(new ProtocolReader(out.copy()))

  assert.equal(throttleMs, 9)
  assert.deepEqual(body, [
    {
      topic: 'a',
      partition: 3,
      errorCode: 0,
      records: Uint8Array.of(7, 8),
      aborted: [{ producerId: 11n, firstOffset: 42 }],
    },
    { topic: 'a', partition: 4, errorCode: 6, records: new Uint8Array(0), aborted: [] },
  ])
})

test('an answer about topics', () => {
  const out = new ProtocolWriter().int32(0)
  out.array([1, 2], (id) => out.int32(id).string(`host-${id}`).int32(9092).string(null))
  out.string('cluster').int32(1)
  out.array(['a', '__own'], (topic) => {
    out
      .int16(0)
      .string(topic)
      .int8(topic === 'a' ? 0 : 1)
    out.array([1, 0], (partition) => {
      out
        .int16(partition === 1 ? 5 : 0)
        .int32(partition)
        .int32(partition === 1 ? -1 : 2)
      for (const brokers of [[1, 2], [2], []]) out.array(brokers, (id) => out.int32(id))
    })
  })

  const { body } = metadataRequest(undefined).decode(new ProtocolReader(out.copy()))

  assert.deepEqual(
    [...body.brokers],
    [
      [1, { host: 'host-1', port: 9092 }],
      [2, { host: 'host-2', port: 9092 }],
    ],
  )
  assert.deepEqual(body.topics, [
    { topic: 'a', errorCode: 0, isInternal: false, leaders: [2, -1] },
    { topic: '__own', errorCode: 0, isInternal: true, leaders: [2, -1] },
  ])
})

test('an answer that ends too early is an error', () => {
  const out = new ProtocolWriter().int16(0).int32(3).int16(1)

  assert.throws(() => apiVersionsRequest().decode(new ProtocolReader(out.copy())), RangeError)
})

function byTopic(fields: object): object[] {
  return [
    { topic: 'a', partitions: [0, 2].map((partition) => ({ partition, ...fields })) },
    { topic: 'b', partitions: [{ partition: 1, ...fields }] },
  ]
}
