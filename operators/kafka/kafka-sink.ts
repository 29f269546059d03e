/** The Kafka sink: records of a stream of inserts, appended to topics. */
import type { Sink } from '../../src/contract/sink.ts'
import type { Logger } from '../../src/core/log.ts'
import type { KafkaConnection } from './kafka-connection.ts'
import { KafkaSinkCoordinator } from './kafka-sink-coordinator.ts'
import { checkSinkOptions, guaranteeOf, sinkDetails } from './kafka-sink-options.ts'
import type { KafkaOutputOptions, KafkaSinkOptions } from './kafka-sink-options.ts'
import { openKafkaWriter } from './kafka-writer.ts'
import type { TransactionalClient } from './kafka-client.ts'
import { checkTransactions, openKafkajsClient } from './kafkajs-client.ts'
import type { Timed } from './pause.ts'
import { openResumedWriter } from './resumed-writer.ts'
import { openStoredWriter } from './stored-writer.ts'

/**
 * Appends the records to a Kafka topic, or to one chosen per record. Records of one subtask for one partition keep their order, also
 * when brokers fail in between. In a job that takes checkpoints they become visible when their checkpoint completes, each once, to
 * readers that read committed records (`isolation.level=read_committed`); see `KafkaGuarantee`.
 *
 * Fails with `KAFKA_TOPIC_UNKNOWN`, `KAFKA_NOT_AUTHORIZED`, `KAFKA_FAILED` for a record that the topic refuses, `KAFKA_UNREACHABLE` once
 * brokers have not answered for a minute, `KAFKA_TRANSACTION_LOST`, `KAFKA_TIMEOUT_REFUSED`, `KAFKA_CLIENT_LIMITED`, `KEY_INVALID`, `PARTITION_OUT_OF_RANGE`, and
 * `OPTION_INVALID` when the job is built.
 *
 * @example
 * kafkaSink({ brokers: ['localhost:9092'], topic: 'views-per-minute', value: json(), key: (row) => row.page })
 * @experimental
 */
export function kafkaSink<T>(options: KafkaSinkOptions<T>): Sink<T> {
  return kafkaSinkOver(options, kafkajsGround(options))
}

/** The client of a cluster. */
export function kafkajsGround(connection: KafkaConnection): KafkaSinkGround {
  return { openClient: (logger) => openKafkajsClient(connection, logger), checkTransactions }
}

/** What the sink stands on. */
export interface KafkaSinkGround extends Timed {
  readonly openClient: (logger: Logger) => TransactionalClient
  /** Throws where clients have no transactions. Default: they have. */
  readonly checkTransactions?: () => void
}

/** The same over other clients and timers. */
export function kafkaSinkOver<T>(
  options: KafkaOutputOptions<T>,
  { openClient, checkTransactions: check, timers }: KafkaSinkGround,
): Sink<T> {
  checkSinkOptions(options)
  return {
    type: 'kafka',
    details: sinkDetails(options),
    coordinator(context) {
      const guarantee = guaranteeOf(options, context)
      if (typeof guarantee !== 'string') check?.()
      return new KafkaSinkCoordinator(
        { ...context, timers },
        {
          settings: typeof guarantee === 'string' ? undefined : guarantee,
          openClient: () => openClient(context.logger),
        },
      )
    },
    async open(given) {
      const context = { ...given, timers }
      await options.value.openEncoder?.()
      const guarantee = guaranteeOf(options, context)
      const client = openClient(context.logger)
      if (typeof guarantee === 'string') {
        return openKafkaWriter(context, options, client, guarantee === 'at-least-once')
      }
      return guarantee.transactions === 'resumed'
        ? openResumedWriter(context, options, guarantee, client)
        : openStoredWriter(context, options, guarantee, client)
    },
  }
}
