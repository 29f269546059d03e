/**
 * The sink's side of one subtask, without transactions: what was written before `prepare` is acknowledged by the brokers when its
 * `durable` settles. After a crash records since the last checkpoint are written again.
 */
import type { PreparedEpoch, SinkContext, SinkWriter } from '../../src/contract/sink.ts'
import type { TransactionalClient } from './kafka-client.ts'
import { KafkaRecords } from './kafka-records.ts'
import type { KafkaSinkOptions } from './kafka-sink-options.ts'
import type { Timed } from './pause.ts'
import { RecordSender } from './record-sender.ts'
import { retrying } from './retrying.ts'

/**
 * Asks for what the first records need: a producer's identity, and the topic if it is always the same. `waits`: whether checkpoints wait
 * for the brokers.
 */
export async function openKafkaWriter<T>(
  context: SinkContext & Timed,
  options: KafkaSinkOptions<T>,
  client: TransactionalClient,
  waits: boolean = true,
): Promise<SinkWriter> {
  try {
    const producer = await retrying(context, () => client.initProducer())
    const records = new KafkaRecords({
      context,
      options,
      client,
      deliver: (events) =>
        new RecordSender(
          {
            client,
            compression: options.compression ?? 'none',
            clock: context.clock,
            timers: context.timers,
            logger: context.logger,
            ...events,
          },
          producer,
        ),
    })
    if (typeof options.topic === 'string') await records.loadTopic(options.topic)
    return new KafkaWriter(context, records, waits)
  } catch (error) {
    await client.close()
    throw error
  }
}

class KafkaWriter<T> implements SinkWriter {
  readonly #context: SinkContext
  readonly #records: KafkaRecords<T>
  readonly #waits: boolean

  constructor(context: SinkContext, records: KafkaRecords<T>, waits: boolean) {
    this.#context = context
    this.#records = records
    this.#waits = waits
  }

  write(value: T, timestampMs: number): void {
    this.#records.write(value, timestampMs)
  }

  hasRoom(): boolean {
    return this.#records.hasRoom()
  }

  prepare(): PreparedEpoch {
    const { durable } = this.#records.endEpoch()
    return this.#waits ? { durable } : {}
  }

  /** Sends what is left, unless the subtask has failed or is cancelled. */
  async close(): Promise<void> {
    const { signal } = this.#context
    try {
      if (this.#records.failure !== undefined || signal.aborted) return
      const aborted = new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
      await Promise.race([this.#records.endEpoch().durable, aborted])
    } finally {
      await this.#records.close()
    }
  }
}
