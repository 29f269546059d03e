/** The requests of transactions: against kafkajs where it speaks the same version, else against bytes worked out by hand. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { ProtocolReader } from '../../../../operators/kafka/protocol-bytes.ts'
import {
  initProducerIdRequest,
  transactionVersionRequest,
} from '../../../../operators/kafka/protocol-requests.ts'
import type { KafkaRequest } from '../../../../operators/kafka/protocol-requests.ts'
import {
  addOffsetsRequest,
  addPartitionsRequest,
  describeTransactionRequest,
  endTransactionRequest,
  markerRequest,
  transactionOffsetRequest,
} from '../../../../operators/kafka/transaction-requests.ts'

const load = createRequire(import.meta.url)
const transaction = { transactionalId: 'tx', producerId: 258n, epoch: 3 }
const identity = { transactionalId: 'tx', producerId: 258, producerEpoch: 3 }

async function assertSame(
  ours: KafkaRequest<unknown>,
  path: string,
  options: object,
): Promise<void> {
  const make = load(`kafkajs/src/protocol/requests/${path}/request`) as (options: object) => {
    readonly apiKey: number
    readonly apiVersion: number
    encode(): Promise<{ readonly buffer: Buffer }>
  }
  const theirs = make(options)
  assert.deepEqual([ours.apiKey, ours.apiVersion], [theirs.apiKey, theirs.apiVersion], path)
  assert.deepEqual(Buffer.from(ours.encode()), (await theirs.encode()).buffer, path)
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** Spaces stand between fields. */
function answer(fields: string): ProtocolReader {
  return new ProtocolReader(Buffer.from(fields.replaceAll(' ', ''), 'hex'))
}

const producerId = '0000000000000102'

test('requests are those that kafkajs sends', async () => {
  await assertSame(initProducerIdRequest('tx', 60_000), 'initProducerId/v1', {
    transactionalId: 'tx',
    transactionTimeout: 60_000,
  })
  await assertSame(
    addPartitionsRequest(transaction, [
      { topic: 'a', partition: 0 },
      { topic: 'b', partition: 1 },
      { topic: 'a', partition: 2 },
    ]),
    'addPartitionsToTxn/v1',
    {
      ...identity,
      topics: [
        { topic: 'a', partitions: [0, 2] },
        { topic: 'b', partitions: [1] },
      ],
    },
  )
  await assertSame(addOffsetsRequest(transaction, 'group'), 'addOffsetsToTxn/v1', {
    ...identity,
    groupId: 'group',
  })
  for (const isCommit of [true, false]) {
    await assertSame(endTransactionRequest(transaction, isCommit), 'endTxn/v1', {
      ...identity,
      transactionResult: isCommit,
    })
  }
})

test('a marker is written with its line as metadata', () => {
  const place = { group: 'g', topic: 'a', partition: 0 }

  const request = transactionOffsetRequest(transaction, place, { offset: 7, metadata: 'line' })

  assert.deepEqual([request.apiKey, request.apiVersion], [28, 2])
  assert.equal(
    hex(request.encode()),
    `00027478 000167 ${producerId} 0003 00000001 000161 00000001 00000000 0000000000000007 ffffffff 00046c696e65`.replaceAll(
      ' ',
      '',
    ),
  )
})

test('a transaction is ended by version 5 where the cluster has its epochs change', () => {
  const { newer } = endTransactionRequest(transaction, true)

  assert.deepEqual([newer?.apiVersion, newer?.transactionVersion], [5, 2])
  assert.equal(
    hex(newer?.encode() ?? new Uint8Array()),
    `00 037478 ${producerId} 0003 01 00`.replaceAll(' ', ''),
  )
  assert.deepEqual(newer?.decode(answer(`00 00000005 0000 ${producerId} 0004 00`)), {
    throttleMs: 5,
    body: { errorCode: 0, value: { producerId: 258n, epoch: 4 } },
  })
  assert.deepEqual(newer?.decode(answer('00 00000000 0030 ffffffffffffffff ffff 00')), {
    throttleMs: 0,
    body: { errorCode: 48, value: undefined },
  })
})

test('a marker is read, its absence too, past fields that are not known', () => {
  const place = { group: 'g', topic: 'a', partition: 0 }

  const request = markerRequest(place, true)

  assert.equal(hex(request.encode()), '00026702026102000000000001' + '00')
  const found = answer(
    '01 05 02 abcd 00000000 02 0261 02 00000000 0000000000000007 ffffffff 056c696e65 0000 00 00 0000 00',
  )
  assert.deepEqual(request.decode(found).body, {
    errorCode: 0,
    value: [{ topic: 'a', partition: 0, errorCode: 0, offset: 7, metadata: 'line' }],
  })
  const none = answer(
    '00 00000000 02 0261 02 00000000 ffffffffffffffff ffffffff 01 0000 00 00 0000 00',
  )
  assert.equal(request.decode(none).body.value[0]?.offset, undefined)
})

test('what became of a transaction', () => {
  const request = describeTransactionRequest('tx')

  assert.equal(hex(request.encode()), '000203747800')
  const ongoing = answer(
    `00 00000000 02 0000 037478 084f6e676f696e67 0000ea60 0000000000000001 ${producerId} 0003 02 0261 02 00000000 00 00 00`,
  )
  assert.deepEqual(request.decode(ongoing).body, {
    errorCode: 0,
    value: { name: 'Ongoing', producerId: 258n, epoch: 3 },
  })
})

test('the level of transactions is found among the features of the cluster', () => {
  const request = transactionVersionRequest()
  const name = Buffer.from('transaction.version').toString('hex')

  const told = answer(
    `0000 02 0012 0000 0004 00 00000000 02 01 08 0000000000000001 02 18 02 14 ${name} 0002 0002 00`,
  )
  const untold = answer('0000 02 0012 0000 0004 00 00000000 00')

  assert.equal(request.decode(told).body, 2)
  assert.equal(request.decode(untold).body, 0)
})
