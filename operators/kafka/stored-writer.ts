/**
 * The exactly-once sink's side of one subtask, without open transactions: the records of an epoch are kept in the checkpoint.
 *
 *  1. `write` puts records into batches; nothing is sent.
 *  2. At barrier n the batches go into the snapshot.
 *  3. `commit` writes them and the marker n in one transaction.
 * After a restart the sink's coordinator does 3 for the epochs that the marker does not cover, under the id of the subtask that kept
 * them.
 *
 * Invariant: an epoch's bytes are bounded (`storedBytesMax`); more of them fail the job, since holding input back would hold back
 * the barrier that ends the epoch.
 */
import type {
  Committable,
  PreparedEpoch,
  SinkContext,
  SinkWriter,
} from '../../src/contract/sink.ts'
import { assert, EngineError } from '../../src/core/errors.ts'
import type { TransactionalClient } from './kafka-client.ts'
import { markerPlaceOf, toKafkaEpoch, transactionalIdOf } from './kafka-epoch.ts'
import type { StoredBatch, StoredEpoch } from './kafka-epoch.ts'
import { KafkaRecords } from './kafka-records.ts'
import type { DeliveryEvents, OpenEpoch, RecordDelivery } from './kafka-records.ts'
import type { ExactlyOnceSettings, KafkaSinkOptions } from './kafka-sink-options.ts'
import type { Compression } from './compression.ts'
import type { Timed } from './pause.ts'
import type { ProduceQueue } from './produce-queue.ts'
import { StoredOutput } from './stored-output.ts'
import { TransactionPool } from './transaction-pool.ts'

export async function openStoredWriter<T>(
  context: SinkContext & Timed,
  options: KafkaSinkOptions<T>,
  settings: ExactlyOnceSettings,
  client: TransactionalClient,
): Promise<SinkWriter> {
  const output = new StoredOutput(context, client)
  try {
    const { subtaskIndex } = context
    const pool = await TransactionPool.open({
      context,
      client,
      timeoutMs: settings.timeoutMs,
      ids: [transactionalIdOf(context, { subtaskIndex, index: 0 })],
    })
    const writer = new StoredWriter({ context, options, settings, client, output, pool })
    await writer.open()
    return writer
  } catch (error) {
    await output.close()
    throw error
  }
}

interface StoredWriterParts<T> {
  readonly context: SinkContext & Timed
  readonly options: KafkaSinkOptions<T>
  readonly settings: ExactlyOnceSettings
  readonly client: TransactionalClient
  readonly output: StoredOutput
  readonly pool: TransactionPool
}

class StoredWriter<T> implements SinkWriter {
  readonly #parts: StoredWriterParts<T>
  readonly #kept: KeptRecords
  readonly #records: KafkaRecords<T>

  constructor(parts: StoredWriterParts<T>) {
    const { context, options, client } = parts
    this.#parts = parts
    let kept: KeptRecords | undefined
    this.#records = new KafkaRecords({
      context,
      options,
      client,
      bufferBytesMax: Infinity,
      deliver: (events) => (kept = new KeptRecords(options.compression ?? 'none', events)),
    })
    assert(kept !== undefined, 'Records make their delivery at once')
    this.#kept = kept
  }

  async open(): Promise<void> {
    const { topic } = this.#parts.options
    if (typeof topic === 'string') await this.#records.loadTopic(topic)
  }

  write(value: T, timestampMs: number): void {
    this.#records.write(value, timestampMs)
    const { storedBytesMax } = this.#parts.settings
    if (this.#records.bufferedBytes <= storedBytesMax) return
    throw new EngineError(
      'OUTPUT_OVERFLOW',
      `The output of the Kafka sink since the last barrier is larger than storedBytesMax (${storedBytesMax}); take checkpoints more often, ` +
        `raise it, or use transactions: 'resumed', which keep output at the brokers`,
    )
  }

  prepare(checkpointId: number): PreparedEpoch {
    const { failure, epoch } = this.#records
    if (failure !== undefined) throw failure
    if (epoch.isEmpty) return {}
    const { context, settings } = this.#parts
    const { lineage, subtaskIndex } = context
    const batches: StoredBatch[] = []
    const committable: StoredEpoch = {
      kind: 'stored',
      lineage,
      checkpointId,
      marker: markerPlaceOf(context, subtaskIndex, settings.markerTopic),
      transactionalId: transactionalIdOf(context, { subtaskIndex, index: 0 }),
      batches,
    }
    const ended = this.#records.endEpoch()
    this.#kept.collect(ended, batches)
    return { committable, durable: ended.durable }
  }

  async commit({ data }: Committable): Promise<void> {
    const { pool, output } = this.#parts
    const epoch = toKafkaEpoch(data)
    assert(epoch.kind === 'stored', 'A writer commits what it has prepared')
    const identity = pool.take()
    assert(identity !== undefined, 'Commits come one after the other')
    await pool.release(identity.transactionalId, await output.write(epoch, identity))
  }

  async close(): Promise<void> {
    await this.#records.close()
    await this.#parts.output.close()
  }
}

/** Keeps records in their queues until their epoch has ended, and then takes them out. */
class KeptRecords implements RecordDelivery {
  readonly #compression: Compression
  readonly #events: DeliveryEvents
  readonly #queues: ProduceQueue[] = []
  /** Epochs that have ended; some of their records may still wait for what the cluster says of their topic. */
  readonly #ended: { readonly epoch: OpenEpoch; readonly batches: StoredBatch[] }[] = []

  constructor(compression: Compression, events: DeliveryEvents) {
    this.#compression = compression
    this.#events = events
  }

  add(queue: ProduceQueue): void {
    this.#queues.push(queue)
  }

  collect(epoch: OpenEpoch, batches: StoredBatch[]): void {
    this.#ended.push({ epoch, batches })
    this.wake()
  }

  wake(): void {
    for (let oldest = this.#ended[0]; oldest !== undefined; oldest = this.#ended[0]) {
      const { epoch, batches } = oldest
      for (const queue of this.#queues) {
        const { topic, partition } = queue
        for (const batch of queue.take(epoch)) {
          const { buffer, byteOffset, length } = batch.wire(this.#compression)
          const bytes = new Uint8Array(buffer, byteOffset, length)
          batches.push({ topic, partition, count: batch.count, bytes })
          this.#events.acknowledged(batch)
        }
      }
      if (epoch.unacknowledgedCount > 0) return
      this.#ended.shift()
    }
  }

  async close(): Promise<void> {}
}
