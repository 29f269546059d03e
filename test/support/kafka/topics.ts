/** What tests do at the broker beside the code under test: topics, records and offsets, by kafkajs' public interface. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Kafka, logLevel, Partitioners } from 'kafkajs'
import type { Admin, Message, Producer } from 'kafkajs'
import { loadKafkajs } from '../../../operators/kafka/kafkajs-internals.ts'

/** A client for the time of one call. */
export async function withAdmin<T>(
  bootstrap: string,
  work: (admin: Admin) => Promise<T>,
): Promise<T> {
  const admin = clientOf(bootstrap).admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}

/** A new topic of a name that nobody else has. */
export async function freshTopic(
  bootstrap: string,
  partitionCount: number = 1,
  config: Readonly<Record<string, string>> = {},
): Promise<string> {
  const topic = `t-${randomUUID()}`
  await createTopic(bootstrap, topic, partitionCount, config)
  return topic
}

/** Makes a topic; settles when every partition has a leader. */
export async function createTopic(
  bootstrap: string,
  topic: string,
  partitionCount: number = 1,
  config: Readonly<Record<string, string>> = {},
): Promise<void> {
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
  const topics = [{ topic, numPartitions: partitionCount, configEntries }]
  await withAdmin(bootstrap, async (admin) => {
    // kafkajs' own wait gives up where the broker has not heard of the topic yet.
    for (let attempt = 1; ; attempt++) {
      try {
        await admin.createTopics({ topics, waitForLeaders: false })
        break
      } catch (error) {
        if (attempt === 5) throw error // a busy broker may refuse in passing; a topic that is there by then is no error
        await sleep(200)
      }
    }
    while (!(await hasLeaders(admin, topic, partitionCount))) await sleep(20)
  })
}

async function hasLeaders(admin: Admin, topic: string, partitionCount: number): Promise<boolean> {
  try {
    const metadata = await admin.fetchTopicMetadata({ topics: [topic] })
    const partitions = metadata.topics[0]?.partitions ?? []
    return partitions.length === partitionCount && partitions.every(({ leader }) => leader >= 0)
  } catch {
    return false // not known yet
  }
}

/** Writes by kafkajs' producer, for the time of one call. `transactionalId` makes it transactional. */
export async function withProducer<T>(
  bootstrap: string,
  work: (producer: Producer) => Promise<T>,
  transactionalId?: string,
): Promise<T> {
  const producer = clientOf(bootstrap).producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
    ...(transactionalId === undefined ? {} : { transactionalId }),
  })
  await producer.connect()
  try {
    return await work(producer)
  } finally {
    await producer.disconnect()
  }
}

/** Appends records to one partition. */
export async function append(
  bootstrap: string,
  topic: string,
  messages: readonly (string | Message)[],
  partition: number = 0,
): Promise<void> {
  await withProducer(bootstrap, (producer) =>
    producer.send({ topic, messages: toMessages(messages, partition) }),
  )
}

/** Deletes the records of partition 0 that are before `offset`, as retention would. */
export async function deleteBefore(
  bootstrap: string,
  topic: string,
  offset: number,
): Promise<void> {
  await withAdmin(bootstrap, async (admin) => {
    await admin.fetchTopicOffsets(topic) // kafkajs deletes only where it knows the topic already
    const partitions = [{ partition: 0, offset: String(offset) }]
    await admin.deleteTopicRecords({ topic, partitions })
  })
}

/** Messages for one partition. */
export function toMessages(
  messages: readonly (string | Message)[],
  partition: number = 0,
): Message[] {
  return messages.map((message) =>
    typeof message === 'string' ? { value: message, partition } : { partition, ...message },
  )
}

/** The texts from `first` to before `end`: `r00007`. */
export function numbered(first: number, end: number): string[] {
  return Array.from({ length: end - first }, (_, i) => `r${String(first + i).padStart(5, '0')}`)
}

function clientOf(bootstrap: string): Kafka {
  loadKafkajs() // cures its endless timer, here too
  return new Kafka({
    brokers: [bootstrap],
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, retries: 60, maxRetryTime: 1000 },
  })
}
