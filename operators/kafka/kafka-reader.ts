/**
 * One subtask's side of a Kafka source: hands out what was fetched, record by record.
 *
 * Invariants
 *  - A split's position is the offset behind the last record that was handed out or passed over; it only grows.
 *  - `read` neither waits nor fetches. Per call it looks at a bounded number of records, however many of them are passed over.
 *  - A record whose format must fetch something first (a schema) holds its split, and no other, until that is there.
 *  - Bytes that are handed out are plain and the job's own, but for those given to a format: they are valid during `decode`.
 */
import type { RecordBatch } from '../../src/core/record-batch.ts'
import type { Format } from '../../src/contract/format.ts'
import type { UnreadRecord } from '../../src/core/dead-letter.ts'
import type { ReaderContext, SourceReader, Split, SplitReader } from '../../src/contract/source.ts'
import type { Isolation, KafkaClient } from './kafka-client.ts'
import type { KafkaRecord } from './kafka-record.ts'
import { fromSplit } from './kafka-splits.ts'
import { UndecodableRecords } from '../undecodable.ts'
import type { OnUndecodable } from '../undecodable.ts'
import { FetchedPartitionQueue, ReadAhead } from './read-ahead.ts'
import { RecordCursor } from './record-cursor.ts'

/** Records looked at per record asked for, at most: tombstones in a row must not hold up the loop. */
const passedOverPerRecordMax = 8

/** Makes a value of the record at the cursor; `passedOver` where it is none. May throw what it likes. */
export interface RecordDecoder {
  (cursor: RecordCursor, topic: string, partition: number): unknown
  /** What the record must wait for; missing where no format of the source fetches anything. */
  readonly awaits?: ((cursor: RecordCursor) => Promise<unknown> | undefined) | undefined
}

const passedOver: unique symbol = Symbol('passed over')

export interface KafkaReaderOptions {
  readonly decode: RecordDecoder
  readonly isolation: Isolation
  readonly readAheadBytesMax: number
  readonly onUndecodable: OnUndecodable
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
  const undecodable = new UndecodableRecords(options.onUndecodable, context)
  return {
    get bufferedBytes() {
      return readAhead.bufferedBytes
    },
    open: (split) => new KafkaSplitReader({ context, options, readAhead, undecodable }, split),
    close: () => readAhead.close(),
  }
}

/** Decodes the value alone; tombstones are passed over. */
export function valueDecoder<V>(value: Format<V>): RecordDecoder {
  const decode = (cursor: RecordCursor): unknown =>
    cursor.valueLength < 0
      ? passedOver
      : value.decode(bytesAt(cursor.body, cursor.valueStart, cursor.valueLength))
  return Object.assign(decode, { awaits: awaitsOf(value, undefined) })
}

/** Decodes the whole record, tombstones included; without a format the key is its bytes. */
export function recordDecoder<V, K>(value: Format<V>, key: Format<K> | undefined): RecordDecoder {
  const decode = (
    cursor: RecordCursor,
    topic: string,
    partition: number,
  ): KafkaRecord<unknown, unknown> => {
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
  return Object.assign(decode, { awaits: awaitsOf(value, key) })
}

function awaitsOf<V, K>(value: Format<V>, key: Format<K> | undefined): RecordDecoder['awaits'] {
  if (value.awaitsBefore === undefined && key?.awaitsBefore === undefined) return undefined
  return ({ body, keyStart, keyLength, valueStart, valueLength }) => {
    const ofValue =
      valueLength < 0 ? undefined : value.awaitsBefore?.(bytesAt(body, valueStart, valueLength))
    if (ofValue !== undefined) return ofValue
    return keyLength < 0 ? undefined : key?.awaitsBefore?.(bytesAt(body, keyStart, keyLength))
  }
}

function bytesAt(body: Uint8Array, start: number, length: number): Uint8Array {
  return body.subarray(start, start + length)
}

/** What the splits of a reader share. */
interface Shared {
  readonly context: ReaderContext
  readonly options: KafkaReaderOptions
  readonly readAhead: ReadAhead
  readonly undecodable: UndecodableRecords
}

class KafkaSplitReader implements SplitReader {
  readonly #context: ReaderContext
  readonly #options: KafkaReaderOptions
  readonly #readAhead: ReadAhead
  readonly #undecodable: UndecodableRecords
  readonly #queue: FetchedPartitionQueue
  readonly #cursor: RecordCursor
  readonly #topic: string
  readonly #partition: number
  readonly #endOffset: number
  #nextOffset: number
  #isOpen = false
  /** The record at the cursor was not handed out yet: it waited for its format. */
  #isHeld = false
  #isAwaiting = false
  #isClosed = false

  constructor({ context, options, readAhead, undecodable }: Shared, split: Split) {
    const { topic, partition, offset, endOffset = Infinity } = fromSplit(split)
    this.#context = context
    this.#options = options
    this.#readAhead = readAhead
    this.#undecodable = undecodable
    this.#topic = topic
    this.#partition = partition
    this.#nextOffset = offset
    this.#endOffset = endOffset
    this.#queue = new FetchedPartitionQueue(topic, partition, offset, endOffset)
    this.#cursor = new RecordCursor(this.#queue.id)
    readAhead.add(this.#queue)
  }

  read(batch: RecordBatch, recordsMax: number): 'records' | 'empty' | 'ended' {
    if (this.#isAwaiting) return 'empty'
    const cursor = this.#cursor
    const { values, timestamps } = batch
    const { awaits } = this.#options.decode
    const undecodable = this.#undecodable
    undecodable.beginRead()
    let count = 0
    const lookedAtMax = recordsMax * passedOverPerRecordMax
    for (let lookedAt = 0; count < recordsMax && lookedAt < lookedAtMax; lookedAt++) {
      if (undecodable.isFull) break
      if (this.#nextOffset >= this.#endOffset) break
      if (!this.#isOpen && !this.#openFetched()) break
      if (this.#isHeld) {
        this.#isHeld = false
      } else if (!cursor.next()) {
        this.#nextOffset = cursor.nextOffset
        this.#isOpen = false
        this.#readAhead.drop(this.#queue)
        continue
      }
      if (cursor.offset >= this.#endOffset) {
        this.#nextOffset = this.#endOffset
        break
      }
      if (awaits !== undefined && this.#holds(awaits(cursor))) break
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
    if (!this.#queue.isEmpty && !this.#isAwaiting) this.#context.available() // there is more behind what was passed over
    return 'empty'
  }

  position(): bigint {
    return BigInt(this.#nextOffset)
  }

  close(): void {
    this.#isClosed = true
    this.#readAhead.remove(this.#queue)
  }

  #openFetched(): boolean {
    const fetched = this.#queue.peek()
    if (fetched === undefined) return false
    this.#cursor.open(fetched)
    this.#isOpen = true
    return true
  }

  /** Whether the record at the cursor has to wait. */
  #holds(awaited: Promise<unknown> | undefined): boolean {
    if (awaited === undefined) return false
    this.#isHeld = true
    this.#isAwaiting = true
    awaited.then(
      () => {
        this.#isAwaiting = false
        if (!this.#isClosed) this.#context.available()
      },
      (error: unknown) => {
        if (!this.#isClosed) this.#context.fail(error)
      },
    )
    return true
  }

  #decode(): unknown {
    const cursor = this.#cursor
    try {
      return this.#options.decode(cursor, this.#topic, this.#partition)
    } catch (cause) {
      const where = `${this.#topic}, partition ${this.#partition}, offset ${cursor.offset}`
      this.#undecodable.take(
        cause,
        (text) => `The record of ${where} cannot be decoded: ${text}`,
        () => this.#unread(),
      )
      return passedOver
    }
  }

  #unread(): Omit<UnreadRecord, 'error'> {
    const { offset, timestampMs, body, keyStart, keyLength, valueStart, valueLength } = this.#cursor
    return {
      value: valueLength < 0 ? null : body.slice(valueStart, valueStart + valueLength),
      key: keyLength < 0 ? null : body.slice(keyStart, keyStart + keyLength),
      headers: this.#cursor.headers(),
      timestampMs,
      origin: { topic: this.#topic, partition: this.#partition, offset },
    }
  }
}
