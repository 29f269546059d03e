/**
 * The sink's side of one subtask: encodes records, puts them into batches by partition, and has them sent in the background.
 *
 * Invariants
 *  - What was written before `prepare` is acknowledged by the brokers when its `durable` settles, in whatever order partitions
 *    are. Epochs settle in their order.
 *  - Bytes that are not acknowledged are counted; above `bufferBytesMax` there is no room.
 *  - Records of a topic that is not known yet wait, in their order, and are counted too.
 *  - After a failure nothing is taken any more and nothing is called durable.
 * `write` runs per record on the subtask's thread; it makes no promise and does no I/O.
 */
import { assert, EngineError, toEngineError } from '../../src/core/errors.ts'
import type { Format } from '../../src/contract/format.ts'
import type { PreparedEpoch, SinkContext, SinkWriter } from '../../src/contract/sink.ts'
import type { KafkaClient, ProducerIdentity } from './kafka-client.ts'
import { brokerCode, brokerError } from './kafka-errors.ts'
import { encodeKey } from './kafka-key.ts'
import { BUFFER_BYTES_MAX } from './kafka-sink-options.ts'
import type { KafkaSinkOptions } from './kafka-sink-options.ts'
import { partitionOfKey } from './murmur2.ts'
import { ProduceQueue } from './produce-queue.ts'
import type { OutgoingBatch, SinkEpoch } from './produce-queue.ts'
import type { RecordHeaders } from './record-batch-writer.ts'
import { RecordSender } from './record-sender.ts'
import { retrying } from './retrying.ts'

/** How often topics are asked whether they have got more partitions. */
const metadataEveryMs = 300_000

/** An epoch whose end is awaited. */
interface OpenEpoch extends SinkEpoch {
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
  readonly bytes: Uint8Array
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

/** Asks for what the first records need: a producer's identity, and the topic if it is always the same. */
export async function openKafkaWriter<T>(
  context: SinkContext,
  options: KafkaSinkOptions<T>,
  client: KafkaClient,
): Promise<SinkWriter> {
  try {
    const producer = await retrying(context, () => client.initProducer())
    const writer = new KafkaWriter(context, options, client, producer)
    if (typeof options.topic === 'string') await writer.loadTopic(options.topic)
    return writer
  } catch (error) {
    await client.close()
    throw error
  }
}

class KafkaWriter<T> implements SinkWriter {
  readonly #context: SinkContext
  readonly #options: KafkaSinkOptions<T>
  readonly #client: KafkaClient
  readonly #format: Format<T>
  readonly #sender: RecordSender
  readonly #topics = new Map<string, TopicState<T>>()
  readonly #bufferBytesMax: number
  readonly #refresh: NodeJS.Timeout
  readonly #epochs: OpenEpoch[]
  #epoch: OpenEpoch
  #bufferedBytes = 0
  #isFull = false
  #isWakeDue = false
  #failure: EngineError | undefined

  constructor(
    context: SinkContext,
    options: KafkaSinkOptions<T>,
    client: KafkaClient,
    producer: ProducerIdentity,
  ) {
    this.#context = context
    this.#options = options
    this.#client = client
    this.#format = options.value
    this.#bufferBytesMax = options.bufferBytesMax ?? BUFFER_BYTES_MAX
    this.#epoch = newEpoch()
    this.#epochs = [this.#epoch]
    this.#sender = new RecordSender(
      {
        client,
        compression: options.compression ?? 'none',
        clock: context.clock,
        logger: context.logger,
        acknowledged: (batch) => this.#acknowledged(batch),
        fail: (error) => this.#fail(error),
      },
      producer,
    )
    this.#refresh = setInterval(() => void this.#reloadTopics(), metadataEveryMs).unref()
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
    const key = options.key === undefined ? null : encodeKey(options.key(value))
    const bytes = this.#format.encode(value)
    const headers = options.headers?.(value)
    const eventTime = options.timestampMs === undefined ? timestampMs : options.timestampMs(value)
    const time = Math.trunc(Number.isFinite(eventTime) ? eventTime : this.#context.clock.now())
    const topic = this.#topicOf(
      typeof options.topic === 'string' ? options.topic : options.topic(value),
    )
    if (topic.queues === undefined) {
      epoch.unacknowledgedCount++
      if (topic.waiting.push({ value, epoch, timestampMs: time, key, bytes, headers }) === 1) {
        this.loadTopic(topic.name).catch((cause: unknown) => this.#fail(toEngineError(cause)))
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

  prepare(): PreparedEpoch {
    const durable = this.#endEpoch()
    return this.#options.guarantee === 'none' ? {} : { durable }
  }

  /** Sends what is left, unless the subtask has failed or is cancelled. */
  async close(): Promise<void> {
    const { signal } = this.#context
    try {
      if (this.#failure !== undefined || signal.aborted) return
      const aborted = new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
      await Promise.race([this.#endEpoch(), aborted])
    } finally {
      clearInterval(this.#refresh)
      await this.#sender.close()
    }
  }

  #endEpoch(): Promise<void> {
    const ended = this.#epoch
    ended.isEnded = true
    this.#epoch = newEpoch()
    this.#epochs.push(this.#epoch)
    if (this.#failure === undefined) this.#settleEpochs()
    else ended.reject(this.#failure)
    return ended.durable
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
      this.#sender.add(queue)
    }
    return queue
  }

  /** Has everything sent at the end of this turn of the event loop: what is written until then goes together. */
  #wakeLater(): void {
    this.#isWakeDue = true
    setImmediate(() => {
      this.#isWakeDue = false
      this.#sender.wake()
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

  #fail(error: EngineError): void {
    if (this.#failure !== undefined || this.#context.signal.aborted) return
    this.#failure = error
    for (const epoch of this.#epochs) epoch.reject(error)
    this.#context.fail(error)
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

function waitingBytes(value: Uint8Array, key: Uint8Array | null): number {
  return value.length + (key?.length ?? 0)
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

function newEpoch(): OpenEpoch {
  let settle: Pick<OpenEpoch, 'resolve' | 'reject'> | undefined
  const durable = new Promise<void>((resolve, reject) => (settle = { resolve, reject }))
  durable.catch(() => undefined) // whoever waits for it sees it; not everybody waits
  assert(settle !== undefined, 'a promise runs its executor at once')
  return { unacknowledgedCount: 0, isEnded: false, durable, ...settle }
}
