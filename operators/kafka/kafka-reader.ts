/**
 * One subtask's side of a Kafka source: hands out what was fetched, record by record.
 *
 * Invariants
 *  - A split's position is the offset behind the last record that was handed out or passed over; it only grows.
 *  - `read` neither waits nor fetches. Per call it looks at a bounded number of records, however many of them are passed over.
 *  - Bytes that are handed out are plain and the job's own, but for those given to a format: they are valid during `decode`.
 */
import { EngineError } from '../../src/core/errors.ts'
import type { RecordBatch } from '../../src/core/record-batch.ts'
import type { Format } from '../../src/contract/format.ts'
import type { ReaderContext, SourceReader, Split, SplitReader } from '../../src/contract/source.ts'
import type { Isolation, KafkaClient } from './kafka-client.ts'
import type { KafkaRecord } from './kafka-record.ts'
import { fromSplit } from './kafka-splits.ts'
import { FetchedPartitionQueue, ReadAhead } from './read-ahead.ts'
import { RecordCursor } from './record-cursor.ts'

/** Records looked at per record asked for, at most: tombstones in a row must not hold up the loop. */
const passedOverPerRecordMax = 8

/** Makes a value of the record at the cursor; `passedOver` where it is none. May throw what it likes. */
export type RecordDecoder = (cursor: RecordCursor, topic: string, partition: number) => unknown

const passedOver: unique symbol = Symbol('passed over')

export interface KafkaReaderOptions {
  readonly decode: RecordDecoder
  readonly isolation: Isolation
  readonly readAheadBytesMax: number
  readonly onUndecodable: 'fail' | 'skip'
}

/** A reader whose read-ahead can be watched. */
export interface KafkaReader extends SourceReader {
  readonly bufferedBytes: number
}

export function kafkaReader(
  context: ReaderContext,
  options: KafkaReaderOptions,
  client: KafkaClient,
): KafkaReader {
  const readAhead = new ReadAhead({
    client,
    isolation: options.isolation,
    bytesMax: options.readAheadBytesMax,
    clock: context.clock,
    logger: context.logger,
    available: () => context.available(),
    fail: (error) => context.fail(error),
  })
  return {
    get bufferedBytes() {
      return readAhead.bufferedBytes
    },
    open: (split) => new KafkaSplitReader(context, options, readAhead, split),
    close: () => readAhead.close(),
  }
}

/** Decodes the value alone; tombstones are passed over. */
export function valueDecoder<V>(value: Format<V>): RecordDecoder {
  return (cursor) =>
    cursor.valueLength < 0
      ? passedOver
      : value.decode(bytesAt(cursor.body, cursor.valueStart, cursor.valueLength))
}

/** Decodes the whole record, tombstones included; without a format the key is its bytes. */
export function recordDecoder<V, K>(value: Format<V>, key: Format<K> | undefined): RecordDecoder {
  return (cursor, topic, partition): KafkaRecord<unknown, unknown> => {
    const { body, keyStart, keyLength, valueStart, valueLength } = cursor
    return {
      topic,
      partition,
      offset: BigInt(cursor.offset),
      timestampMs: cursor.timestampMs,
      key:
        keyLength < 0
          ? null
          : key === undefined
            ? body.slice(keyStart, keyStart + keyLength)
            : key.decode(bytesAt(body, keyStart, keyLength)),
      value: valueLength < 0 ? null : value.decode(bytesAt(body, valueStart, valueLength)),
      headers: cursor.headers(),
    }
  }
}

function bytesAt(body: Uint8Array, start: number, length: number): Uint8Array {
  return body.subarray(start, start + length)
}

class KafkaSplitReader implements SplitReader {
  readonly #context: ReaderContext
  readonly #options: KafkaReaderOptions
  readonly #readAhead: ReadAhead
  readonly #queue: FetchedPartitionQueue
  readonly #cursor: RecordCursor
  readonly #topic: string
  readonly #partition: number
  readonly #endOffset: number
  #nextOffset: number
  #isOpen = false
  #undecodableCount = 0

  constructor(
    context: ReaderContext,
    options: KafkaReaderOptions,
    readAhead: ReadAhead,
    split: Split,
  ) {
    const { topic, partition, offset, endOffset = Infinity } = fromSplit(split)
    this.#context = context
    this.#options = options
    this.#readAhead = readAhead
    this.#topic = topic
    this.#partition = partition
    this.#nextOffset = offset
    this.#endOffset = endOffset
    this.#queue = new FetchedPartitionQueue(topic, partition, offset, endOffset)
    this.#cursor = new RecordCursor(this.#queue.id)
    readAhead.add(this.#queue)
  }

  read(batch: RecordBatch, recordsMax: number): 'records' | 'empty' | 'ended' {
    const cursor = this.#cursor
    const { values, timestamps } = batch
    let count = 0
    const lookedAtMax = recordsMax * passedOverPerRecordMax
    for (let lookedAt = 0; count < recordsMax && lookedAt < lookedAtMax; lookedAt++) {
      if (this.#nextOffset >= this.#endOffset) break
      if (!this.#isOpen && !this.#openFetched()) break
      if (!cursor.next()) {
        this.#nextOffset = cursor.nextOffset
        this.#isOpen = false
        this.#readAhead.drop(this.#queue)
        continue
      }
      if (cursor.offset >= this.#endOffset) {
        this.#nextOffset = this.#endOffset
        break
      }
      const value = this.#decode()
      this.#nextOffset = cursor.nextOffset
      if (value === passedOver) continue
      values[count] = value
      timestamps[count] = cursor.timestampMs
      count++
    }
    batch.count = count
    if (count > 0) return 'records'
    if (this.#nextOffset >= this.#endOffset) {
      this.close()
      return 'ended'
    }
    if (!this.#queue.isEmpty) this.#context.available() // there is more behind what was passed over
    return 'empty'
  }

  position(): bigint {
    return BigInt(this.#nextOffset)
  }

  close(): void {
    this.#readAhead.remove(this.#queue)
  }

  #openFetched(): boolean {
    const fetched = this.#queue.peek()
    if (fetched === undefined) return false
    this.#cursor.open(fetched)
    this.#isOpen = true
    return true
  }

  #decode(): unknown {
    try {
      return this.#options.decode(this.#cursor, this.#topic, this.#partition)
    } catch (cause) {
      const error = this.#undecodable(cause)
      if (this.#options.onUndecodable === 'fail') throw error
      const count = ++this.#undecodableCount
      const isNoteworthy = (count & (count - 1)) === 0 // 1st, 2nd, 4th, 8th, ...
      if (isNoteworthy) this.#context.logger.warn(`${error.message} Left out.`, { count })
      return passedOver
    }
  }

  #undecodable(cause: unknown): EngineError {
    const text = cause instanceof Error ? cause.message : String(cause)
    return new EngineError(
      'RECORD_UNDECODABLE',
      `The record of ${this.#topic}, partition ${this.#partition}, offset ${this.#cursor.offset} cannot be decoded: ${text}. ` +
        `Correct the format, or leave such records out with onUndecodable: 'skip'.`,
      { cause },
    )
  }
}
