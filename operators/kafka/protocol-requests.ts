/**
 * The requests that the engine sends to a broker, each in one version that Kafka 2.3 and all later ones speak (those of transactions
 * are in transaction-requests.ts). Pure:
 * a request is bytes, an answer is read from bytes. The layouts are those of https://kafka.apache.org/protocol.
 */
import type {
  FetchedPartition,
  FetchRequest,
  GroupOffset,
  OffsetAt,
  Isolation,
  ProduceBatch,
  ProducedPartition,
  ProducerIdentity,
  TopicMetadata,
  TopicPartition,
} from './kafka-client.ts'
import type { BrokerAddress } from './kafka-connection.ts'
import { ProtocolReader, ProtocolWriter } from './protocol-bytes.ts'

/** A request, and how its answer is read. */
export interface KafkaRequest<A> {
  readonly name: string
  readonly apiKey: number
  readonly apiVersion: number
  encode(): Buffer
  decode(answer: ProtocolReader): Answer<A>
  /** Sent instead to brokers that speak it, and whose cluster has this level of `transaction.version`. */
  readonly newer?: {
    readonly apiVersion: number
    readonly transactionVersion: number
    encode(): Buffer
    decode(answer: ProtocolReader): Answer<A>
  }
}

/** `throttleMs`: how long the broker asks to wait before the next request. */
export interface Answer<A> {
  readonly throttleMs: number
  readonly body: A
}

/** What a broker speaks, by API key. */
export type ApiVersions = Readonly<
  Record<number, { readonly minVersion: number; readonly maxVersion: number }>
>

/** How long a broker waits for the other replicas before it refuses a write. */
const produceTimeoutMs = 20_000
const acksAll = -1
const noLeaderEpoch = -1

export function apiVersionsRequest(): KafkaRequest<ApiVersions> {
  return {
    name: 'ApiVersions',
    apiKey: 18,
    apiVersion: 0,
    encode: () => Buffer.alloc(0),
    decode(answer) {
      answer.skip(2) // version 0 is never refused
      const versions: Record<number, { minVersion: number; maxVersion: number }> = {}
      answer.array(() => {
        versions[answer.int16()] = { minVersion: answer.int16(), maxVersion: answer.int16() }
      })
      return { throttleMs: 0, body: versions }
    },
  }
}

/** The level of `transaction.version` that the cluster has been set to: 2 changes the epoch with every transaction. Flexible. */
export function transactionVersionRequest(): KafkaRequest<number> {
  return {
    name: 'ApiVersions',
    apiKey: 18,
    apiVersion: 3,
    encode: () =>
      new ProtocolWriter().tags().compactString('millrace').compactString('1').tags().view(),
    decode(answer) {
      answer.skip(2)
      answer.compactArray(() => {
        answer.skip(6)
        answer.skipTags()
      })
      const throttleMs = answer.int32()
      let level = 0
      const finalizedFeatures = 2
      answer.skipTags((tag) => {
        if (tag !== finalizedFeatures) return
        answer.compactArray(() => {
          const name = answer.compactString()
          const max = answer.int16()
          answer.skip(2)
          answer.skipTags()
          if (name === 'transaction.version') level = max
        })
      })
      return { throttleMs, body: level }
    },
  }
}

export interface ClusterMetadata {
  readonly brokers: ReadonlyMap<number, BrokerAddress>
  readonly topics: readonly TopicMetadata[]
}

/** `topics`: undefined for all. */
export function metadataRequest(
  topics: readonly string[] | undefined,
): KafkaRequest<ClusterMetadata> {
  return {
    name: 'Metadata',
    apiKey: 3,
    apiVersion: 6,
    encode() {
      const out = new ProtocolWriter()
      if (topics === undefined) out.int32(-1)
      else out.array(topics, (topic) => out.string(topic))
      return out.int8(0).view() // topics are not created by asking for them
    },
    decode(answer) {
      const throttleMs = answer.int32()
      const brokers = new Map<number, BrokerAddress>()
      answer.array(() => {
        brokers.set(answer.int32(), { host: answer.string() ?? '', port: answer.int32() })
        answer.string() // rack
      })
      answer.string() // cluster id
      answer.skip(4) // controller
      return { throttleMs, body: { brokers, topics: answer.array(() => readTopic(answer)) } }
    },
  }
}

function readTopic(answer: ProtocolReader): TopicMetadata {
  const errorCode = answer.int16()
  const topic = answer.string() ?? ''
  const isInternal = answer.int8() !== 0
  const leaders: number[] = []
  answer.array(() => {
    answer.skip(2) // a partition's error says that it has no leader
    leaders[answer.int32()] = answer.int32()
    for (const _ of ['replicas', 'in sync', 'offline']) answer.array(() => answer.int32())
  })
  return { topic, errorCode, isInternal, leaders }
}

/** An offset, or undefined where there is no record at or after the time; or a refusal. */
export interface ListedOffset extends TopicPartition {
  readonly errorCode: number
  readonly offset: number | undefined
}

export function listOffsetsRequest(
  partitions: readonly TopicPartition[],
  at: OffsetAt,
  isolation: Isolation,
): KafkaRequest<readonly ListedOffset[]> {
  const timestamp = at === 'earliest' ? -2n : at === 'latest' ? -1n : BigInt(at.timestampMs)
  return {
    name: 'ListOffsets',
    apiKey: 2,
    apiVersion: 3,
    encode() {
      const out = new ProtocolWriter().int32(-1).int8(isolationCode(isolation))
      writeByTopic(out, partitions, ({ partition }) => out.int32(partition).int64(timestamp))
      return out.view()
    },
    decode(answer) {
      const throttleMs = answer.int32()
      const body = readByTopic(answer, (topic) => {
        const partition = answer.int32()
        const errorCode = answer.int16()
        answer.skip(8)
        const offset = Number(answer.int64())
        return { topic, partition, errorCode, offset: offset < 0 ? undefined : offset }
      })
      return { throttleMs, body }
    },
  }
}

export function fetchRequest(request: FetchRequest): KafkaRequest<readonly FetchedPartition[]> {
  const { isolation, maxWaitMs, bytesMax, partitions } = request
  return {
    name: 'Fetch',
    apiKey: 1,
    apiVersion: 11,
    encode() {
      const out = new ProtocolWriter(1024).int32(-1).int32(maxWaitMs).int32(1).int32(bytesMax)
      out.int8(isolationCode(isolation)).int32(0).int32(-1) // without a fetch session
      writeByTopic(out, partitions, ({ partition, offset, bytesMax }) => {
        out.int32(partition).int32(noLeaderEpoch).int64(BigInt(offset)).int64(-1n).int32(bytesMax)
      })
      return out.int32(0).string('').view() // forgets nothing, is in no rack
    },
    decode(answer) {
      const throttleMs = answer.int32()
      const errorCode = answer.int16()
      answer.skip(4) // session
      const body = readByTopic(answer, (topic) => {
        const partition = answer.int32()
        const partitionError = answer.int16()
        answer.skip(24) // high watermark, last stable offset, log start
        const aborted = answer.array(() => ({
          producerId: answer.int64(),
          firstOffset: Number(answer.int64()),
        }))
        answer.skip(4) // a better replica
        const records = answer.bytes()
        return { topic, partition, errorCode: errorCode || partitionError, records, aborted }
      })
      return { throttleMs, body }
    },
  }
}

/** `transactionalId`: of the transaction that all batches belong to. */
export function produceRequest(
  batches: readonly ProduceBatch[],
  transactionalId: string | null = null,
): KafkaRequest<readonly ProducedPartition[]> {
  return {
    name: 'Produce',
    apiKey: 0,
    apiVersion: 7,
    encode() {
      const bytes = batches.reduce((sum, batch) => sum + batch.bytes.length + 64, 64)
      const out = new ProtocolWriter(bytes).string(transactionalId)
      out.int16(acksAll).int32(produceTimeoutMs)
      writeByTopic(out, batches, (batch) => {
        out.int32(batch.partition).int32(batch.bytes.length).bytes(batch.bytes)
      })
      return out.view()
    },
    decode(answer) {
      const body = readByTopic(answer, (topic) => {
        const partition = answer.int32()
        const errorCode = answer.int16()
        const baseOffset = Number(answer.int64())
        answer.skip(16) // append time, log start
        return { topic, partition, errorCode, baseOffset }
      })
      return { throttleMs: answer.int32(), body }
    },
  }
}

/** An answer that is refused as a whole. */
export interface Refusable<T> {
  readonly errorCode: number
  readonly value: T
}

/** Of a transactional id: also fences every earlier owner of it, and aborts what it has left open. */
export function initProducerIdRequest(
  transactionalId: string | null = null,
  timeoutMs: number = produceTimeoutMs,
): KafkaRequest<Refusable<ProducerIdentity>> {
  return {
    name: 'InitProducerId',
    apiKey: 22,
    apiVersion: 1,
    encode: () => new ProtocolWriter().string(transactionalId).int32(timeoutMs).view(),
    decode(answer) {
      const throttleMs = answer.int32()
      const errorCode = answer.int16()
      const value = { producerId: answer.int64(), epoch: answer.int16() }
      return { throttleMs, body: { errorCode, value } }
    },
  }
}

/** Of a consumer group, or of a transactional id. */
export function findCoordinatorRequest(
  name: string,
  of: 'group' | 'transaction' = 'group',
): KafkaRequest<Refusable<BrokerAddress>> {
  return {
    name: 'FindCoordinator',
    apiKey: 10,
    apiVersion: 2,
    encode: () =>
      new ProtocolWriter()
        .string(name)
        .int8(of === 'group' ? 0 : 1)
        .view(),
    decode(answer) {
      const throttleMs = answer.int32()
      const errorCode = answer.int16()
      answer.string()
      answer.skip(4)
      const value = { host: answer.string() ?? '', port: answer.int32() }
      return { throttleMs, body: { errorCode, value } }
    },
  }
}

export function offsetFetchRequest(
  group: string,
  partitions: readonly TopicPartition[],
): KafkaRequest<Refusable<readonly ListedOffset[]>> {
  return {
    name: 'OffsetFetch',
    apiKey: 9,
    apiVersion: 4,
    encode() {
      const out = new ProtocolWriter().string(group)
      writeByTopic(out, partitions, ({ partition }) => out.int32(partition))
      return out.view()
    },
    decode(answer) {
      const throttleMs = answer.int32()
      const value = readByTopic(answer, (topic) => {
        const partition = answer.int32()
        const offset = Number(answer.int64())
        answer.string() // metadata
        const errorCode = answer.int16()
        return { topic, partition, errorCode, offset: offset < 0 ? undefined : offset }
      })
      return { throttleMs, body: { errorCode: answer.int16(), value } }
    },
  }
}

export function offsetCommitRequest(
  group: string,
  offsets: readonly GroupOffset[],
): KafkaRequest<readonly ProducedPartition[]> {
  return {
    name: 'OffsetCommit',
    apiKey: 8,
    apiVersion: 5,
    encode() {
      const out = new ProtocolWriter().string(group).int32(-1).string('') // not as a member
      writeByTopic(out, offsets, ({ partition, offset, metadata = null }) => {
        out.int32(partition).int64(offset).string(metadata)
      })
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

function isolationCode(isolation: Isolation): number {
  return isolation === 'read_committed' ? 1 : 0
}

/** Partitions stand under their topics; topics in the order in which they come first. */
export function writeByTopic<P extends TopicPartition>(
  out: ProtocolWriter,
  partitions: readonly P[],
  write: (partition: P) => void,
): void {
  const topics = new Map<string, P[]>()
  for (const partition of partitions) {
    const others = topics.get(partition.topic)
    if (others === undefined) topics.set(partition.topic, [partition])
    else others.push(partition)
  }
  out.array([...topics], ([topic, own]) => out.string(topic).array(own, write))
}

export function readByTopic<T>(answer: ProtocolReader, read: (topic: string) => T): T[] {
  return answer
    .array(() => {
      const topic = answer.string() ?? ''
      return answer.array(() => read(topic))
    })
    .flat()
}
