/** Records as plain kafkajs reads and writes them: the oracle of the engine's own codec. */
import { randomUUID } from 'node:crypto'
import kafkajs from 'kafkajs'
import { Kafka, logLevel } from 'kafkajs'
import type { KafkaMessage } from 'kafkajs'
import type { Isolation } from '../../../operators/kafka/kafka-client.ts'
import { loadKafkajs } from '../../../operators/kafka/kafkajs-internals.ts'
import { addCodecs } from '../../../operators/kafka/public-client.ts'
import type { KafkaRecord } from '../../../operators/kafka/index.ts'
import { withAdmin } from './topics.ts'

/** A record in a form that can be compared, whoever has read it. Bytes are latin1 text. */
export interface PlainRecord {
  readonly partition: number
  readonly offset: number
  readonly timestampMs: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: readonly (readonly [string, string])[]
}

/** As the engine's source hands it out. */
export function plainRecord(record: KafkaRecord<Uint8Array, Uint8Array>): PlainRecord {
  const { partition, offset, timestampMs, key, value, headers } = record
  return {
    partition,
    offset: Number(offset),
    timestampMs,
    key: plainBytes(key),
    value: plainBytes(value),
    headers: Array.from(
      headers,
      ([name, bytes]) => [name, plainBytes(bytes) ?? ''] as const,
    ).toSorted(byName),
  }
}

/** As kafkajs does. A name that comes twice has its last value. */
export function plainMessage(partition: number, message: KafkaMessage): PlainRecord {
  const headers = Object.entries(message.headers ?? {}).map(([name, value]) => {
    const last = Array.isArray(value) ? value.at(-1) : value
    return [name, plainBytes(Buffer.from(last ?? '')) ?? ''] as const
  })
  return {
    partition,
    offset: Number(message.offset),
    timestampMs: Number(message.timestamp),
    key: plainBytes(message.key),
    value: plainBytes(message.value),
    headers: headers.toSorted(byName),
  }
}

function byName([a]: readonly [string, string], [b]: readonly [string, string]): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function plainBytes(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString('latin1')
}

/** All records of a topic as it is now, by partition and offset. */
export async function readByKafkajs(
  bootstrap: string,
  topic: string,
  isolation: Isolation,
): Promise<PlainRecord[]> {
  loadKafkajs() // cures its endless timer, here too
  addCodecs(kafkajs)
  const left = new Map<number, number>()
  for (const { partition, low, high } of await withAdmin(bootstrap, (admin) =>
    admin.fetchTopicOffsets(topic),
  )) {
    if (Number(high) > Number(low)) left.set(partition, Number(high))
  }
  const records: PlainRecord[] = []
  if (left.size === 0) return records
  const consumer = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING }).consumer({
    groupId: randomUUID(),
    readUncommitted: isolation === 'read_uncommitted',
    maxWaitTimeInMs: 100,
  })
  try {
    await new Promise<void>((resolve, reject) => {
      const readTo = (partition: number, lastOffset: string): void => {
        if (Number(lastOffset) + 1 >= (left.get(partition) ?? Infinity)) left.delete(partition)
        if (left.size === 0) resolve()
      }
      // of batches without a record for the reader too
      consumer.on('consumer.end_batch_process', ({ payload }) => {
        readTo(payload.partition, payload.lastOffset)
      })
      consumer.on('consumer.crash', ({ payload }) => reject(payload.error))
      const run = async (): Promise<void> => {
        await consumer.connect()
        await consumer.subscribe({ topic, fromBeginning: true })
        await consumer.run({
          autoCommit: false,
          async eachBatch({ batch }) {
            records.push(...batch.messages.map((each) => plainMessage(batch.partition, each)))
          },
        })
      }
      run().catch(reject)
    })
  } finally {
    await consumer.disconnect()
  }
  return inOrder(records)
}

export function inOrder(records: readonly PlainRecord[]): PlainRecord[] {
  return records.toSorted((a, b) => a.partition - b.partition || a.offset - b.offset)
}
