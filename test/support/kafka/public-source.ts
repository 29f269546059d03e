/** A source of whole records over kafkajs' public interface, as it is where the connections of kafkajs are not known. */
import { bytes } from 'millrace'
import type { Source } from 'millrace'
import type { KafkaRecord, KafkaSourceOptions } from '../../../operators/kafka/index.ts'
import { kafkaEnumerator } from '../../../operators/kafka/kafka-enumerator.ts'
import { kafkaReader, recordDecoder } from '../../../operators/kafka/kafka-reader.ts'
import { openPublicClient } from '../../../operators/kafka/public-client.ts'

export function publicSource(
  given: Omit<KafkaSourceOptions<Uint8Array>, 'value'>,
): Source<KafkaRecord<Uint8Array, Uint8Array>> {
  const options = { ...given, value: bytes() }
  const settings = {
    decode: recordDecoder(options.value, undefined),
    isolation: options.isolation ?? 'read_committed',
    readAheadBytesMax: 1024 * 1024,
    onUndecodable: 'fail',
  } as const
  return {
    type: 'kafka',
    isBounded: options.endAt !== undefined,
    enumerator: (context) => kafkaEnumerator(context, options, openPublicClient(options)),
    reader: (context) => kafkaReader(context, settings, openPublicClient(options)),
  }
}
