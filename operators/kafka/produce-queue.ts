/**
 * Records on their way to one partition: batches in the order of writing, the last of them still open.
 *
 * Invariants
 *  - A batch holds records of one epoch only, so an epoch is written when its batches are.
 *  - Only the oldest batch is ever on its way, and it stays the oldest until it is acknowledged: records keep their order
 *    whatever fails in between.
 *  - A batch keeps its sequence number over all attempts under one producer identity: the broker drops what it has already.
 */
import type { EpochTransaction } from './epoch-transaction.ts'
import { RoutedPartition } from './broker-loops.ts'
import type { Compression } from './compression.ts'
import type { ProducerIdentity } from './kafka-client.ts'
import { RecordBatchWriter, stampBatch } from './record-batch-writer.ts'
import type { RecordHeaders } from './record-batch-writer.ts'
import { RecordCursor } from './record-cursor.ts'

/** A batch is closed before it grows over this, unless it is one record. Below Kafka's default bound of a megabyte. */
export const BATCH_BYTES_MAX: number = 512 * 1024

/** More than the fixed parts of a record take: lengths, times, attributes. */
const recordOverheadBytesMax = 40
const sequenceMask = 0x7fff_ffff

/** Records between two barriers, over all partitions. */
export interface SinkEpoch {
  unacknowledgedCount: number
  /** Grows from epoch to epoch. Needed where they have transactions. */
  readonly number?: number
  /** Where its records are written in one. */
  readonly transaction?: EpochTransaction | undefined
}

/** What a batch is made of: a `RecordBatchWriter`, or a batch that was finished before. */
export interface BatchContents {
  readonly count: number
  readonly bytes: number
  /** The batch but for its stamp. */
  finish(compression: Compression): Buffer
}

export class OutgoingBatch {
  readonly epoch: SinkEpoch
  readonly writer: BatchContents
  /** What it counts in the sink's bound. */
  bytes: number
  /** Set when it is first sent. */
  sequence: number | undefined
  #wire: Buffer | undefined

  constructor(epoch: SinkEpoch, writer: BatchContents) {
    this.epoch = epoch
    this.writer = writer
    this.bytes = writer.bytes
  }

  get count(): number {
    return this.writer.count
  }

  /** The bytes to be sent, but for their stamp. */
  wire(compression: Compression): Buffer {
    this.#wire ??= this.writer.finish(compression)
    return this.#wire
  }
}

export class ProduceQueue extends RoutedPartition {
  /** As whom the partition is written; undefined until the first batch, and after the broker forgot it. */
  producer: ProducerIdentity | undefined
  #nextSequence = 0
  readonly #sealed: OutgoingBatch[] = []
  #open: OutgoingBatch | undefined
  /** Fills the open batch. */
  #writer = new RecordBatchWriter(0)

  get isEmpty(): boolean {
    return this.#open === undefined && this.#sealed.length === 0
  }

  /** Whether the next record of `epoch` joins a batch that is open already. */
  isFilling(epoch: SinkEpoch): boolean {
    return this.#open?.epoch === epoch && this.#open.writer.bytes < BATCH_BYTES_MAX
  }

  /** Answers by how many bytes the queue has grown. */
  append(
    epoch: SinkEpoch,
    timestampMs: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: RecordHeaders | undefined,
  ): number {
    const bytes = (value?.length ?? 0) + (key?.length ?? 0) + recordOverheadBytesMax
    let batch = this.#open
    if (
      batch === undefined ||
      batch.epoch !== epoch ||
      batch.writer.bytes + bytes > BATCH_BYTES_MAX
    ) {
      this.#seal()
      this.#writer = new RecordBatchWriter()
      batch = new OutgoingBatch(epoch, this.#writer)
      batch.bytes = 0
      this.#open = batch
    }
    this.#writer.append(timestampMs, key, value, headers)
    const grown = batch.writer.bytes - batch.bytes
    batch.bytes = batch.writer.bytes
    return grown
  }

  /** Puts a finished batch behind the others. */
  push(epoch: SinkEpoch, contents: BatchContents): void {
    this.#seal()
    this.#sealed.push(new OutgoingBatch(epoch, contents))
  }

  /** Takes the batches of `epoch`, which is the oldest, out of the queue. */
  take(epoch: SinkEpoch): OutgoingBatch[] {
    if (this.#open?.epoch === epoch) this.#seal()
    const end = this.#sealed.findIndex((batch) => batch.epoch !== epoch)
    return this.#sealed.splice(0, end < 0 ? this.#sealed.length : end)
  }

  /** The batch whose turn it is. It takes no more records. */
  head(): OutgoingBatch | undefined {
    if (this.#sealed.length === 0) this.#seal()
    return this.#sealed[0]
  }

  /** The bytes of the oldest batch as `producer` sends them. */
  stamped(batch: OutgoingBatch, producer: ProducerIdentity, compression: Compression): Buffer {
    if (this.producer !== producer) {
      this.producer = producer
      this.#nextSequence = 0
      batch.sequence = undefined
    }
    batch.sequence ??= this.#nextSequence
    const bytes = batch.wire(compression)
    stampBatch(bytes, producer, batch.sequence, batch.epoch.transaction !== undefined)
    return bytes
  }

  /** The oldest batch is written. */
  acknowledged(batch: OutgoingBatch): void {
    this.#nextSequence = ((batch.sequence ?? 0) + batch.count) & sequenceMask
    this.#sealed.shift()
  }

  /** The oldest batch is larger than the topic allows: halves take its place. False where it is one record. */
  split(batch: OutgoingBatch, compression: Compression): boolean {
    if (batch.count === 1) return false
    const bytes = batch.wire(compression)
    const writers = [new RecordBatchWriter(), new RecordBatchWriter()] as const
    const cursor = new RecordCursor(this.id)
    cursor.open({ bytes, fromOffset: 0, nextOffset: batch.count, aborted: [] })
    while (cursor.next()) {
      const { body, keyStart, keyLength, valueStart, valueLength, timestampMs } = cursor
      const writer = writers[cursor.offset < batch.count / 2 ? 0 : 1]
      writer.append(
        Number.isNaN(timestampMs) ? -1 : timestampMs,
        keyLength < 0 ? null : body.subarray(keyStart, keyStart + keyLength),
        valueLength < 0 ? null : body.subarray(valueStart, valueStart + valueLength),
        Object.fromEntries(cursor.headers()),
      )
    }
    const halves = [
      new OutgoingBatch(batch.epoch, writers[0]),
      new OutgoingBatch(batch.epoch, writers[1]),
    ] as const
    halves[0].bytes = Math.floor(batch.bytes / 2)
    halves[1].bytes = batch.bytes - halves[0].bytes
    this.#sealed.splice(0, 1, ...halves)
    return true
  }

  #seal(): void {
    if (this.#open !== undefined) this.#sealed.push(this.#open)
    this.#open = undefined
  }
}
