/**
 * The records of one subtask of a sink, whatever it guarantees: encodes them, puts them into batches by partition, and has them
 * delivered in the background.
 *
 * Invariants
 *  - An epoch is durable when its batches are delivered, in whatever order partitions are. Epochs settle in their order.
 *  - Bytes that are not acknowledged are counted; above `bufferBytesMax` there is no room.
 *  - Records of a topic that is not known yet wait, in their order, and are counted too.
 *  - After a failure nothing is taken any more and nothing is called durable.
 * `write` runs per record on the subtask's thread; it makes no promise and does no I/O.
 */
import { assert, EngineError, toEngineError } from '../../src/core/errors.ts'
import type { Format } from '../../src/contract/format.ts'
import type { SinkContext } from '../../src/contract/sink.ts'
import type { EpochTransaction } from './epoch-transaction.ts'
import type { KafkaClient } from './kafka-client.ts'
import { brokerCode, brokerError } from './kafka-errors.ts'
import { encodeKey } from './kafka-key.ts'
import { BUFFER_BYTES_MAX } from './kafka-sink-options.ts'
import type { KafkaOutputOptions } from './kafka-sink-options.ts'
import { partitionOfKey } from './murmur2.ts'
import type { Timed } from './pause.ts'
import { ProduceQueue } from './produce-queue.ts'
import type { OutgoingBatch, SinkEpoch } from './produce-queue.ts'
import type { RecordHeaders } from './record-batch-writer.ts'
import { retrying } from './retrying.ts'

/** How often topics that are written to are asked whether they have got more partitions. */
const metadataEveryMs = 300_000

/** An epoch whose end is awaited. */
export interface OpenEpoch extends SinkEpoch {
  readonly number: number
  transaction: EpochTransaction | undefined
  isEmpty: boolean
  isEnded: boolean
  readonly durable: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

interface WaitingRecord<T> {
  readonly value: T
  readonly epoch: SinkEpoch
  readonly timestampMs: number
  readonly key: Uint8Array | null
  readonly bytes: Uint8Array | null
  readonly headers: RecordHeaders | undefined
}

interface TopicState<T> {
  readonly name: string
  /** By partition, made when first written to; undefined until the cluster has said how many there are. */
  queues: (ProduceQueue | undefined)[] | undefined
  readonly waiting: WaitingRecord<T>[]
  /** Where records without a key go until a batch is full. */
  sticky: number
}

/** Takes the batches from the queues. */
export interface RecordDelivery {
  add(queue: ProduceQueue): void
  /** There is something in a queue. */
  wake(): void
  close(): Promise<void>
}

export interface DeliveryEvents {
  /** The oldest batch of a queue is out of it. */
  acknowledged(batch: OutgoingBatch): void
  fail(error: EngineError): void
}

export interface KafkaRecordsParts<T> {
  readonly context: SinkContext & Timed
  readonly options: KafkaOutputOptions<T>
  readonly client: KafkaClient
  readonly deliver: (events: DeliveryEvents) => RecordDelivery
  /** The transaction of an epoch that begins. */
  readonly begin?: () => EpochTransaction
  /** Default: the option, or its default. */
  readonly bufferBytesMax?: number
}

export class KafkaRecords<T> {
  readonly #context: SinkContext & Timed
  readonly #options: KafkaOutputOptions<T>
  readonly #client: KafkaClient
  readonly #format: Format<T>
  readonly #delivery: RecordDelivery
  readonly #begin: (() => EpochTransaction) | undefined
  readonly #topics = new Map<string, TopicState<T>>()
  readonly #bufferBytesMax: number
  #refreshedMs: number
  readonly #epochs: OpenEpoch[]
  #epoch: OpenEpoch
  #bufferedBytes = 0
  #isFull = false
  #isWakeDue = false
  #failure: EngineError | undefined

  constructor(parts: KafkaRecordsParts<T>) {
    const { context, options, client } = parts
    this.#context = context
    this.#options = options
    this.#client = client
    this.#format = options.value
    this.#bufferBytesMax = parts.bufferBytesMax ?? options.bufferBytesMax ?? BUFFER_BYTES_MAX
    this.#begin = parts.begin
    this.#epoch = newEpoch(0)
    this.#epochs = [this.#epoch]
    this.#delivery = parts.deliver({
      acknowledged: (batch) => this.#acknowledged(batch),
      fail: (error) => this.fail(error),
    })
    this.#refreshedMs = context.clock.elapsed()
  }

  /** The records since the last barrier. */
  get epoch(): OpenEpoch {
    return this.#epoch
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes
  }

  get failure(): EngineError | undefined {
    return this.#failure
  }

  /** Asks how many partitions a topic has. */
  async loadTopic(name: string): Promise<void> {
    const topic = this.#topicOf(name)
    const partitionCount = await retrying(this.#context, async () => {
      const [found] = await this.#client.metadata([name])
      const errorCode = found?.errorCode ?? brokerCode.unknownTopicOrPartition
      if (found !== undefined && errorCode === brokerCode.none) return found.leaders.length
      throw brokerError(errorCode, `Writing to the topic '${name}'`)
    })
    topic.queues = Array.from({ length: partitionCount }, () => undefined)
    for (const { value, epoch, timestampMs, key, bytes, headers } of topic.waiting.splice(0)) {
      this.#bufferedBytes -= waitingBytes(bytes, key)
      const queue = this.#queueOf(topic, topic.queues, value, key, epoch)
      this.#bufferedBytes += queue.append(epoch, timestampMs, key, bytes, headers)
    }
    this.#wakeLater()
  }

  write(value: T, timestampMs: number): void {
    if (this.#failure !== undefined) throw this.#failure
    const options = this.#options
    const epoch = this.#epoch
    if (epoch.isEmpty) this.begin()
    const key = options.key === undefined ? null : encodeKey(options.key(value))
    const bytes = options.isTombstone?.(value) === true ? null : this.#format.encode(value)
    const headers = options.headers?.(value)
    const eventTime = options.timestampMs === undefined ? timestampMs : options.timestampMs(value)
    const time = Math.trunc(Number.isFinite(eventTime) ? eventTime : this.#context.clock.now())
    const topic = this.#topicOf(
      typeof options.topic === 'string' ? options.topic : options.topic(value),
    )
    if (topic.queues === undefined) {
      epoch.unacknowledgedCount++
      if (topic.waiting.push({ value, epoch, timestampMs: time, key, bytes, headers }) === 1) {
        this.loadTopic(topic.name).catch((cause: unknown) => this.fail(toEngineError(cause)))
      }
      this.#bufferedBytes += waitingBytes(bytes, key)
      return
    }
    const queue = this.#queueOf(topic, topic.queues, value, key, epoch)
    this.#bufferedBytes += queue.append(epoch, time, key, bytes, headers)
    epoch.unacknowledgedCount++
    if (!this.#isWakeDue) this.#wakeLater()
  }

  hasRoom(): boolean {
    this.#isFull = this.#bufferedBytes >= this.#bufferBytesMax
    return !this.#isFull
  }

  /** Begins the epoch, if no record has. */
  begin(): void {
    const epoch = this.#epoch
    if (!epoch.isEmpty) return
    epoch.isEmpty = false
    if (this.#begin !== undefined) epoch.transaction = this.#begin()
  }

  /** The barrier: the epoch with its end, which settles when all its records are out of the queues. */
  endEpoch(): OpenEpoch {
    const ended = this.#epoch
    ended.isEnded = true
    this.#epoch = newEpoch(ended.number + 1)
    this.#epochs.push(this.#epoch)
    if (this.#failure === undefined) this.#settleEpochs()
    else ended.reject(this.#failure)
    return ended
  }

  /** Nothing is taken any more, and nothing is durable. The first failure counts. */
  fail(error: EngineError): void {
    if (this.#failure !== undefined || this.#context.signal.aborted) return
    this.#failure = error
    for (const epoch of this.#epochs) epoch.reject(error)
    this.#context.fail(error)
  }

  async close(): Promise<void> {
    await this.#delivery.close()
  }

  #topicOf(name: string): TopicState<T> {
    let topic = this.#topics.get(name)
    if (topic === undefined) {
      // Subtasks begin with different partitions.
      topic = { name, queues: undefined, waiting: [], sticky: this.#context.subtaskIndex - 1 }
      this.#topics.set(name, topic)
    }
    return topic
  }

  #queueOf(
    topic: TopicState<T>,
    queues: (ProduceQueue | undefined)[],
    value: T,
    key: Uint8Array | null,
    epoch: SinkEpoch,
  ): ProduceQueue {
    const { partition: partitionOf } = this.#options
    const partition =
      partitionOf !== undefined
        ? checkPartition(partitionOf(value, queues.length), queues.length, topic.name)
        : key !== null
          ? partitionOfKey(key, queues.length)
          : stickyPartition(topic, queues, epoch)
    let queue = queues[partition]
    if (queue === undefined) {
      queue = new ProduceQueue(topic.name, partition)
      queues[partition] = queue
      this.#delivery.add(queue)
    }
    return queue
  }

  /** Has everything sent at the end of this turn of the event loop: what is written until then goes together. */
  #wakeLater(): void {
    this.#isWakeDue = true
    setImmediate(() => {
      this.#isWakeDue = false
      this.#delivery.wake()
      const now = this.#context.clock.elapsed()
      if (now - this.#refreshedMs < metadataEveryMs) return
      this.#refreshedMs = now
      void this.#reloadTopics()
    })
  }

  #acknowledged(batch: OutgoingBatch): void {
    batch.epoch.unacknowledgedCount -= batch.count
    this.#bufferedBytes -= batch.bytes
    this.#settleEpochs()
    if (this.#isFull && this.#bufferedBytes < this.#bufferBytesMax) {
      this.#isFull = false
      this.#context.mailbox.submit(() => undefined) // wakes the subtask: there is room
    }
  }

  #settleEpochs(): void {
    for (;;) {
      const oldest = this.#epochs[0]
      if (oldest === undefined || !oldest.isEnded || oldest.unacknowledgedCount > 0) return
      this.#epochs.shift()
      oldest.resolve()
    }
  }

  /** Topics may get more partitions. Never rejects: what is known stays good. */
  async #reloadTopics(): Promise<void> {
    const known = [...this.#topics.values()].filter(({ queues }) => queues !== undefined)
    if (known.length === 0) return
    try {
      const found = await this.#client.metadata(known.map(({ name }) => name))
      for (const { topic, leaders } of found) {
        const queues = this.#topics.get(topic)?.queues
        while (queues !== undefined && queues.length < leaders.length) queues.push(undefined)
      }
    } catch (cause) {
      this.#context.logger.warn(`Topics were not asked for new partitions: ${String(cause)}`)
    }
  }
}

function waitingBytes(value: Uint8Array | null, key: Uint8Array | null): number {
  return (value?.length ?? 0) + (key?.length ?? 0)
}

/** The next partition whenever a batch is begun, so that batches are large and partitions get their share. */
function stickyPartition<T>(
  topic: TopicState<T>,
  queues: readonly (ProduceQueue | undefined)[],
  epoch: SinkEpoch,
): number {
  if (queues[topic.sticky]?.isFilling(epoch) !== true) {
    topic.sticky = (topic.sticky + 1) % queues.length
  }
  return topic.sticky
}

function checkPartition(partition: number, partitionCount: number, topic: string): number {
  if (Number.isInteger(partition) && partition >= 0 && partition < partitionCount) return partition
  throw new EngineError(
    'PARTITION_OUT_OF_RANGE',
    `The partition function of the Kafka sink returned ${partition} for the topic '${topic}', which has partitions 0 to ${partitionCount - 1}`,
  )
}

function newEpoch(number: number): OpenEpoch {
  let settle: Pick<OpenEpoch, 'resolve' | 'reject'> | undefined
  const durable = new Promise<void>((resolve, reject) => (settle = { resolve, reject }))
  durable.catch(() => undefined) // whoever waits for it sees it; not everybody waits
  assert(settle !== undefined, 'a promise runs its executor at once')
  return {
    number,
    unacknowledgedCount: 0,
    transaction: undefined,
    isEmpty: true,
    isEnded: false,
    durable,
    ...settle,
  }
}
