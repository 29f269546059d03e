/**
 * `KafkaClient` through the public interface of kafkajs alone: for a kafkajs whose connections are not those that kafkajs-client.ts knows.
 *
 * What it cannot do
 *  - Transactions: an identity cannot be resumed, so nothing here writes exactly once (`KAFKA_CLIENT_LIMITED`).
 *  - The end of committed records: `latest` is behind the last record, so a bounded read waits for the transactions before it.
 *  - A broker that has a batch already does not say so: after a failure records may be there twice.
 * It is several times slower too: each record is made into objects and back.
 */
import { createRequire } from 'node:module'
import type { Admin, Kafka, KafkaConfig, Message, Producer } from 'kafkajs'
import { EngineError } from '../../src/core/errors.ts'
import { decompress } from './compression.ts'
import { partitionId } from './kafka-client.ts'
import type {
  FetchedPartition,
  FetchRequest,
  GroupOffset,
  OffsetAt,
  ProduceBatch,
  ProducedPartition,
  ProducerIdentity,
  TopicMetadata,
  TopicPartition,
  TransactionalClient,
} from './kafka-client.ts'
import { parseBrokers } from './kafka-connection.ts'
import type { KafkaConnection } from './kafka-connection.ts'
import { brokerCode, brokerError } from './kafka-errors.ts'
import { PublicConsumer } from './public-consumer.ts'
import { RecordCursor } from './record-cursor.ts'
import { saslOf } from './sasl.ts'

type KafkajsModule = typeof import('kafkajs')

const load = createRequire(import.meta.url)

export function openPublicClient(options: KafkaConnection): TransactionalClient {
  return new PublicClient(options)
}

/** Of everything that takes transactions. */
export function noTransactions(): EngineError {
  return new EngineError(
    'KAFKA_CLIENT_LIMITED',
    `The installed kafkajs is not the one whose connections are known, and its public interface cannot write exactly once; install exactly kafkajs@2.2.4, or give the sink guarantee: 'at-least-once'`,
  )
}

class PublicClient implements TransactionalClient {
  readonly #kafkajs: KafkajsModule
  readonly #kafka: Kafka
  readonly #partitionCounts = new Map<string, number>()
  #admin: Promise<Admin> | undefined
  #producer: Promise<Producer> | undefined
  #consumer: PublicConsumer | undefined

  constructor(options: KafkaConnection) {
    parseBrokers(options.brokers)
    this.#kafkajs = loadPublic()
    addCodecs(this.#kafkajs)
    const { brokers, clientId = 'millrace', ssl = false, sasl } = options
    this.#kafka = new this.#kafkajs.Kafka({
      brokers: [...brokers],
      clientId,
      ssl,
      ...(sasl === undefined
        ? {}
        : { sasl: saslOf(sasl, brokers.join(', ')) as NonNullable<KafkaConfig['sasl']> }),
      logLevel: this.#kafkajs.logLevel.NOTHING, // what fails is an error here
      retry: { retries: 1, initialRetryTime: 50 }, // callers repeat what is worth it
    })
  }

  async metadata(topics?: readonly string[]): Promise<readonly TopicMetadata[]> {
    return this.#as('Asking for topics', async () => {
      const admin = await this.#administration()
      const names = topics ?? (await admin.listTopics())
      return Promise.all(names.map((topic) => this.#topic(admin, topic)))
    })
  }

  async offsets(
    partitions: readonly TopicPartition[],
    at: OffsetAt,
  ): Promise<ReadonlyMap<string, number>> {
    return this.#as('Asking for offsets', async () => {
      const admin = await this.#administration()
      const wanted = new Set(
        partitions.map(({ topic, partition }) => partitionId(topic, partition)),
      )
      const offsets = new Map<string, number>()
      for (const topic of new Set(partitions.map((each) => each.topic))) {
        const found =
          typeof at === 'string'
            ? (await admin.fetchTopicOffsets(topic)).map(({ partition, low, high }) => ({
                partition,
                offset: at === 'earliest' ? low : high,
              }))
            : await admin.fetchTopicOffsetsByTimestamp(topic, at.timestampMs)
        for (const { partition, offset } of found) {
          const id = partitionId(topic, partition)
          if (wanted.has(id)) offsets.set(id, Number(offset))
        }
      }
      return offsets
    })
  }

  async fetch(_brokerId: number, request: FetchRequest): Promise<readonly FetchedPartition[]> {
    this.#consumer ??= new PublicConsumer({
      kafka: this.#kafka,
      isolation: request.isolation,
      partitionCount: (topic) => this.#partitionCounts.get(topic) ?? 0,
      offsets: (partitions, at) => this.offsets(partitions, at),
    })
    const consumer = this.#consumer
    return this.#as('Reading', () => consumer.fetch(request))
  }

  /** The public producer gives itself one. */
  async initProducer(): Promise<ProducerIdentity> {
    await this.#as('Connecting a producer', () => this.#sender())
    return { producerId: -1n, epoch: -1 }
  }

  async produce(
    _brokerId: number,
    batches: readonly ProduceBatch[],
  ): Promise<readonly ProducedPartition[]> {
    const producer = await this.#as('Connecting a producer', () => this.#sender())
    return Promise.all(
      batches.map(async ({ topic, partition, bytes }): Promise<ProducedPartition> => {
        try {
          const messages = messagesOf({ topic, partition, bytes })
          const [written] = await producer.send({ topic, acks: -1, messages })
          const baseOffset = Number(written?.baseOffset ?? -1)
          return { topic, partition, errorCode: brokerCode.none, baseOffset }
        } catch (cause) {
          const code = refusalOf(cause)
          if (code === undefined) throw toEngineError(cause, 'Writing')
          return { topic, partition, errorCode: code }
        }
      }),
    )
  }

  async committedOffsets(
    group: string,
    partitions: readonly TopicPartition[],
  ): Promise<ReadonlyMap<string, number>> {
    return this.#as(`Asking for the offsets of group '${group}'`, async () => {
      const admin = await this.#administration()
      const topics = [...new Set(partitions.map(({ topic }) => topic))]
      const offsets = new Map<string, number>()
      for (const found of await admin.fetchOffsets({ groupId: group, topics })) {
        for (const { partition, offset } of found.partitions) {
          if (Number(offset) >= 0) offsets.set(partitionId(found.topic, partition), Number(offset))
        }
      }
      return offsets
    })
  }

  async commitOffsets(group: string, offsets: readonly GroupOffset[]): Promise<void> {
    await this.#as(`Committing offsets for group '${group}'`, async () => {
      const admin = await this.#administration()
      for (const topic of new Set(offsets.map((each) => each.topic))) {
        const partitions = offsets
          .filter((each) => each.topic === topic)
          .map(({ partition, offset }) => ({ partition, offset: String(offset) }))
        await admin.setOffsets({ groupId: group, topic, partitions })
      }
    })
  }

  async initTransactions(): Promise<never> {
    throw noTransactions()
  }

  async addPartitions(): Promise<never> {
    throw noTransactions()
  }

  async mark(): Promise<never> {
    throw noTransactions()
  }

  async endTransaction(): Promise<never> {
    throw noTransactions()
  }

  async describeTransaction(): Promise<never> {
    throw noTransactions()
  }

  async marker(): Promise<never> {
    throw noTransactions()
  }

  async close(): Promise<void> {
    await this.#consumer?.close()
    // what was never connected, or lost its connection, needs no farewell
    await this.#admin?.then((admin) => admin.disconnect()).catch(() => undefined)
    await this.#producer?.then((producer) => producer.disconnect()).catch(() => undefined)
  }

  async #topic(admin: Admin, topic: string): Promise<TopicMetadata> {
    const isInternal = topic.startsWith('__')
    try {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      const leaders: number[] = []
      for (const { partitionId: partition, leader } of topics[0]?.partitions ?? []) {
        leaders[partition] = leader
      }
      this.#partitionCounts.set(topic, leaders.length)
      return { topic, errorCode: brokerCode.none, isInternal, leaders }
    } catch (cause) {
      const errorCode = refusalOf(cause)
      if (errorCode === undefined) throw cause
      return { topic, errorCode, isInternal, leaders: [] }
    }
  }

  async #administration(): Promise<Admin> {
    this.#admin ??= connected(this.#kafka.admin())
    try {
      return await this.#admin
    } catch (error) {
      this.#admin = undefined
      throw error
    }
  }

  async #sender(): Promise<Producer> {
    this.#producer ??= connected(
      this.#kafka.producer({
        allowAutoTopicCreation: false,
        createPartitioner: this.#kafkajs.Partitioners.DefaultPartitioner,
        retry: { retries: 0 }, // the sink repeats, and keeps the order
      }),
    )
    try {
      return await this.#producer
    } catch (error) {
      this.#producer = undefined
      throw error
    }
  }

  async #as<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (cause) {
      throw toEngineError(cause, what)
    }
  }
}

function loadPublic(): KafkajsModule {
  try {
    return load('kafkajs') as KafkajsModule
  } catch (cause) {
    throw new EngineError(
      'KAFKA_FAILED',
      'kafkajs cannot be loaded; install exactly kafkajs@2.2.4',
      { cause, retryable: false },
    )
  }
}

async function connected<C extends { connect(): Promise<void> }>(client: C): Promise<C> {
  await client.connect()
  return client
}

/** kafkajs unpacks gzip alone by itself; codecs that somebody has given it already are kept. */
export function addCodecs({ CompressionCodecs, CompressionTypes }: KafkajsModule): void {
  const codecs = CompressionCodecs as Record<number, () => unknown>
  for (const type of [CompressionTypes.Snappy, CompressionTypes.LZ4, CompressionTypes.ZSTD]) {
    try {
      codecs[type]?.()
      continue
    } catch {
      // it has none
    }
    codecs[type] = () => ({
      compress: async () => Promise.reject(new Error('never written')),
      decompress: async (packed: Buffer) => Buffer.from(decompress(type, packed)),
    })
  }
}

function messagesOf({ topic, partition, bytes }: ProduceBatch): Message[] {
  const cursor = new RecordCursor(partitionId(topic, partition))
  cursor.open({ bytes, fromOffset: 0, nextOffset: Infinity, aborted: [] })
  const messages: Message[] = []
  while (cursor.next()) {
    const { body, keyStart, keyLength, valueStart, valueLength, timestampMs } = cursor
    const bytesAt = (start: number, length: number): Buffer | null =>
      length < 0 ? null : Buffer.from(body.buffer, body.byteOffset + start, length)
    messages.push({
      partition,
      key: bytesAt(keyStart, keyLength),
      value: bytesAt(valueStart, valueLength),
      timestamp: String(timestampMs),
      headers: Object.fromEntries(
        Array.from(cursor.headers(), ([name, value]) => [name, Buffer.from(value)]),
      ),
    })
  }
  return messages
}

/** What lies at the bottom of an error of kafkajs, which wraps one that it has tried again. */
function causeOf(error: unknown): unknown {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error ? causeOf(cause) : error
}

/** The broker's code, where a broker has refused. */
function refusalOf(error: unknown): number | undefined {
  const cause = causeOf(error)
  const isRefusal = cause instanceof Error && cause.name === 'KafkaJSProtocolError'
  return isRefusal && 'code' in cause ? Number(cause.code) : undefined
}

function toEngineError(error: unknown, what: string): EngineError {
  const cause = causeOf(error)
  if (cause instanceof EngineError) return cause
  const code = refusalOf(cause)
  if (code !== undefined) return brokerError(code, what)
  const text = cause instanceof Error ? cause.message : String(cause)
  if (cause instanceof Error && cause.name === 'KafkaJSSASLAuthenticationError') {
    return new EngineError(
      'KAFKA_NOT_AUTHORIZED',
      `The brokers refused the login: ${text}; check sasl.mechanism, username and password`,
      { cause },
    )
  }
  return new EngineError('KAFKA_UNREACHABLE', `${what} is not possible just now: ${text}`, {
    cause,
  })
}
