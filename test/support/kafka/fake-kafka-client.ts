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
  KafkaClient,
  OffsetAt,
  ProduceBatch,
  ProducedPartition,
  ProducerIdentity,
  TopicMetadata,
  TopicPartition,
} from '../../../operators/kafka/kafka-client.ts'
import { partitionId } from '../../../operators/kafka/kafka-client.ts'
import { RecordBatchWriter, stampBatch } from '../../../operators/kafka/record-batch-writer.ts'
import { batchLayout, RecordCursor } from '../../../operators/kafka/record-cursor.ts'

const noProducer = { producerId: -1n, epoch: -1 }

/** One partition. */
export class FakePartition {
  leader = 1
  earliest = 0
  latest = 0
  readonly batches: { readonly offset: number; readonly end: number; readonly bytes: Buffer }[] = []
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

  keep(bytes: Buffer, count: number): void {
    bytes.writeBigInt64BE(BigInt(this.latest), batchLayout.baseOffset)
    this.batches.push({ offset: this.latest, end: this.latest + count, bytes })
    this.latest += count
  }

  /** The text of every record. */
  values(): string[] {
    const values: string[] = []
    const cursor = new RecordCursor('fake')
    for (const { bytes, offset, end } of this.batches) {
      cursor.open({ bytes, fromOffset: offset, nextOffset: end, aborted: [] })
      while (cursor.next()) {
        const { body, valueStart, valueLength } = cursor
        values.push(Buffer.from(body.subarray(valueStart, valueStart + valueLength)).toString())
      }
    }
    return values
  }
}

export class FakeKafkaClient implements KafkaClient {
  readonly topics: Map<string, FakePartition[]> = new Map()
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
  ): Promise<readonly ProducedPartition[]> {
    await this.#called(`produce ${brokerId}`)
    return batches.map(({ topic, partition, bytes }) => {
      const fake = this.#partition(topic, partition)
      const copy = Buffer.from(bytes)
      const refusal = this.refusals.shift()
      const errorCode = refusal ?? (fake.leader === brokerId ? 0 : 6)
      const producerId = copy.readBigInt64BE(batchLayout.producerId)
      fake.sequences.push(`${producerId}:${copy.readInt32BE(batchLayout.sequence)}`)
      if (errorCode === 0) fake.keep(copy, copy.readInt32BE(batchLayout.recordCount))
      return { topic, partition, errorCode }
    })
  }

  async committedOffsets(group: string): Promise<ReadonlyMap<string, number>> {
    await this.#called(`committedOffsets ${group}`)
    return this.committed
  }

  async commitOffsets(group: string, offsets: readonly GroupOffset[]): Promise<void> {
    await this.#called(`commitOffsets ${group}`)
    for (const { topic, partition, offset } of offsets) {
      this.committed.set(partitionId(topic, partition), Number(offset))
    }
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
