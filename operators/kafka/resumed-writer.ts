/**
 * The exactly-once sink's side of one subtask, with a transaction for each epoch that stays open at the brokers until its checkpoint is
 * complete, also over a crash.
 *
 *  1. The first record after a barrier takes an id of the pool; records are written to its transaction as they come.
 *  2. At barrier n, when all are acknowledged, the marker n is written in the same transaction. Then the epoch is durable; the
 *     snapshot has the identity by which it is ended.
 *  3. `commit` ends the transaction: records and marker become visible at once. Its id is ready again.
 * After a restart the sink's coordinator does 3 for what the checkpoint names, and aborts all else (kafka-sink-coordinator.ts).
 *
 * Invariants
 *  - Markers of a subtask are written in the order of their epochs: the broker keeps the one that was written last.
 *  - An epoch is durable only when all before it are.
 *  - A barrier ends an epoch only if an id is ready for the next one, a savepoint's if also for the one after; else it is declined and
 *    the epoch goes on.
 *  - An epoch without records has no transaction, unless the marker is so old that the broker may forget it.
 */
import type {
  Committable,
  PreparedEpoch,
  SinkContext,
  SinkWriter,
} from '../../src/contract/sink.ts'
import { assert, EngineError, toEngineError } from '../../src/core/errors.ts'
import { EpochTransaction } from './epoch-transaction.ts'
import type { WrittenRange } from './epoch-transaction.ts'
import type { MarkerPlace, TransactionalClient } from './kafka-client.ts'
import { markerPlaceOf, toKafkaEpoch, transactionalIdOf } from './kafka-epoch.ts'
import type { ResumedEpoch } from './kafka-epoch.ts'
import { KafkaRecords } from './kafka-records.ts'
import type { ExactlyOnceSettings, KafkaSinkOptions } from './kafka-sink-options.ts'
import { atMost } from './pause.ts'
import type { Timed } from './pause.ts'
import { RecordSender } from './record-sender.ts'
import { retrying } from './retrying.ts'
import { TransactionPool } from './transaction-pool.ts'

/** Offsets of a group without members are kept for offsets.retention.minutes: a week, unless it was made shorter. */
const markerRefreshMs = 24 * 60 * 60 * 1000
/** How long `close` waits for the broker to abort what no checkpoint names. */
const abortMsMax = 2000

export async function openResumedWriter<T>(
  context: SinkContext & Timed,
  options: KafkaSinkOptions<T>,
  settings: ExactlyOnceSettings,
  client: TransactionalClient,
): Promise<SinkWriter> {
  try {
    const writer = new ResumedWriter(context, options, settings, client)
    await writer.open()
    return writer
  } catch (error) {
    await client.close()
    throw error
  }
}

class ResumedWriter<T> implements SinkWriter {
  readonly #context: SinkContext & Timed
  readonly #options: KafkaSinkOptions<T>
  readonly #settings: ExactlyOnceSettings
  readonly #client: TransactionalClient
  readonly #records: KafkaRecords<T>
  readonly #place: MarkerPlace
  #pool: TransactionPool | undefined
  #markedMs = -Infinity
  /** Settles when all epochs so far are durable. */
  #durable: Promise<void> = Promise.resolve()

  constructor(
    context: SinkContext & Timed,
    options: KafkaSinkOptions<T>,
    settings: ExactlyOnceSettings,
    client: TransactionalClient,
  ) {
    this.#context = context
    this.#options = options
    this.#settings = settings
    this.#client = client
    this.#place = markerPlaceOf(context, context.subtaskIndex, settings.markerTopic)
    this.#records = new KafkaRecords({
      context,
      options,
      client,
      begin: () => this.#begin(),
      deliver: (events) =>
        new RecordSender({
          client,
          compression: options.compression ?? 'none',
          clock: context.clock,
          timers: context.timers,
          logger: context.logger,
          ...events,
        }),
    })
  }

  async open(): Promise<void> {
    const { subtaskIndex } = this.#context
    const { poolSize, timeoutMs } = this.#settings
    this.#pool = await TransactionPool.open({
      context: this.#context,
      client: this.#client,
      timeoutMs,
      ids: Array.from({ length: poolSize }, (_, index) =>
        transactionalIdOf(this.#context, { subtaskIndex, index }),
      ),
    })
    const { topic } = this.#options
    if (typeof topic === 'string') await this.#records.loadTopic(topic)
  }

  write(value: T, timestampMs: number): void {
    this.#records.write(value, timestampMs)
  }

  hasRoom(): boolean {
    return this.#records.hasRoom()
  }

  prepare(checkpointId: number, kind: 'checkpoint' | 'savepoint'): PreparedEpoch {
    const { failure } = this.#records
    if (failure !== undefined) throw failure
    const now = this.#context.clock.now()
    const isMarkerDue = now - this.#markedMs >= markerRefreshMs
    if (this.#records.epoch.isEmpty && !isMarkerDue) return { durable: this.#durable }
    // after a savepoint there is one for the checkpoint that commits it
    const idsNeeded = (this.#records.epoch.isEmpty ? 2 : 1) + (kind === 'savepoint' ? 1 : 0)
    if (this.#ready.readyCount < idsNeeded) return { durable: Promise.reject(this.#usedUp()) }
    this.#records.begin()
    this.#markedMs = now
    const ended = this.#records.endEpoch()
    const { transaction } = ended
    assert(transaction !== undefined, 'An epoch that has begun has a transaction')
    const ranges: WrittenRange[] = []
    const { lineage } = this.#context
    const marker = this.#place
    const committable: ResumedEpoch = {
      kind: 'resumed',
      lineage,
      checkpointId,
      marker,
      transaction: transaction.identity,
      ranges,
    }
    const former = this.#durable
    const durable = ended.durable.then(async () => {
      await former
      await retrying(this.#context, () =>
        this.#client.mark(transaction.identity, marker, {
          offset: checkpointId,
          metadata: lineage,
        }),
      )
      ranges.push(...transaction.ranges)
    })
    // no epoch after it can be durable either
    durable.catch((cause: unknown) => this.#records.fail(toEngineError(cause)))
    this.#durable = durable
    return { committable, durable }
  }

  async commit({ data }: Committable): Promise<void> {
    const epoch = toKafkaEpoch(data)
    assert(epoch.kind === 'resumed', 'A writer commits what it has prepared')
    const { transaction } = epoch
    const next = await retrying(this.#context, () =>
      this.#client.endTransaction(transaction, 'commit'),
    )
    // confirmed when the id is ready again, so that confirmed epochs never keep a checkpoint from ids
    await this.#ready.release(transaction.transactionalId, next)
  }

  /** Has the transaction aborted that no checkpoint names, so that it holds up no reader. The others are ended by the next run. */
  async close(): Promise<void> {
    const { transaction } = this.#records.epoch
    if (transaction !== undefined) {
      // what cannot be aborted now is by the next run, or by its time-out
      const aborted = this.#client.endTransaction(transaction.identity, 'abort').then(
        () => undefined,
        () => undefined,
      )
      await atMost(this.#context, abortMsMax, aborted)
    }
    await this.#records.close()
  }

  get #ready(): TransactionPool {
    assert(this.#pool !== undefined, 'The writer is open')
    return this.#pool
  }

  #begin(): EpochTransaction {
    const identity = this.#ready.take()
    assert(identity !== undefined, 'A barrier leaves an id for the next epoch')
    return new EpochTransaction(identity)
  }

  #usedUp(): EngineError {
    const { jobName: job, operatorUid, subtaskIndex } = this.#context
    return new EngineError(
      'CHECKPOINT_FAILED',
      `All ${this.#settings.poolSize} transactional ids of the Kafka sink are in use: so many epochs wait to be committed. Commits are slow, ` +
        `checkpoints or savepoints follow each other without one that completes; take savepoints less often, or raise poolSize`,
    ).at({ job, operatorUid, subtaskIndex })
  }
}
