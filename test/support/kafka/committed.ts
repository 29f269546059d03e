/** What a reader of committed records sees of topics. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { TopicPartition, TransactionalClient } from '../../../operators/kafka/kafka-client.ts'
import { partitionId } from '../../../operators/kafka/kafka-client.ts'
import { openKafkajsClient } from '../../../operators/kafka/kafkajs-client.ts'
import { kafkaRecordSource } from '../../../operators/kafka/index.ts'
import type { KafkaRecord } from '../../../operators/kafka/index.ts'
import { SourceRun, text } from './source-run.ts'

/** A client for the time of one call. */
export async function withClient<T>(
  bootstrap: string,
  work: (client: TransactionalClient) => Promise<T>,
): Promise<T> {
  const client = openKafkajsClient({ brokers: [bootstrap] })
  try {
    return await work(client)
  } finally {
    await client.close()
  }
}

/** All records of a topic, once no transaction that holds any of them back is open. Fails after `deadlineMs`. */
export async function committedRecords(
  bootstrap: string,
  topic: string,
  deadlineMs: number = 60_000,
): Promise<KafkaRecord<string, string>[]> {
  await untilNothingOpen(bootstrap, topic, deadlineMs)
  const source = kafkaRecordSource({
    brokers: [bootstrap],
    topics: [topic],
    value: text,
    key: text,
    endAt: 'latest',
  })
  const run = await SourceRun.start(source, { recordsMax: 1000 })
  try {
    return (await run.all()).map(({ value }) => value)
  } finally {
    await run.close()
  }
}

/** The same, as texts, sorted. */
export async function committedValues(bootstrap: string, topic: string): Promise<string[]> {
  return (await committedRecords(bootstrap, topic)).map(({ value }) => value ?? '').toSorted()
}

/** Settles when every reader of committed records can read to the end. */
export async function untilNothingOpen(
  bootstrap: string,
  topic: string,
  deadlineMs: number = 60_000,
): Promise<void> {
  await withClient(bootstrap, async (client) => {
    const deadline = performance.now() + deadlineMs
    for (;;) {
      const open = await openPartitions(client, topic)
      if (open.length === 0) return
      if (performance.now() > deadline) {
        throw new Error(`Transactions stay open in ${open.map(String).join(', ')}`)
      }
      await sleep(20)
    }
  })
}

async function openPartitions(client: TransactionalClient, topic: string): Promise<string[]> {
  const [found] = await client.metadata([topic])
  const partitions = Array.from(found?.leaders ?? [], (_, partition): TopicPartition => ({
    topic,
    partition,
  }))
  const end = await client.offsets(partitions, 'latest', 'read_uncommitted')
  const stable = await client.offsets(partitions, 'latest', 'read_committed')
  return partitions
    .map((each) => partitionId(each.topic, each.partition))
    .filter((id) => (stable.get(id) ?? 0) < (end.get(id) ?? 0))
}
