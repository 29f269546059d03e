/**
 * Fetches records of a subtask's partitions in the background, ahead of the job, within a bound.
 *
 * Invariants
 *  - A partition holds at most its part of `bytesMax`, an equal one; full, it is left out of fetches until it has room. What is
 *    over it is at most one record batch per broker: a broker gives the first batch of an answer whole, however large.
 *  - Fetched records of a partition follow one another without gap or overlap, whatever broke in between: the next fetch
 *    begins where the last answer ended.
 *  - Nothing here decodes records or runs per record.
 */
import { toEngineError } from '../../src/core/errors.ts'
import type { EngineError } from '../../src/core/errors.ts'
import type { Logger } from '../../src/core/log.ts'
import type { Clock } from '../../src/core/time.ts'
import { BrokerLoops, RoutedPartition } from './broker-loops.ts'
import { partitionId } from './kafka-client.ts'
import type { FetchedPartition, Isolation, KafkaClient } from './kafka-client.ts'
import { brokerCode, brokerError } from './kafka-errors.ts'
import { offsetOutOfRange } from './offset-resolution.ts'
import { wholeBatches } from './record-cursor.ts'
import type { FetchedRecords } from './record-cursor.ts'

/** How long a broker waits for a first record while the job has nothing of it to read. */
const idleWaitMsMax = 500
/** The same while some partition of the broker is full: room in it must not wait for records of another one. */
const busyWaitMsMax = 10
/** A fetch asks for a quarter of a partition's part, so that three more are at hand while one is read. */
const fetchesPerPart = 4

export interface ReadAheadOptions {
  readonly client: KafkaClient
  readonly isolation: Isolation
  readonly bytesMax: number
  readonly clock: Clock
  readonly logger: Logger
  /** Records came for a partition that may have had none. */
  available(): void
  fail(error: EngineError): void
}

/** One partition's records on their way from the broker to the job. */
export class FetchedPartitionQueue extends RoutedPartition {
  /** Where the next fetch begins. */
  fetchOffset: number
  /** Nothing is fetched from here on. */
  readonly endOffset: number
  /** The turn in which it last stood first. */
  firstInTurn = 0
  bufferedBytes = 0
  readonly #fetched: FetchedRecords[] = []

  constructor(topic: string, partition: number, offset: number, endOffset: number) {
    super(topic, partition)
    this.fetchOffset = offset
    this.endOffset = endOffset
  }

  get isEmpty(): boolean {
    return this.#fetched.length === 0
  }

  push(fetched: FetchedRecords): void {
    this.#fetched.push(fetched)
    this.bufferedBytes += fetched.bytes.length
    this.fetchOffset = fetched.nextOffset
  }

  /** The oldest records, left in place. */
  peek(): FetchedRecords | undefined {
    return this.#fetched[0]
  }

  /** The oldest records were read to their end. */
  drop(): void {
    this.bufferedBytes -= this.#fetched.shift()?.bytes.length ?? 0
  }
}

interface RefusedQueue {
  readonly queue: FetchedPartitionQueue
  readonly errorCode: number
}

export class ReadAhead {
  readonly #options: ReadAheadOptions
  readonly #loops: BrokerLoops<FetchedPartitionQueue>
  #turnCount = 0

  constructor(options: ReadAheadOptions) {
    this.#options = options
    this.#loops = new BrokerLoops({
      ...options,
      turn: (brokerId, partitions) => this.#turn(brokerId, partitions),
    })
  }

  /** Bytes that were fetched and not read yet. */
  get bufferedBytes(): number {
    let bytes = 0
    for (const queue of this.#loops.partitions) bytes += queue.bufferedBytes
    return bytes
  }

  add(queue: FetchedPartitionQueue): void {
    if (queue.fetchOffset < queue.endOffset) this.#loops.add(queue)
  }

  remove(queue: FetchedPartitionQueue): void {
    this.#loops.remove(queue)
  }

  /** The oldest records of `queue` were read to their end: there is room again. */
  drop(queue: FetchedPartitionQueue): void {
    queue.drop()
    this.#loops.wake(queue)
  }

  async close(): Promise<void> {
    const ended = this.#loops.close()
    await this.#options.client.close()
    await ended
  }

  async #turn(brokerId: number, queues: readonly FetchedPartitionQueue[]): Promise<boolean> {
    const part = Math.floor(this.#options.bytesMax / this.#loops.partitions.size)
    const bytesMax = Math.max(1, Math.floor(part / fetchesPerPart))
    const unended = queues.filter(({ fetchOffset, endOffset }) => fetchOffset < endOffset)
    const wanted = unended.filter(
      ({ bufferedBytes }) => bufferedBytes === 0 || bufferedBytes + bytesMax <= part,
    )
    if (wanted.length === 0) return false
    const inTurn = this.#inTurn(wanted)
    try {
      const answer = await this.#options.client.fetch(brokerId, {
        isolation: this.#options.isolation,
        maxWaitMs: wanted.length < unended.length ? busyWaitMsMax : idleWaitMsMax,
        bytesMax: bytesMax * wanted.length,
        partitions: inTurn.map(({ topic, partition, fetchOffset }) => ({
          topic,
          partition,
          offset: fetchOffset,
          bytesMax,
        })),
      })
      await this.#take(answer, inTurn)
    } catch (cause) {
      this.#loops.lost(inTurn, toEngineError(cause))
    }
    return true
  }

  /** Whoever stands first is served even if its next batch is large: so that is who has not stood there for the longest. */
  #inTurn(queues: readonly FetchedPartitionQueue[]): readonly FetchedPartitionQueue[] {
    const inTurn = queues.toSorted((a, b) => a.firstInTurn - b.firstInTurn)
    const [first] = inTurn
    if (first !== undefined) first.firstInTurn = ++this.#turnCount
    return inTurn
  }

  async #take(
    answer: readonly FetchedPartition[],
    inTurn: readonly FetchedPartitionQueue[],
  ): Promise<void> {
    const queues = new Map(inTurn.map((queue) => [queue.id, queue]))
    // A queue that keeps its part of an answer would keep all of it in memory, so parts are copied out.
    const isShared = answer.filter(({ records }) => records.length > 0).length > 1
    const refused: RefusedQueue[] = []
    let hasRecords = false
    for (const { topic, partition, errorCode, records, aborted } of answer) {
      const queue = queues.get(partitionId(topic, partition))
      if (queue === undefined || !this.#loops.partitions.has(queue)) continue
      if (errorCode !== brokerCode.none) {
        refused.push({ queue, errorCode })
        continue
      }
      const whole = wholeBatches(records)
      const hasProgress = whole !== undefined && whole.nextOffset > queue.fetchOffset
      if (records.length > 0 && !hasProgress && queue === inTurn[0]) {
        refused.push({ queue, errorCode: brokerCode.corruptMessage }) // who stands first gets a whole batch
        continue
      }
      queue.backOff.succeeded()
      if (!hasProgress) continue
      const bytes = records.subarray(0, whole.bytesCount)
      queue.push({
        bytes: isShared ? bytes.slice() : bytes,
        fromOffset: queue.fetchOffset,
        nextOffset: whole.nextOffset,
        aborted,
      })
      hasRecords = true
    }
    if (hasRecords) this.#options.available()
    for (const { queue, errorCode } of refused) {
      this.#loops.lost([queue], await this.#errorOf(queue, errorCode))
    }
  }

  /** Tells a position that is gone from one that a new leader does not know yet. */
  async #errorOf(queue: FetchedPartitionQueue, errorCode: number): Promise<EngineError> {
    const offset = queue.fetchOffset
    const what = `Reading ${queue.id} at offset ${offset}`
    if (errorCode !== brokerCode.offsetOutOfRange) return brokerError(errorCode, what)
    const { client } = this.#options
    const earliest = (await client.offsets([queue], 'earliest', 'read_uncommitted')).get(queue.id)
    const latest = (await client.offsets([queue], 'latest', 'read_uncommitted')).get(queue.id)
    if (
      earliest === undefined ||
      latest === undefined ||
      (offset >= earliest && offset <= latest)
    ) {
      return brokerError(brokerCode.offsetNotAvailable, what)
    }
    return offsetOutOfRange(queue.id, offset, { earliest, latest })
  }
}
