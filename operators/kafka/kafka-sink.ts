/** The Kafka sink: records of a stream of inserts, appended to topics. */
import type { Sink } from '../../src/contract/sink.ts'
import { checkSinkOptions, sinkDetails } from './kafka-sink-options.ts'
import type { KafkaSinkOptions } from './kafka-sink-options.ts'
import { openKafkaWriter } from './kafka-writer.ts'
import { openKafkajsClient } from './kafkajs-client.ts'

/**
 * Appends the records to a Kafka topic, or to one chosen per record. Records of one subtask for one partition keep their order, also
 * when brokers fail in between; every record is acknowledged by all replicas in sync before its checkpoint is complete.
 *
 * Fails with `KAFKA_TOPIC_UNKNOWN`, `KAFKA_NOT_AUTHORIZED`, `KAFKA_FAILED` for a record that the topic refuses, `KAFKA_UNREACHABLE` once
 * brokers have not answered for a minute, `KEY_INVALID`, `PARTITION_OUT_OF_RANGE`, and `OPTION_INVALID` when the job is built.
 *
 * @example
 * kafkaSink({ brokers: ['localhost:9092'], topic: 'views-per-minute', value: json(), key: (row) => row.page })
 * @experimental
 */
export function kafkaSink<T>(options: KafkaSinkOptions<T>): Sink<T> {
  checkSinkOptions(options)
  return {
    type: 'kafka',
    details: sinkDetails(options),
    open: (context) => openKafkaWriter(context, options, openKafkajsClient(options)),
  }
}
