/**
 * A Kafka cluster in memory behind `KafkaClient`, for tests that need no broker: answers at once, keeps real record batches,
 * and fails as it is told to. Offsets of a partition are counted in records.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { EngineError } from '../../../src/core/errors.ts'
import type {
  FetchedPartition,
  FetchRequest,
  GroupOffset,
  Marker,
  MarkerPlace,
  OffsetAt,
  ProduceBatch,
  ProducedPartition,
  ProducerIdentity,
  TopicMetadata,
  TopicPartition,
  TransactionalClient,
  TransactionIdentity,
  TransactionState,
} from '../../../operators/kafka/kafka-client.ts'
import { partitionId } from '../../../operators/kafka/kafka-client.ts'
import { RecordBatchWriter, stampBatch } from '../../../operators/kafka/record-batch-writer.ts'
import { batchLayout, RecordCursor } from '../../../operators/kafka/record-cursor.ts'

function lostTransaction(what: string): EngineError {
  return new EngineError('KAFKA_TRANSACTION_LOST', `The ${what} was refused`)
}

const noProducer = { producerId: -1n, epoch: -1 }

interface FakeBatch {
  readonly offset: number
  readonly end: number
  readonly bytes: Buffer
  readonly transaction: FakeTransaction | undefined
}

/** The last transaction of a transactional id. */
export interface FakeTransaction {
  readonly transactionalId: string
  readonly producerId: bigint
  readonly epoch: number
  /** `PrepareCommit`: it is decided, and nobody sees it yet. */
  state: 'Empty' | 'Ongoing' | 'PrepareCommit' | 'CompleteCommit' | 'CompleteAbort'
  readonly partitions: Set<string>
  readonly markers: { readonly place: MarkerPlace; readonly marker: Marker }[]
}

/** One partition. */
export class FakePartition {
  leader = 1
  earliest = 0
  latest = 0
  readonly batches: FakeBatch[] = []
  /** Sequence numbers of the batches that were written by a client, with the producer's id. */
  readonly sequences: string[] = []

  /** The end of a transaction. */
  appendMarker(): void {
    const controlOfTransaction = 0x30
    this.append(['marker'], controlOfTransaction)
  }

  append(values: readonly string[], attributes: number = 0): void {
    const writer = new RecordBatchWriter()
    for (const value of values) writer.append(1000, null, Buffer.from(value), undefined)
    const bytes = Buffer.from(writer.finish('none'))
    bytes.writeInt16BE(attributes, batchLayout.attributes)
    stampBatch(bytes, noProducer, -1)
    this.keep(bytes, values.length)
  }

  keep(bytes: Buffer, count: number, transaction?: FakeTransaction): void {
    bytes.writeBigInt64BE(BigInt(this.latest), batchLayout.baseOffset)
    this.batches.push({ offset: this.latest, end: this.latest + count, bytes, transaction })
    this.latest += count
  }

  /** The text of every record that was not aborted and is in no open transaction. */
  values(): string[] {
    return this.records().map(({ value }) => value ?? '')
  }

  /** The same with their keys; the value of a tombstone is null. */
  records(): { readonly key: string | null; readonly value: string | null }[] {
    const values: { readonly key: string | null; readonly value: string | null }[] = []
    const cursor = new RecordCursor('fake')
    for (const { bytes, offset, end, transaction } of this.batches) {
      if ((transaction?.state ?? 'CompleteCommit') !== 'CompleteCommit') continue
      cursor.open({ bytes, fromOffset: offset, nextOffset: end, aborted: [] })
      while (cursor.next()) {
        const { body, keyStart, keyLength, valueStart, valueLength } = cursor
        values.push({
          key: keyLength < 0 ? null : textAt(body, keyStart, keyLength),
          value: valueLength < 0 ? null : textAt(body, valueStart, valueLength),
        })
      }
    }
    return values
  }
}

export class FakeKafkaClient implements TransactionalClient {
  readonly topics: Map<string, FakePartition[]> = new Map()
  /** By transactional id. */
  readonly transactions: Map<string, FakeTransaction> = new Map()
  /** Visible markers, by group. */
  readonly markers: Map<string, Marker> = new Map()
  /** Whether the end of a transaction changes its epoch. */
  bumpsEpoch = true
  /** Whether it is told what became of a transaction. */
  describes = true
  readonly committed: Map<string, number> = new Map()
  /** Offsets that `timestampMs` stands for, by partition id. */
  readonly atTime: Map<string, number> = new Map()
  /** Names of calls, in their order. */
  readonly calls: string[] = []
  readonly fetches: FetchRequest[] = []
  /** Thrown by the next calls of this name, one each. */
  readonly failures: { readonly call: string; readonly error: EngineError }[] = []
  /** Answered by the next fetches or writes of any partition, one each. */
  readonly refusals: number[] = []
  producerCount = 0
  isClosed = false

  addTopic(topic: string, partitionCount: number): FakePartition[] {
    const partitions = Array.from({ length: partitionCount }, () => new FakePartition())
    this.topics.set(topic, partitions)
    return partitions
  }

  async metadata(topics?: readonly string[]): Promise<readonly TopicMetadata[]> {
    await this.#called('metadata')
    return (topics ?? [...this.topics.keys()]).map((topic) => {
      const partitions = this.topics.get(topic)
      return {
        topic,
        errorCode: partitions === undefined ? 3 : 0,
        isInternal: topic.startsWith('__'),
        leaders: (partitions ?? []).map(({ leader }) => leader),
      }
    })
  }

  async offsets(
    partitions: readonly TopicPartition[],
    at: OffsetAt,
  ): Promise<ReadonlyMap<string, number>> {
    await this.#called(`offsets ${typeof at === 'string' ? at : at.timestampMs}`)
    const offsets = new Map<string, number>()
    for (const { topic, partition } of partitions) {
      const id = partitionId(topic, partition)
      const fake = this.#partition(topic, partition)
      const offset =
        at === 'earliest' ? fake.earliest : at === 'latest' ? fake.latest : this.atTime.get(id)
      if (offset !== undefined) offsets.set(id, offset)
    }
    return offsets
  }

  /** One batch of each partition, at most; of all but the first only what fits. */
  async fetch(brokerId: number, request: FetchRequest): Promise<readonly FetchedPartition[]> {
    await this.#called(`fetch ${brokerId}`)
    this.fetches.push(request)
    let hasRecords = false
    const answer = request.partitions.map(({ topic, partition, offset, bytesMax }) => {
      const place = { topic, partition, aborted: [] }
      const none = new Uint8Array(0)
      const refusal = this.refusals.shift()
      if (refusal !== undefined) return { ...place, errorCode: refusal, records: none }
      const fake = this.#partition(topic, partition)
      if (fake.leader !== brokerId) return { ...place, errorCode: 6, records: none }
      if (offset < fake.earliest || offset > fake.latest) {
        return { ...place, errorCode: 1, records: none }
      }
      const batch = fake.batches.find(({ end }) => end > offset)
      const bytes = batch === undefined ? none : new Uint8Array(batch.bytes)
      const records = hasRecords ? bytes.subarray(0, bytesMax) : bytes
      hasRecords ||= records.length > 0
      return { ...place, errorCode: 0, records }
    })
    if (!hasRecords) await sleep(Math.min(request.maxWaitMs, 5))
    return answer
  }

  async initProducer(): Promise<ProducerIdentity> {
    await this.#called('initProducer')
    return { producerId: BigInt(++this.producerCount), epoch: 0 }
  }

  async produce(
    brokerId: number,
    batches: readonly ProduceBatch[],
    transactionalId?: string,
  ): Promise<readonly ProducedPartition[]> {
    await this.#called(`produce ${brokerId}`)
    const transaction =
      transactionalId === undefined ? undefined : this.transactions.get(transactionalId)
    return batches.map(({ topic, partition, bytes }) => {
      const fake = this.#partition(topic, partition)
      const copy = Buffer.from(bytes)
      const refusal = this.refusals.shift()
      const errorCode = refusal ?? (fake.leader === brokerId ? 0 : 6)
      const producerId = copy.readBigInt64BE(batchLayout.producerId)
      fake.sequences.push(`${producerId}:${copy.readInt32BE(batchLayout.sequence)}`)
      if (transaction !== undefined) {
        const isOwn =
          transaction.producerId === producerId &&
          transaction.epoch === copy.readInt16BE(batchLayout.producerEpoch)
        if (!isOwn) return { topic, partition, errorCode: 47 }
        if (!transaction.partitions.has(partitionId(topic, partition))) {
          return { topic, partition, errorCode: 48 }
        }
      }
      const baseOffset = fake.latest
      if (errorCode === 0) fake.keep(copy, copy.readInt32BE(batchLayout.recordCount), transaction)
      return { topic, partition, errorCode, baseOffset }
    })
  }

  async committedOffsets(group: string): Promise<ReadonlyMap<string, number>> {
    await this.#called(`committedOffsets ${group}`)
    return this.committed
  }

  async commitOffsets(group: string, offsets: readonly GroupOffset[]): Promise<void> {
    await this.#called(`commitOffsets ${group}`)
    for (const { topic, partition, offset, metadata } of offsets) {
      this.committed.set(partitionId(topic, partition), Number(offset))
      if (metadata !== undefined) this.markers.set(group, { offset: Number(offset), metadata })
    }
  }

  async initTransactions(transactionalId: string): Promise<ProducerIdentity> {
    await this.#called(`initTransactions ${transactionalId}`)
    const former = this.transactions.get(transactionalId)
    if (former?.state === 'Ongoing') former.state = 'CompleteAbort'
    const identity =
      former === undefined
        ? { producerId: BigInt(++this.producerCount), epoch: 0 }
        : { producerId: former.producerId, epoch: former.epoch + 1 }
    this.#begin(transactionalId, identity)
    return identity
  }

  async addPartitions(
    identity: TransactionIdentity,
    partitions: readonly TopicPartition[],
  ): Promise<void> {
    await this.#called(`addPartitions ${identity.transactionalId}`)
    const transaction = this.#ongoing(identity)
    for (const { topic, partition } of partitions) {
      transaction.partitions.add(partitionId(topic, partition))
    }
  }

  async mark(identity: TransactionIdentity, place: MarkerPlace, marker: Marker): Promise<void> {
    await this.#called(`mark ${place.group} ${marker.offset}`)
    this.#ongoing(identity).markers.push({ place, marker })
  }

  async endTransaction(
    identity: TransactionIdentity,
    as: 'commit' | 'abort',
  ): Promise<ProducerIdentity | undefined> {
    const { transactionalId } = identity
    await this.#called(`${as} ${transactionalId}`)
    const last = this.transactions.get(transactionalId)
    if (!this.#isOf(last, identity) || last.state === 'Empty' || last.state === 'CompleteAbort') {
      throw lostTransaction(as)
    }
    last.state = as === 'commit' ? 'CompleteCommit' : 'CompleteAbort'
    if (as === 'commit') {
      for (const { place, marker } of last.markers) this.markers.set(place.group, marker)
    }
    if (!this.bumpsEpoch) return undefined
    return { producerId: last.producerId, epoch: last.epoch + 1 }
  }

  async describeTransaction(
    transactionalId: string,
  ): Promise<TransactionState | 'unsaid' | undefined> {
    await this.#called(`describe ${transactionalId}`)
    if (!this.describes) return 'unsaid'
    const last = this.transactions.get(transactionalId)
    if (last === undefined) return undefined
    const isRaised = this.bumpsEpoch && last.state === 'PrepareCommit'
    return {
      name: last.state,
      producerId: last.producerId,
      epoch: last.epoch + (isRaised ? 1 : 0),
    }
  }

  async marker({ group }: MarkerPlace): Promise<Marker | undefined> {
    await this.#called(`marker ${group}`)
    return this.markers.get(group)
  }

  /** The broker aborts a transaction by itself. */
  timeOut(transactionalId: string): void {
    const last = this.transactions.get(transactionalId)
    if (last?.state !== 'Ongoing') throw new Error(`${transactionalId} has nothing open`)
    last.state = 'CompleteAbort'
    this.#begin(transactionalId, { producerId: last.producerId, epoch: last.epoch + 1 })
  }

  #begin(transactionalId: string, identity: ProducerIdentity): FakeTransaction {
    const transaction: FakeTransaction = {
      transactionalId,
      ...identity,
      state: 'Empty',
      partitions: new Set(),
      markers: [],
    }
    this.transactions.set(transactionalId, transaction)
    return transaction
  }

  /** The transaction of this identity, which begins if it has not. */
  #ongoing(identity: TransactionIdentity): FakeTransaction {
    const { transactionalId, producerId, epoch } = identity
    const last = this.transactions.get(transactionalId)
    const isNext = this.bumpsEpoch && last !== undefined && last.state === 'CompleteCommit'
    if (isNext && last.producerId === producerId && last.epoch + 1 === epoch) {
      const next = this.#begin(transactionalId, identity)
      next.state = 'Ongoing'
      return next
    }
    if (!this.#isOf(last, identity) || !['Empty', 'Ongoing'].includes(last.state)) {
      throw lostTransaction('write')
    }
    last.state = 'Ongoing'
    return last
  }

  #isOf(
    last: FakeTransaction | undefined,
    { producerId, epoch }: TransactionIdentity,
  ): last is FakeTransaction {
    return last?.producerId === producerId && last.epoch === epoch
  }

  async close(): Promise<void> {
    this.isClosed = true
  }

  async #called(call: string): Promise<void> {
    if (this.isClosed) throw new EngineError('KAFKA_FAILED', 'closed', { retryable: false })
    this.calls.push(call)
    await new Promise(setImmediate)
    const name = call.split(' ')[0]
    const index = this.failures.findIndex((failure) => failure.call === name)
    const [failure] = index < 0 ? [] : this.failures.splice(index, 1)
    if (failure !== undefined) throw failure.error
  }

  #partition(topic: string, partition: number): FakePartition {
    const fake = this.topics.get(topic)?.[partition]
    if (fake === undefined) throw new Error(`The fake has no ${topic}-${partition}`)
    return fake
  }
}

function textAt(bytes: Uint8Array, start: number, length: number): string {
  return Buffer.from(bytes.subarray(start, start + length)).toString()
}
