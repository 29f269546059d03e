/**
 * Background work on partitions, by the brokers that lead them: one loop per broker, each with one request under way. The
 * source fetches with it, the sink writes.
 *
 *  1. A partition without a leader waits for its time (`retryAtMs`); then its topic's metadata is asked for.
 *  2. The loop of its leader takes it up: `turn` is called with all partitions of the broker, one call after the other.
 *  3. When nothing can be done, `turn` says so, and the loop sleeps until `wake`.
 *  4. What fails loses its leader (`lost`) and begins again at 1, later each time, until its patience ends: then all fails.
 *
 * Invariants
 *  - A partition is handed to one turn at a time.
 *  - Neither `add`, `wake` nor `lost` waits, and nothing here is done per record.
 *  - After `close` or a failure no turn begins; `close` waits for those that have begun.
 */
import { toEngineError } from '../../src/core/errors.ts'
import type { EngineError } from '../../src/core/errors.ts'
import type { Logger } from '../../src/core/log.ts'
import type { Clock } from '../../src/core/time.ts'
import { BackOff } from './back-off.ts'
import { partitionId } from './kafka-client.ts'
import type { KafkaClient, TopicMetadata } from './kafka-client.ts'
import { brokerCode, brokerError } from './kafka-errors.ts'
import { pause } from './pause.ts'
import type { Timed } from './pause.ts'

const noLeader = -1

/** A partition with its place in the work; what is done with it is added by a subclass. */
export class RoutedPartition {
  readonly topic: string
  readonly partition: number
  readonly id: string
  /** The broker that leads it, or -1. */
  leader: number = noLeader
  /** By `Clock.elapsed`: not to be tried before. */
  retryAtMs: number = -Infinity
  readonly backOff: BackOff = new BackOff()

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
    this.id = partitionId(topic, partition)
  }
}

export interface BrokerLoopsContext<P extends RoutedPartition> extends Timed {
  readonly client: KafkaClient
  readonly clock: Clock
  readonly logger: Logger
  /**
   * One request; false where there was nothing to do. Partitions that it failed for are given to `lost`; a rejection is a
   * mistake of ours.
   */
  turn(brokerId: number, partitions: readonly P[]): Promise<boolean>
  /** Called once, when patience ends. */
  fail(error: EngineError): void
}

interface Loop {
  readonly ended: Promise<void>
  isWoken: boolean
  resume: (() => void) | undefined
}

export class BrokerLoops<P extends RoutedPartition> {
  readonly #context: BrokerLoopsContext<P>
  readonly #partitions = new Set<P>()
  readonly #loops = new Map<number, Loop>()
  readonly #stop = new AbortController()
  #routing: Promise<void> | undefined

  constructor(context: BrokerLoopsContext<P>) {
    this.#context = context
  }

  get partitions(): ReadonlySet<P> {
    return this.#partitions
  }

  add(partition: P): void {
    this.#partitions.add(partition)
    this.#route()
  }

  remove(partition: P): void {
    this.#partitions.delete(partition)
    this.wake(partition)
  }

  /** There is something to do for `partition`. */
  wake(partition: P): void {
    const loop = this.#loops.get(partition.leader)
    if (loop !== undefined) resume(loop)
  }

  /** `partitions` failed with `error`, all in one request. */
  lost(partitions: readonly P[], error: EngineError): void {
    const { clock, logger } = this.#context
    const now = clock.elapsed()
    let loggedDelayMs: number | undefined
    for (const partition of partitions) {
      if (!this.#partitions.has(partition)) continue
      partition.leader = noLeader
      const delayMs = partition.backOff.failed(now, error)
      if (delayMs === undefined) return this.#fail(error)
      partition.retryAtMs = now + delayMs
      if (partition.backOff.isNoteworthy) loggedDelayMs = delayMs
    }
    if (loggedDelayMs !== undefined && !this.#stop.signal.aborted) {
      logger.warn(`${error.message}; trying again`, {
        delayMs: loggedDelayMs,
        partitions: partitions.map(({ id }) => id).join(', '),
      })
    }
    this.#route()
  }

  async close(): Promise<void> {
    this.#stop.abort()
    for (const loop of this.#loops.values()) resume(loop)
    await Promise.all([...this.#loops.values()].map(({ ended }) => ended))
    await this.#routing
  }

  /** Finds leaders until every partition has one. */
  #route(): void {
    if (this.#stop.signal.aborted) return
    this.#routing ??= this.#findLeaders()
  }

  async #findLeaders(): Promise<void> {
    const { client, clock } = this.#context
    const { signal } = this.#stop
    await Promise.resolve() // whoever adds many partitions at once has them asked for in one request
    for (;;) {
      const lost = [...this.#partitions].filter(({ leader }) => leader === noLeader)
      if (lost.length === 0 || signal.aborted) {
        this.#routing = undefined // at once: who is lost from now on begins anew
        return
      }
      const now = clock.elapsed()
      const due = lost.filter(({ retryAtMs }) => retryAtMs <= now)
      if (due.length === 0) {
        const delayMs = Math.min(...lost.map(({ retryAtMs }) => retryAtMs)) - now
        await pause(this.#context, delayMs, signal).catch(() => undefined) // aborted: seen above
        continue
      }
      try {
        const topics = await client.metadata([...new Set(due.map(({ topic }) => topic))])
        const found = new Map(topics.map((topic) => [topic.topic, topic]))
        for (const partition of due) this.#assign(partition, found.get(partition.topic))
      } catch (cause) {
        this.lost(due, toEngineError(cause))
      }
    }
  }

  #assign(partition: P, topic: TopicMetadata | undefined): void {
    const { unknownTopicOrPartition, leaderNotAvailable } = brokerCode
    const leader = topic?.leaders[partition.partition]
    if (leader === undefined || leader < 0) {
      const withoutLeader = leader === undefined ? unknownTopicOrPartition : leaderNotAvailable
      const code = topic?.errorCode || withoutLeader
      this.lost([partition], brokerError(code, `Finding the leader of ${partition.id}`))
      return
    }
    partition.leader = leader
    const loop = this.#loops.get(leader)
    if (loop !== undefined) return resume(loop)
    const fresh = { isWoken: false, resume: undefined, ended: this.#run(leader) }
    this.#loops.set(leader, fresh)
  }

  async #run(brokerId: number): Promise<void> {
    await Promise.resolve() // until the loop is in the table
    for (;;) {
      const loop = this.#loops.get(brokerId)
      const partitions = [...this.#partitions].filter(({ leader }) => leader === brokerId)
      if (loop === undefined || partitions.length === 0 || this.#stop.signal.aborted) break
      loop.isWoken = false
      try {
        const hasWorked = await this.#context.turn(brokerId, partitions)
        if (!hasWorked && !loop.isWoken) await new Promise<void>((done) => (loop.resume = done))
      } catch (cause) {
        this.#fail(toEngineError(cause))
      }
    }
    this.#loops.delete(brokerId)
  }

  #fail(error: EngineError): void {
    if (this.#stop.signal.aborted) return
    this.#stop.abort()
    for (const loop of this.#loops.values()) resume(loop)
    this.#context.fail(error)
  }
}

function resume(loop: Loop): void {
  loop.isWoken = true
  loop.resume?.()
  loop.resume = undefined
}
