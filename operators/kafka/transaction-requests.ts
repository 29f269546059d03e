/**
 * The requests by which transactions are made, found out about and ended. Pure, like protocol-requests.ts. Those marked flexible have
 * compact strings and arrays and tagged fields, also in their headers, which kafkajs leaves to us.
 */
import type { ListedOffset, KafkaRequest, Refusable } from './protocol-requests.ts'
import { readByTopic, writeByTopic } from './protocol-requests.ts'
import type {
  Marker,
  MarkerPlace,
  ProducedPartition,
  ProducerIdentity,
  TopicPartition,
  TransactionIdentity,
  TransactionState,
} from './kafka-client.ts'
import { ProtocolWriter } from './protocol-bytes.ts'

export function addPartitionsRequest(
  transaction: TransactionIdentity,
  partitions: readonly TopicPartition[],
): KafkaRequest<readonly ProducedPartition[]> {
  return {
    name: 'AddPartitionsToTxn',
    apiKey: 24,
    apiVersion: 1,
    encode() {
      const out = identityOf(transaction)
      writeByTopic(out, partitions, ({ partition }) => void out.int32(partition))
      return out.view()
    },
    decode(answer) {
      const throttleMs = answer.int32()
      const body = readByTopic(answer, (topic) => ({
        topic,
        partition: answer.int32(),
        errorCode: answer.int16(),
      }))
      return { throttleMs, body }
    },
  }
}

/** The group whose offset will be committed with the transaction. */
export function addOffsetsRequest(
  transaction: TransactionIdentity,
  group: string,
): KafkaRequest<number> {
  return {
    name: 'AddOffsetsToTxn',
    apiKey: 25,
    apiVersion: 1,
    encode: () => identityOf(transaction).string(group).view(),
    decode: (answer) => ({ throttleMs: answer.int32(), body: answer.int16() }),
  }
}

export function transactionOffsetRequest(
  transaction: TransactionIdentity,
  { group, topic, partition }: MarkerPlace,
  { offset, metadata }: Marker,
): KafkaRequest<readonly ProducedPartition[]> {
  return {
    name: 'TxnOffsetCommit',
    apiKey: 28,
    apiVersion: 2,
    encode() {
      const out = new ProtocolWriter().string(transaction.transactionalId).string(group)
      out.int64(transaction.producerId).int16(transaction.epoch)
      writeByTopic(out, [{ topic, partition }], () => {
        out.int32(partition).int64(BigInt(offset)).int32(-1).string(metadata)
      })
      return out.view()
    },
    decode(answer) {
      const throttleMs = answer.int32()
      const body = readByTopic(answer, (name) => ({
        topic: name,
        partition: answer.int32(),
        errorCode: answer.int16(),
      }))
      return { throttleMs, body }
    },
  }
}

/** What the end of a transaction answers: the identity under which the next one of its id begins, where the broker gives it. */
export type EndedTransaction = Refusable<ProducerIdentity | undefined>

/** Version 5 (flexible) changes the epoch with each end, so that no zombie can go on; version 1 does not. */
export function endTransactionRequest(
  transaction: TransactionIdentity,
  isCommit: boolean,
): KafkaRequest<EndedTransaction> {
  return {
    name: 'EndTxn',
    apiKey: 26,
    apiVersion: 1,
    encode: () =>
      identityOf(transaction)
        .int8(isCommit ? 1 : 0)
        .view(),
    decode(answer) {
      const throttleMs = answer.int32()
      return { throttleMs, body: { errorCode: answer.int16(), value: undefined } }
    },
    newer: {
      apiVersion: 5,
      transactionVersion: 2,
      encode() {
        const out = new ProtocolWriter().tags().compactString(transaction.transactionalId)
        out.int64(transaction.producerId).int16(transaction.epoch)
        return out
          .int8(isCommit ? 1 : 0)
          .tags()
          .view()
      },
      decode(answer) {
        answer.skipTags()
        const throttleMs = answer.int32()
        const errorCode = answer.int16()
        const next = { producerId: answer.int64(), epoch: answer.int16() }
        const value = errorCode === 0 && next.producerId >= 0n ? next : undefined
        return { throttleMs, body: { errorCode, value } }
      },
    },
  }
}

/** Flexible. `isStable`: refused with `UNSTABLE_OFFSET_COMMIT` while any transaction that holds a newer one has not ended. */
export function markerRequest(
  { group, topic, partition }: MarkerPlace,
  isStable: boolean,
): KafkaRequest<Refusable<readonly (ListedOffset & { metadata: string })[]>> {
  return {
    name: 'OffsetFetch',
    apiKey: 9,
    apiVersion: 7,
    encode() {
      const out = new ProtocolWriter().tags().compactString(group)
      out.compactArray([topic], (name) => {
        out
          .compactString(name)
          .compactArray([partition], (index) => void out.int32(index))
          .tags()
      })
      return out
        .int8(isStable ? 1 : 0)
        .tags()
        .view()
    },
    decode(answer) {
      answer.skipTags()
      const throttleMs = answer.int32()
      const value = answer
        .compactArray(() => {
          const name = answer.compactString() ?? ''
          const offsets = answer.compactArray(() => {
            const index = answer.int32()
            const offset = Number(answer.int64())
            answer.skip(4) // leader epoch
            const metadata = answer.compactString() ?? ''
            const errorCode = answer.int16()
            answer.skipTags()
            const known = offset < 0 ? undefined : offset
            return { topic: name, partition: index, errorCode, offset: known, metadata }
          })
          answer.skipTags()
          return offsets
        })
        .flat()
      return { throttleMs, body: { errorCode: answer.int16(), value } }
    },
  }
}

/** Flexible; brokers speak it since Kafka 3.0. */
export function describeTransactionRequest(
  transactionalId: string,
): KafkaRequest<Refusable<TransactionState>> {
  return {
    name: 'DescribeTransactions',
    apiKey: 65,
    apiVersion: 0,
    encode() {
      const out = new ProtocolWriter().tags()
      return out
        .compactArray([transactionalId], (id) => void out.compactString(id))
        .tags()
        .view()
    },
    decode(answer) {
      answer.skipTags()
      const throttleMs = answer.int32()
      const [state] = answer.compactArray(() => {
        const errorCode = answer.int16()
        answer.compactString()
        const name = answer.compactString() ?? ''
        answer.skip(12) // time-out, begin
        const value = { name, producerId: answer.int64(), epoch: answer.int16() }
        answer.compactArray(() => {
          answer.compactString()
          answer.compactArray(() => answer.int32())
          answer.skipTags()
        })
        answer.skipTags()
        return { errorCode, value }
      })
      if (state === undefined) throw new RangeError('The answer describes no transaction')
      return { throttleMs, body: state }
    },
  }
}

function identityOf({ transactionalId, producerId, epoch }: TransactionIdentity): ProtocolWriter {
  return new ProtocolWriter().string(transactionalId).int64(producerId).int16(epoch)
}
