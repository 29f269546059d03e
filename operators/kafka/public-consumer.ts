/**
 * Fetches partitions through kafkajs' public consumer, which knows no fetch of its own choosing: it is the only member of a group of its
 * own, so it is given all partitions, and only those are not paused that somebody waits for.
 *
 *  1. `fetch` begins with a partition at the offset it is asked for, unless that is where the last answer ended.
 *  2. What comes for a partition is kept and the partition is paused, until `fetch` has handed it out.
 *  3. Whenever the group is joined anew, all is paused and every partition is sought again: kafkajs forgets both.
 *
 * Invariants
 *  - Records of a partition are handed out without gap or overlap, by their offsets: what comes from elsewhere is dropped, and a gap counts as
 *    one only if the records were not deleted.
 *  - No offsets are committed.
 */
import { randomUUID } from 'node:crypto'
import type { Consumer, EachBatchPayload, Kafka, KafkaMessage } from 'kafkajs'
import { partitionId } from './kafka-client.ts'
import type {
  FetchedPartition,
  FetchRequest,
  Isolation,
  OffsetAt,
  TopicPartition,
} from './kafka-client.ts'
import { brokerCode } from './kafka-errors.ts'
import { RecordBatchWriter, rebase, stampBatch } from './record-batch-writer.ts'

const bytesMaxPerPartition = 1024 * 1024
const fetchWaitMs = 100

export interface PublicConsumerContext {
  readonly kafka: Kafka
  readonly isolation: Isolation
  /** How many partitions a topic has. */
  partitionCount(topic: string): number
  offsets(partitions: readonly TopicPartition[], at: OffsetAt): Promise<ReadonlyMap<string, number>>
}

/** A partition that is fetched. */
interface Position {
  readonly topic: string
  readonly partition: number
  /** Of the next record that is to come. */
  nextOffset: number
  /** Behind what was handed out. */
  givenOffset: number
  bytes: Uint8Array | undefined
  isOutOfRange: boolean
}

export class PublicConsumer {
  readonly #context: PublicConsumerContext
  readonly #positions = new Map<string, Position>()
  readonly #waiting = new Set<() => void>()
  #running: { readonly consumer: Consumer; readonly topics: ReadonlySet<string> } | undefined
  #starting: Promise<void> | undefined
  #crash: Error | undefined
  #isClosed = false

  constructor(context: PublicConsumerContext) {
    this.#context = context
  }

  async fetch(request: FetchRequest): Promise<readonly FetchedPartition[]> {
    try {
      return await this.#fetch(request)
    } catch (error) {
      await this.#stop() // the next attempt begins with a consumer of its own
      throw error
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#arrived()
    await this.#stop()
  }

  async #fetch({ partitions, maxWaitMs }: FetchRequest): Promise<readonly FetchedPartition[]> {
    await this.#start(new Set(partitions.map(({ topic }) => topic)))
    const positions: Position[] = []
    for (const wanted of partitions) positions.push(await this.#position(wanted))
    const isReady = (): boolean =>
      positions.some(({ bytes, isOutOfRange }) => bytes !== undefined || isOutOfRange)
    if (!isReady()) {
      this.#throwCrash()
      this.#resume(positions)
      await this.#arrival(maxWaitMs)
    }
    this.#throwCrash()
    return positions.map((position) => {
      const { topic, partition, bytes = new Uint8Array(0), isOutOfRange } = position
      position.bytes = undefined
      position.givenOffset = position.nextOffset
      position.isOutOfRange = false
      const errorCode = isOutOfRange ? brokerCode.offsetOutOfRange : brokerCode.none
      return { topic, partition, errorCode, records: bytes, aborted: [] }
    })
  }

  #throwCrash(): void {
    if (this.#crash !== undefined) throw this.#crash
  }

  /** The partition at the offset that is asked for. */
  async #position({
    topic,
    partition,
    offset,
  }: TopicPartition & { readonly offset: number }): Promise<Position> {
    const id = partitionId(topic, partition)
    const known = this.#positions.get(id)
    if (known !== undefined && known.givenOffset === offset) return known
    const position: Position = {
      topic,
      partition,
      nextOffset: offset,
      givenOffset: offset,
      bytes: undefined,
      isOutOfRange: false,
    }
    const low = (await this.#context.offsets([position], 'earliest')).get(id) ?? 0
    const high = (await this.#context.offsets([position], 'latest')).get(id) ?? Infinity
    position.isOutOfRange = offset < low || offset > high
    this.#positions.set(id, position)
    this.#running?.consumer.seek({ topic, partition, offset: String(offset) })
    return position
  }

  #resume(positions: readonly Position[]): void {
    const paused = positions.map(({ topic, partition }) => ({ topic, partitions: [partition] }))
    this.#running?.consumer.resume(paused)
  }

  async #arrival(waitMs: number): Promise<void> {
    if (this.#isClosed || this.#crash !== undefined) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#waiting.delete(done)
        resolve()
      }
      const timer = setTimeout(done, waitMs)
      this.#waiting.add(done)
    })
  }

  #arrived(): void {
    for (const resume of this.#waiting) resume()
  }

  /** A consumer of these topics, and of those before. */
  async #start(topics: ReadonlySet<string>): Promise<void> {
    for (;;) {
      await this.#starting
      const running = this.#running
      if (this.#isClosed || [...topics].every((topic) => running?.topics.has(topic))) return
      this.#starting ??= this.#restart(topics).finally(() => (this.#starting = undefined))
    }
  }

  async #restart(topics: ReadonlySet<string>): Promise<void> {
    const all = new Set([...(this.#running?.topics ?? []), ...topics])
    await this.#stop()
    const consumer = this.#context.kafka.consumer({
      groupId: `millrace-${randomUUID()}`,
      readUncommitted: this.#context.isolation === 'read_uncommitted',
      maxBytesPerPartition: bytesMaxPerPartition,
      maxWaitTimeInMs: fetchWaitMs,
      allowAutoTopicCreation: false,
      retry: { retries: 5, initialRetryTime: 50, restartOnFailure: async () => false }, // whoever fetches tries again
    })
    this.#running = { consumer, topics: all }
    consumer.on('consumer.group_join', () => this.#joined(consumer))
    consumer.on('consumer.crash', ({ payload }) => {
      if (this.#running?.consumer !== consumer) return
      this.#crash = payload.error
      this.#arrived()
    })
    // batches without a record for the reader (markers, aborted records) are told of in no other way
    consumer.on('consumer.end_batch_process', ({ payload }) => {
      const { topic, partition, batchSize, lastOffset } = payload
      const position = this.#positions.get(partitionId(topic, partition))
      if (batchSize > 0 || position === undefined) return
      this.#add(position, [], Number(lastOffset) + 1)
    })
    try {
      await consumer.connect()
      await consumer.subscribe({ topics: [...all], fromBeginning: true })
      await consumer.run({
        autoCommit: false,
        partitionsConsumedConcurrently: 4,
        eachBatch: (payload) => this.#take(payload),
      })
    } catch (error) {
      await this.#stop()
      throw error
    }
  }

  async #stop(): Promise<void> {
    const consumer = this.#running?.consumer
    this.#running = undefined
    this.#crash = undefined
    // one that is not connected any more needs no farewell
    await consumer?.disconnect().catch(() => undefined)
  }

  #joined(consumer: Consumer): void {
    const topics = this.#running?.consumer === consumer ? this.#running.topics : []
    for (const topic of topics) {
      const partitions = Array.from({ length: this.#context.partitionCount(topic) }, (_, i) => i)
      consumer.pause([{ topic, partitions }])
    }
    for (const { topic, partition, nextOffset } of this.#positions.values()) {
      consumer.seek({ topic, partition, offset: String(nextOffset) })
    }
  }

  async #take(payload: EachBatchPayload): Promise<void> {
    const { batch } = payload
    payload.pause()
    const id = partitionId(batch.topic, batch.partition)
    const position = this.#positions.get(id)
    if (position === undefined) return
    const first = Number(batch.firstOffset() ?? position.nextOffset)
    if (first > position.nextOffset) {
      const low = (await this.#context.offsets([position], 'earliest')).get(id) ?? 0
      if (low > position.nextOffset) {
        position.isOutOfRange = true
        this.#arrived()
        return
      }
    }
    this.#add(position, batch.messages, Number(batch.lastOffset()) + 1)
  }

  /** `messages`: all there are up to `nextOffset`. */
  #add(position: Position, messages: readonly KafkaMessage[], nextOffset: number): void {
    if (nextOffset <= position.nextOffset) return // from before a seek
    const fresh = messages.filter(({ offset }) => Number(offset) >= position.nextOffset)
    const batches = recordBatches(fresh, position.nextOffset, nextOffset)
    position.bytes =
      position.bytes === undefined ? batches : Buffer.concat([position.bytes, batches])
    position.nextOffset = nextOffset
    this.#arrived()
  }
}

/** The records as a broker has them in its log: a batch for each run of offsets, and one without records where they end before `endOffset`. */
export function recordBatches(
  messages: readonly KafkaMessage[],
  fromOffset: number,
  endOffset: number,
): Buffer {
  const batches: Buffer[] = []
  let writer = new RecordBatchWriter()
  let first = fromOffset
  let next = fromOffset
  const finish = (): void => {
    if (writer.count > 0) batches.push(finished(writer, first, next - 1))
    writer = new RecordBatchWriter()
  }
  for (const { offset, timestamp, key, value, headers } of messages) {
    if (Number(offset) !== next) finish()
    if (writer.count === 0) first = Number(offset)
    writer.append(Number(timestamp), key, value, lastValues(headers))
    next = Number(offset) + 1
  }
  finish()
  if (next < endOffset) batches.push(finished(new RecordBatchWriter(), next, endOffset - 1))
  return Buffer.concat(batches)
}

function finished(writer: RecordBatchWriter, firstOffset: number, lastOffset: number): Buffer {
  const batch = writer.finish('none')
  rebase(batch, firstOffset, lastOffset)
  stampBatch(batch, { producerId: -1n, epoch: -1 }, -1)
  return batch
}

/** A name that comes twice has its last value; a null value is no bytes. */
function lastValues(headers: KafkaMessage['headers']): Record<string, string | Uint8Array> {
  const values = Object.entries(headers ?? {}).map(([name, value]) => {
    const last = Array.isArray(value) ? value.at(-1) : value
    return [name, last ?? new Uint8Array(0)] as const
  })
  return Object.fromEntries(values)
}
