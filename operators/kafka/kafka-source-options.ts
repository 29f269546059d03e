/** The options of the Kafka sources, checked when the job is built, and what of them plans show. */
import { positiveMs } from '../../src/core/duration.ts'
import type { Duration } from '../../src/core/duration.ts'
import { EngineError } from '../../src/core/errors.ts'
import type { Format } from '../../src/contract/format.ts'
import { checkOnUndecodable } from '../undecodable.ts'
import type { OnUndecodable } from '../undecodable.ts'
import type { Isolation } from './kafka-client.ts'
import { parseBrokers } from './kafka-connection.ts'
import type { KafkaConnection } from './kafka-connection.ts'
import { parsePartitionId } from './kafka-splits.ts'
import type { EndAt, PartitionOffsets, StartAt } from './offset-resolution.ts'

/** Options of a Kafka source. */
export interface KafkaSourceOptions<V, K = Uint8Array> extends KafkaSourceSettings {
  readonly value: Format<V>
  /** Default: the bytes as they are. Only `kafkaRecordSource` reads keys. */
  readonly key?: Format<K>
}

/** The options but for the formats. */
export interface KafkaSourceSettings extends KafkaConnection {
  /** Their names, or what the names match. Internal topics never match. */
  readonly topics: readonly string[] | RegExp
  /**
   * Where partitions begin that are found at the first start; later ones begin at the earliest offset, a restored job where its
   * checkpoint says. `'committed'` needs `group`. Default `'earliest'`.
   */
  readonly startAt?: StartAt
  /** Makes the source bounded: each partition ends where this says at the start. Default: without end. */
  readonly endAt?: EndAt
  /** Offsets are committed to it after each checkpoint, for lag tools only. No consumer may join it. */
  readonly group?: string
  /** How often new partitions and topics are looked for, unless the source is bounded. Default `'1min'`. */
  readonly discoverPartitionsEvery?: Duration
  /** Whether records of open and aborted transactions are left out. Default `'read_committed'`. */
  readonly isolation?: Isolation
  /**
   * How many bytes a subtask fetches ahead of the job, compressed as they are, in equal parts for its partitions. One batch of each
   * broker may come on top. Default 16 MiB.
   */
  readonly readAheadBytesMax?: number
  /**
   * A record that a format refuses: fails the job with `RECORD_UNDECODABLE`, is left out, counted and logged, or is sent to
   * `env.deadLetters`. Default `'fail'`.
   */
  readonly onUndecodable?: OnUndecodable
}

const gib = 1024 * 1024 * 1024

/** The default of `readAheadBytesMax`. */
export const READ_AHEAD_BYTES_MAX: number = 16 * 1024 * 1024

/** Throws `OPTION_INVALID` or `DURATION_INVALID` for what cannot be. */
export function checkSourceOptions(options: KafkaSourceSettings): void {
  const { topics, startAt, endAt, group, readAheadBytesMax, discoverPartitionsEvery } = options
  parseBrokers(options.brokers)
  checkOnUndecodable(options.onUndecodable)
  if (!(topics instanceof RegExp) && topics.length === 0) {
    throw invalid('topics is empty; name at least one topic, or give a regular expression')
  }
  if (startAt === 'committed' && group === undefined) {
    throw invalid(`startAt: 'committed' needs the group whose offsets are meant; give group`)
  }
  for (const at of [startAt, endAt]) {
    if (typeof at !== 'object') continue
    if ('timestampMs' in at) {
      if (!Number.isSafeInteger(at.timestampMs) || at.timestampMs < 0) {
        throw invalid(`timestampMs must be whole milliseconds since 1970, but is ${at.timestampMs}`)
      }
    } else checkOffsets(at.offsets)
  }
  if (readAheadBytesMax !== undefined && !(readAheadBytesMax >= 1 && readAheadBytesMax <= gib)) {
    throw invalid(`readAheadBytesMax must be between 1 and ${gib}, but is ${readAheadBytesMax}`)
  }
  if (discoverPartitionsEvery !== undefined) {
    positiveMs(discoverPartitionsEvery, 'discoverPartitionsEvery')
  }
}

function checkOffsets(offsets: PartitionOffsets): void {
  for (const [id, offset] of Object.entries(offsets)) {
    parsePartitionId(id)
    if (typeof offset !== 'bigint' || offset < 0n || offset > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw invalid(`The offset of ${id} must be a bigint from 0n, but is ${String(offset)}`)
    }
  }
}

/** The options as plans show them. */
export function sourceDetails(
  options: KafkaSourceSettings,
  valueFormat: string,
): Record<string, string | number | boolean> {
  const { brokers, topics, startAt, endAt, group } = options
  return {
    brokers: brokers.join(', '),
    topics: topics instanceof RegExp ? String(topics) : topics.join(', '),
    value: valueFormat,
    startAt: showPlace(startAt ?? 'earliest'),
    ...(endAt === undefined ? {} : { endAt: showPlace(endAt) }),
    ...(group === undefined ? {} : { group }),
    isolation: options.isolation ?? 'read_committed',
    ...(options.onUndecodable === undefined ? {} : { onUndecodable: options.onUndecodable }),
  }
}

function showPlace(at: StartAt | EndAt): string {
  if (typeof at === 'string') return at
  if ('timestampMs' in at) return `timestamp ${at.timestampMs}`
  return Object.entries(at.offsets)
    .map(([id, offset]) => `${id}: ${offset}`)
    .join(', ')
}

function invalid(message: string): EngineError {
  return new EngineError('OPTION_INVALID', message)
}
