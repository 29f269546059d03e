/** The options of the Kafka sink, checked when the job is built, and what of them plans show. */
import { positiveMs } from '../../src/core/duration.ts'
import type { Duration } from '../../src/core/duration.ts'
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
 * `'exactly-once'`: records become visible when their checkpoint completes, each once, to readers that read committed records only.
 */
export type KafkaGuarantee = 'none' | 'at-least-once' | 'exactly-once' | ExactlyOnce

/** `'exactly-once'` with its settings. */
export interface ExactlyOnce {
  readonly kind: 'exactly-once'
  /**
   * `'resumed'`: a transaction stays open at the brokers until its checkpoint is complete, and is resumed after a crash. `'stored'`: output
   * waits in the checkpoint, and an outage of any length loses nothing. Default `'resumed'`.
   */
  readonly transactions?: 'resumed' | 'stored'
  /**
   * When the brokers abort a transaction by themselves. Must exceed the checkpoint interval plus the longest outage; above the
   * brokers' transaction.max.timeout.ms: `KAFKA_TIMEOUT_REFUSED`. Default `'15min'`, their own default.
   */
  readonly timeout?: Duration
  /**
   * A topic that exists, in whose name the sink keeps the offset that tells which checkpoints are visible. Nothing is written to it.
   * Default: the sink's topic; to be given where that is chosen per record.
   */
  readonly markerTopic?: string
  /** How many epochs of a subtask may be open at once: transactional ids. Default 5. */
  readonly poolSize?: number
  /** `'stored'`: how many bytes of a subtask may come between two barriers. Default 64 MiB. */
  readonly storedBytesMax?: number
}

/** What `exactly-once` was resolved to. */
export interface ExactlyOnceSettings {
  readonly transactions: 'resumed' | 'stored'
  readonly timeoutMs: number
  readonly markerTopic: string
  readonly poolSize: number
  readonly storedBytesMax: number
}

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
  /** Default: `'exactly-once'` where the job takes checkpoints, else `'at-least-once'`. */
  readonly guarantee?: KafkaGuarantee
  /** Default `'none'`. A topic with a `compression.type` of its own is compressed by the broker anyway. */
  readonly compression?: Compression
  /** How many bytes of a subtask may wait to be acknowledged before it takes no more records. Default 32 MiB. */
  readonly bufferBytesMax?: number
}

/** The options of what is written to a topic, whether it is a log or a table. */
export interface KafkaOutputOptions<T> extends KafkaSinkOptions<T> {
  /** Whether the record has a key only: the end of its row, to readers of a compacted topic. Default: never. */
  readonly isTombstone?: (value: T) => boolean
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

const poolSizeDefault = 5
const storedBytesMaxDefault = 64 * 1024 * 1024
const timeoutDefault = '15min'

/** Throws `OPTION_INVALID` for what cannot be. */
export function checkSinkOptions(options: CheckedOptions): void {
  const { brokers, topic, bufferBytesMax, guarantee } = options
  parseBrokers(brokers)
  if (topic === '') throw new EngineError('OPTION_INVALID', 'topic is empty; name the topic')
  checkAtLeast('bufferBytesMax', bufferBytesMax, 1)
  if (guarantee === 'exactly-once' || typeof guarantee === 'object') exactlyOnceOf(options)
}

/** What the sink does in a job that takes checkpoints, or in one that does not. */
export function guaranteeOf(
  options: CheckedOptions,
  job: { readonly isCheckpointed: boolean },
): 'none' | 'at-least-once' | ExactlyOnceSettings {
  const { guarantee = job.isCheckpointed ? 'exactly-once' : 'at-least-once' } = options
  if (guarantee === 'none' || guarantee === 'at-least-once') return guarantee
  if (job.isCheckpointed) return exactlyOnceOf(options)
  throw new EngineError(
    'CHECKPOINTS_NOT_CONFIGURED',
    `The Kafka sink writes exactly once only in a job that takes checkpoints; give the job a checkpoint directory, or the sink guarantee: 'at-least-once'`,
  )
}

function exactlyOnceOf(options: CheckedOptions): ExactlyOnceSettings {
  const { topic, guarantee } = options
  const given: ExactlyOnce = typeof guarantee === 'object' ? guarantee : { kind: 'exactly-once' }
  const markerTopic = given.markerTopic ?? (typeof topic === 'string' ? topic : undefined)
  if (markerTopic === undefined) {
    throw new EngineError(
      'OPTION_INVALID',
      `A Kafka sink that chooses the topic per record and writes exactly once needs markerTopic, the name of a topic that exists: ` +
        `guarantee: { kind: 'exactly-once', markerTopic: '...' }; or give guarantee: 'at-least-once'`,
    )
  }
  const { transactions = 'resumed', poolSize, storedBytesMax, timeout = timeoutDefault } = given
  if (transactions !== 'resumed' && transactions !== 'stored') {
    throw new EngineError(
      'OPTION_INVALID',
      `transactions must be 'resumed' or 'stored', but is '${String(transactions)}'`,
    )
  }
  // an epoch that is being written, one that is being committed, and one whose checkpoint failed
  checkAtLeast('poolSize', poolSize, 3)
  checkAtLeast('storedBytesMax', storedBytesMax, 1)
  return {
    transactions,
    timeoutMs: positiveMs(timeout, 'timeout'),
    markerTopic,
    poolSize: poolSize ?? poolSizeDefault,
    storedBytesMax: storedBytesMax ?? storedBytesMaxDefault,
  }
}

/**
 * Throws `KAFKA_TIMEOUT_REFUSED` for a time-out that leaves a transaction hardly any time beyond the checkpoint interval: then the first
 * slow checkpoint would lose output.
 */
export function checkTimeout(
  { transactions, timeoutMs }: ExactlyOnceSettings,
  intervalMs: number | undefined,
): void {
  if (transactions === 'stored' || intervalMs === undefined) return
  const timeoutMsMin = Math.min(intervalMs * 2, intervalMs + 60_000)
  if (timeoutMs >= timeoutMsMin) return
  throw new EngineError(
    'KAFKA_TIMEOUT_REFUSED',
    `The Kafka sink's transactions may last ${timeoutMs} ms, and with a checkpoint every ${intervalMs} ms they need ${timeoutMsMin} ms at least, ` +
      `and the longest outage that should lose nothing on top; raise timeout, take checkpoints more often, or use transactions: 'stored'`,
  )
}

function checkAtLeast(name: string, value: number | undefined, least: number): void {
  if (value === undefined || value >= least) return
  throw new EngineError('OPTION_INVALID', `${name} must be at least ${least}, but is ${value}`)
}

/** The options as plans show them. */
export function sinkDetails(options: CheckedOptions): Record<string, string | number | boolean> {
  const { guarantee = 'as the job' } = options
  return {
    brokers: options.brokers.join(', '),
    topic: typeof options.topic === 'string' ? options.topic : 'by record',
    value: options.value.name,
    guarantee:
      typeof guarantee === 'string'
        ? guarantee
        : `exactly-once, ${guarantee.transactions ?? 'resumed'}`,
    compression: options.compression ?? 'none',
  }
}
