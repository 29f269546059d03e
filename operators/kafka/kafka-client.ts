/**
 * What source and sink need of a Kafka cluster. `ProtocolClient` fulfils it; tests bring their own.
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
  /** Of the first record, where something was written; -1 where it had been there before. */
  readonly baseOffset?: number
}

export interface GroupOffset extends TopicPartition {
  readonly offset: bigint
  readonly metadata?: string
}

/** Who may write to a transaction, and end it. */
export interface TransactionIdentity extends ProducerIdentity {
  readonly transactionalId: string
}

/** As the coordinator knows it: `Ongoing`, `PrepareCommit`, `CompleteCommit`, `CompleteAbort`, ... */
export interface TransactionState extends ProducerIdentity {
  readonly name: string
}

/** Where an offset is kept that is committed with a transaction. */
export interface MarkerPlace extends TopicPartition {
  readonly group: string
}

export interface Marker {
  readonly offset: number
  readonly metadata: string
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
  produce(
    brokerId: number,
    batches: readonly ProduceBatch[],
    transactionalId?: string,
  ): Promise<readonly ProducedPartition[]>
  /** Offsets of a group by partition id; a partition without one is left out. */
  committedOffsets(
    group: string,
    partitions: readonly TopicPartition[],
  ): Promise<ReadonlyMap<string, number>>
  /** Commits for a group that has no members. */
  commitOffsets(group: string, offsets: readonly GroupOffset[]): Promise<void>
  close(): Promise<void>
}

/** The same, with transactions. A transaction begins with the first partition or group that is added to it. */
export interface TransactionalClient extends KafkaClient {
  /**
   * A new identity for a transactional id: aborts what its former owners have left open, and fences them. `KAFKA_TIMEOUT_REFUSED` where
   * the broker allows no such time-out.
   */
  initTransactions(transactionalId: string, timeoutMs: number): Promise<ProducerIdentity>
  addPartitions(
    transaction: TransactionIdentity,
    partitions: readonly TopicPartition[],
  ): Promise<void>
  /** Writes a marker that is to be seen when the transaction is committed. */
  mark(transaction: TransactionIdentity, place: MarkerPlace, marker: Marker): Promise<void>
  /**
   * Ends a transaction, by whomever it was begun. Ending it the same way again is no error. Answers the identity for the next one of the
   * id, where the broker gives it; then nobody can write as the former any more. `KAFKA_TRANSACTION_LOST` where it cannot be
   * ended so: it has ended otherwise, or another owner has come.
   */
  endTransaction(
    transaction: TransactionIdentity,
    as: 'commit' | 'abort',
  ): Promise<ProducerIdentity | undefined>
  /** What became of the last transaction of an id; undefined where there was none, `'unsaid'` where the broker does not tell. */
  describeTransaction(transactionalId: string): Promise<TransactionState | 'unsaid' | undefined>
  /**
   * The marker that is visible, undefined where there is none; `'unstable'` where a transaction that holds one has not ended yet and
   * `isStable` asks for one that will not change by it.
   */
  marker(
    place: MarkerPlace,
    options: { readonly isStable: boolean },
  ): Promise<Marker | 'unstable' | undefined>
}
