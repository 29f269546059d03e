/**
 * What source and sink need of a Kafka cluster. `KafkajsClient` fulfils it; tests bring their own.
 *
 * For implementors
 *  - Each call is one attempt and may fail at any time. Errors are `EngineError`: `KAFKA_UNREACHABLE` where a broker could not
 *    be reached or did not answer, else what `brokerError` says. Callers repeat what is worth it (kafka-errors.ts).
 *  - Refusals of single partitions in `fetch` and `produce` are part of the answer, as the broker's code.
 *  - Calls to one broker may be under way at once; at most one `fetch` per broker is.
 *  - `close` may be called twice and makes what is under way fail.
 */

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** The name of a partition: `orders-3`. Unique, since the number after the last hyphen is the partition. */
export function partitionId(topic: string, partition: number): string {
  return `${topic}-${partition}`
}

export interface TopicMetadata {
  readonly topic: string
  /** 0 where the topic exists. */
  readonly errorCode: number
  /** Kafka's own, like `__consumer_offsets`. */
  readonly isInternal: boolean
  /** The broker that leads each partition; -1 where there is none just now. */
  readonly leaders: readonly number[]
}

/** `'latest'` is behind the last record; a time stands for the first record that is not earlier. */
export type OffsetAt = 'earliest' | 'latest' | { readonly timestampMs: number }

/** Whether records of open and aborted transactions are seen. */
export type Isolation = 'read_committed' | 'read_uncommitted'

/** `maxWaitMs`: how long the broker waits for a first record. */
export interface FetchRequest {
  readonly isolation: Isolation
  readonly maxWaitMs: number
  readonly bytesMax: number
  readonly partitions: readonly FetchPartition[]
}

export interface FetchPartition extends TopicPartition {
  readonly offset: number
  /** The broker gives one whole batch of the first partition that has any, however large, and cuts the others here. */
  readonly bytesMax: number
}

export interface FetchedPartition extends TopicPartition {
  readonly errorCode: number
  /** Record batches as they are in the log; the last may be cut off. */
  readonly records: Uint8Array
  readonly aborted: readonly AbortedTransaction[]
}

/** The records of `producerId` from `firstOffset` to its next abort marker do not count. */
export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: number
}

export interface ProducerIdentity {
  readonly producerId: bigint
  readonly epoch: number
}

export interface ProduceBatch extends TopicPartition {
  /** One finished record batch. */
  readonly bytes: Uint8Array
}

export interface ProducedPartition extends TopicPartition {
  readonly errorCode: number
}

export interface GroupOffset extends TopicPartition {
  readonly offset: bigint
}

export interface KafkaClient {
  /** The topics of these names, known or not; without names all topics of the cluster. */
  metadata(topics?: readonly string[]): Promise<readonly TopicMetadata[]>
  /** Offsets by partition id. A partition without a record at or after a given time is left out. */
  offsets(
    partitions: readonly TopicPartition[],
    at: OffsetAt,
    isolation: Isolation,
  ): Promise<ReadonlyMap<string, number>>
  fetch(brokerId: number, request: FetchRequest): Promise<readonly FetchedPartition[]>
  /** A new identity for idempotent writing. */
  initProducer(): Promise<ProducerIdentity>
  /** Writes to partitions that the broker leads; acknowledged by all replicas in sync. */
  produce(brokerId: number, batches: readonly ProduceBatch[]): Promise<readonly ProducedPartition[]>
  /** Offsets of a group by partition id; a partition without one is left out. */
  committedOffsets(
    group: string,
    partitions: readonly TopicPartition[],
  ): Promise<ReadonlyMap<string, number>>
  /** Commits for a group that has no members. */
  commitOffsets(group: string, offsets: readonly GroupOffset[]): Promise<void>
  close(): Promise<void>
}
