/** The Kafka sources: values of records, or whole records. One split per partition, assigned by the engine. */
import type { Source } from '../../src/contract/source.ts'
import { kafkaEnumerator } from './kafka-enumerator.ts'
import { kafkaReader, recordDecoder, valueDecoder } from './kafka-reader.ts'
import type { RecordDecoder } from './kafka-reader.ts'
import type { KafkaRecord } from './kafka-record.ts'
import { checkSourceOptions, READ_AHEAD_BYTES_MAX, sourceDetails } from './kafka-source-options.ts'
import type { KafkaSourceOptions, KafkaSourceSettings } from './kafka-source-options.ts'
import { openKafkajsClient } from './kafkajs-client.ts'

/**
 * The values of the records of Kafka topics; tombstones are left out. The timestamps are those of the records. Each partition is
 * read in the order of its offsets, exactly from where the last checkpoint says.
 *
 * Fails with `RECORD_UNDECODABLE` for a record that the format refuses, `KAFKA_OFFSET_OUT_OF_RANGE` where records were
 * deleted before they were read, `KAFKA_TOPIC_UNKNOWN`, `KAFKA_NOT_AUTHORIZED`, `KAFKA_UNREACHABLE` once brokers have not answered for a minute,
 * and `OPTION_INVALID` when the job is built.
 *
 * @example
 * kafkaSource({ brokers: ['localhost:9092'], topics: ['views'], value: json<View>(), group: 'page-views' })
 * @experimental
 */
export function kafkaSource<V, K = Uint8Array>(options: KafkaSourceOptions<V, K>): Source<V> {
  return sourceOf(options, options.value.name, valueDecoder(options.value))
}

/**
 * Whole records of Kafka topics with key, headers and place, tombstones included. Else like `kafkaSource`.
 *
 * @example
 * kafkaRecordSource({ brokers, topics: /^orders-/, value: json<Order>(), key: utf8() })
 * @experimental
 */
export function kafkaRecordSource<V, K = Uint8Array>(
  options: KafkaSourceOptions<V, K>,
): Source<KafkaRecord<K, V>> {
  return sourceOf(options, options.value.name, recordDecoder(options.value, options.key))
}

function sourceOf<T>(
  options: KafkaSourceSettings,
  valueFormat: string,
  decode: RecordDecoder,
): Source<T> {
  checkSourceOptions(options)
  const { isolation = 'read_committed', onUndecodable = 'fail' } = options
  const { readAheadBytesMax = READ_AHEAD_BYTES_MAX } = options
  return {
    type: 'kafka',
    isBounded: options.endAt !== undefined,
    sendsDeadLetters: onUndecodable === 'dead-letter',
    details: sourceDetails(options, valueFormat),
    enumerator: (context) =>
      kafkaEnumerator(context, options, openKafkajsClient(options, context.logger)),
    reader: (context) =>
      kafkaReader(
        context,
        { decode, isolation, readAheadBytesMax, onUndecodable },
        openKafkajsClient(options, context.logger),
      ),
  }
}
