/** The options of the Kafka sink, checked when the job is built, and what of them plans show. */
import { EngineError } from '../../src/core/errors.ts'
import type { Key } from '../../src/core/key.ts'
import type { Format } from '../../src/contract/format.ts'
import type { Compression } from './compression.ts'
import { parseBrokers } from './kafka-connection.ts'
import type { KafkaConnection } from './kafka-connection.ts'
import type { RecordHeaders } from './record-batch-writer.ts'

/**
 * `'none'`: checkpoints do not wait for the brokers, so a crash may lose what was under way. `'at-least-once'`: a checkpoint is
 * complete when all records before it are acknowledged by all replicas in sync; after a restart records may come twice.
 */
export type KafkaGuarantee = 'none' | 'at-least-once'

/** Options of the Kafka sink. */
export interface KafkaSinkOptions<T> extends KafkaConnection {
  /** Its name, or which one a record goes to. Topics are not created. */
  readonly topic: string | ((value: T) => string)
  readonly value: Format<T>
  /**
   * Decides the partition, as the Java client does. Written as UTF-8 if it is a string, else as JSON text, so `17` and `'17'` are
   * one key there. Default: none, spread evenly.
   */
  readonly key?: (value: T) => Key
  /** Text is written as UTF-8. Default: none. */
  readonly headers?: (value: T) => RecordHeaders
  /** Default: the record's event time, or processing time where it has none. */
  readonly timestampMs?: (value: T) => number
  /** Decides the partition instead of the key, from 0 to below `partitionCount` (`PARTITION_OUT_OF_RANGE`). */
  readonly partition?: (value: T, partitionCount: number) => number
  /** Default `'at-least-once'`. */
  readonly guarantee?: KafkaGuarantee
  /** Default `'none'`. A topic with a `compression.type` of its own is compressed by the broker anyway. */
  readonly compression?: Compression
  /** How many bytes of a subtask may wait to be acknowledged before it takes no more records. Default 32 MiB. */
  readonly bufferBytesMax?: number
}

/** The default of `bufferBytesMax`. */
export const BUFFER_BYTES_MAX: number = 32 * 1024 * 1024

type CheckedOptions = KafkaConnection & {
  readonly topic: unknown
  readonly value: { readonly name: string }
  readonly guarantee?: KafkaGuarantee
  readonly compression?: Compression
  readonly bufferBytesMax?: number
}

/** Throws `OPTION_INVALID` for what cannot be. */
export function checkSinkOptions({ brokers, topic, bufferBytesMax }: CheckedOptions): void {
  parseBrokers(brokers)
  if (topic === '') throw new EngineError('OPTION_INVALID', 'topic is empty; name the topic')
  if (bufferBytesMax !== undefined && !(bufferBytesMax >= 1)) {
    throw new EngineError(
      'OPTION_INVALID',
      `bufferBytesMax must be at least 1, but is ${bufferBytesMax}`,
    )
  }
}

/** The options as plans show them. */
export function sinkDetails(options: CheckedOptions): Record<string, string | number | boolean> {
  return {
    brokers: options.brokers.join(', '),
    topic: typeof options.topic === 'string' ? options.topic : 'by record',
    value: options.value.name,
    guarantee: options.guarantee ?? 'at-least-once',
    compression: options.compression ?? 'none',
  }
}
