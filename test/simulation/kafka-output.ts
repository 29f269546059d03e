/**
 * The output of a simulated job that writes to Kafka: the engine's own sink over simulated brokers, and what readers of committed
 * records see of it.
 *
 * A row counts from the moment at which its transaction ends in its partition. What is visible stays: when the job goes back to a
 * savepoint, what came after it comes again (docs/protocol.md 5); those rows are set aside, and everything after the savepoint must be there
 * once more, once.
 */
import { text } from 'millrace'
import type { Sink } from 'millrace'
import type { OnPartialCommit } from '../../src/checkpoint/lost-output.ts'
import type { EngineError } from '../../src/core/errors.ts'
import { kafkaSinkOver } from '../../operators/kafka/kafka-sink.ts'
import type { EndedPart } from './kafka-model/cluster-model.ts'
import { valuesOf } from './kafka-model/partition-log.ts'
import { OutputStore } from './output-store.ts'
import type { VisibleEpoch } from './output-store.ts'
import { SimulatedKafka } from './simulated-kafka.ts'
import type { OutputRow } from './workload.ts'
import type { Owner, World } from './world.ts'

interface KafkaEpoch extends VisibleEpoch {
  /** The line of checkpoints, by the order in which they began. */
  readonly line: number
}

/** What was given up when the job went back: the rest of a line after a checkpoint, and the lines from there up to then. */
interface Rewind {
  readonly line: number
  readonly checkpointId: number
  readonly lineCount: number
}

export class KafkaOutput {
  readonly kafka: SimulatedKafka
  readonly store: OutputStore<KafkaEpoch>
  readonly timeoutMs: number
  /** In the order in which they began. */
  readonly lines: string[] = []
  readonly #world: World
  readonly #mode: 'resumed' | 'stored'
  readonly #poolSize: number
  readonly #partitionCount: number
  readonly #rewinds: Rewind[] = []
  /** Checkpoints of which something was aborted that a marker had been written for, and those of which something was committed. */
  readonly #aborted = new Set<string>()
  readonly #committed = new Set<string>()
  /** What was in transactions that were aborted although a marker had been written in them. */
  readonly #abortedRows: OutputRow[] = []
  #decision: OnPartialCommit = 'fail'

  constructor(
    world: World,
    topics: readonly string[],
    expected: readonly OutputRow[],
    exactlyOnce: boolean,
  ) {
    const { random } = world
    this.#world = world
    this.#mode = random.pick(['resumed', 'stored'])
    this.#poolSize = random.pick([3, 3, 4])
    this.#partitionCount = random.between(1, 3)
    this.timeoutMs = random.pick([60_000, 60_000, 2000])
    const version = random.pick([0, 2] as const)
    this.kafka = new SimulatedKafka(world, {
      version,
      describes: version === 2 || random.chance(0.6),
      brokerCount: random.between(1, 3),
      troubleRate: random.pick([0, 0, 0.01, 0.05]),
      endMsMax: random.pick([0, 3, 50, 900]),
    })
    this.store = new OutputStore(expected, { exactlyOnce })
    for (const topic of topics) this.kafka.cluster.addTopic(topic, this.#partitionCount)
    this.kafka.cluster.onEnded = (part) => this.#ended(part)
    this.kafka.cluster.onMarkerEnded = ({ metadata, offset }, end) => {
      const name = `${this.lines.indexOf(metadata)}/${offset}`
      ;(end === 'commit' ? this.#committed : this.#aborted).add(name)
    }
  }

  set onLostEnd(told: () => void) {
    this.kafka.onLostEnd = told
  }

  sink(topic: string, owner: Owner): Sink<OutputRow> {
    return kafkaSinkOver<OutputRow>(
      {
        brokers: ['simulated:9092'],
        topic,
        value: text(),
        key: (row) => row,
        guarantee: {
          kind: 'exactly-once',
          transactions: this.#mode,
          timeout: `${this.timeoutMs}ms`,
          poolSize: this.#poolSize,
        },
      },
      {
        openClient: () => this.kafka.openClient(owner),
        timers: this.#world.scheduler(owner),
      },
    )
  }

  /** The job has gone back to a savepoint. */
  rewind(lineage: string, checkpointId: number): void {
    const rewind = { line: this.lines.indexOf(lineage), checkpointId, lineCount: this.lines.length }
    this.#rewinds.push(rewind)
    this.store.forget((epoch) => isGivenUp(epoch, rewind))
  }

  /** What the user has decided about output that is lost in part. */
  get decision(): OnPartialCommit {
    return this.#decision
  }

  /** The user decides, after the job has stopped with this error; false where he has done so before, or leaves it so. */
  decides({ code }: EngineError): boolean {
    if (this.#decision !== 'fail' || this.#world.random.chance(0.3)) return false
    const canGoBack = code === 'OUTPUT_PARTLY_COMMITTED'
    this.#decision =
      canGoBack && this.#world.random.chance(0.5) ? 'accept-duplicates' : 'accept-loss'
    if (this.#decision === 'accept-loss') this.store.excuse(this.#abortedRows)
    else this.store.allowDuplicates()
    return true
  }

  /** Whether the job stops, as it must, since output is lost in part. */
  isStop({ code, message }: EngineError): boolean {
    if (code !== 'OUTPUT_PARTLY_COMMITTED' && code !== 'OUTPUT_LOST') return false
    const isPartly = [...this.#aborted].some((name) => this.#committed.has(name))
    if (code === 'OUTPUT_LOST' ? this.#aborted.size > 0 : isPartly) return true
    throw new Error(
      `The job stops since output is lost in part, and there is no such output: ${message}`,
    )
  }

  /** A job that has ended well leaves nothing that holds up a reader. */
  async settle(): Promise<void> {
    const world = this.#world
    // a job that went on in another directory knows nothing of what was open beside its savepoint
    const isForked = this.#rewinds.length > 0
    await world.passTime(world.nowMs + (isForked ? this.timeoutMs * 2 : 10_000))
    while (world.pendingCount > 0) await world.happen()
    await world.passTime(world.nowMs + 10_000)
    while (world.pendingCount > 0) await world.happen()
    for (const [topic, partitions] of this.kafka.cluster.topics) {
      for (const [partition, log] of partitions.entries()) {
        if (log.stableOffset === log.endOffset) continue
        throw new Error(
          `The job has ended and holds up readers of ${topic}-${partition} at ${log.stableOffset} of ${log.endOffset}`,
        )
      }
    }
  }

  #ended({ topic, partition, producerId, end, entries }: EndedPart): void {
    const [first] = entries
    if (first === undefined) return
    const marker = this.kafka.cluster.markers.get(`${producerId}/${first.epoch}`)
    if (marker === undefined) {
      if (end === 'commit')
        this.store.wrong ??= `Records of ${topic} were committed without a marker`
      return
    }
    const epoch: KafkaEpoch = {
      line: this.lines.indexOf(marker.metadata),
      checkpointId: marker.offset,
      rows: entries.flatMap(valuesOf),
    }
    if (end === 'abort') {
      this.#abortedRows.push(...epoch.rows)
      if (this.#decision === 'accept-loss') this.store.excuse(epoch.rows)
    }
    if (end === 'abort' || this.#rewinds.some((rewind) => isGivenUp(epoch, rewind))) return
    this.store.apply(`${topic}-${partition}/${first.baseOffset}`, epoch)
  }
}

function isGivenUp(
  { line, checkpointId }: KafkaEpoch,
  { line: rewoundLine, checkpointId: rewoundId, lineCount }: Rewind,
): boolean {
  if (line === rewoundLine) return checkpointId > rewoundId
  return line > rewoundLine && line < lineCount
}
