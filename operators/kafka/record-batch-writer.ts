/**
 * Fills one record batch (format 2) and finishes it for the wire.
 *
 * Invariants
 *  - Records keep the order of `append`. The bytes of a record are copied: the caller may use its buffers again.
 *  - A finished batch can be stamped any number of times; a retry of the same batch carries the same identity and sequence.
 * Used on the subtask's thread. Its buffer doubles, so a batch takes at most twice its bytes.
 */
import { ByteWriter } from '../../src/core/byte-writer.ts'
import { codecOf, compress } from './compression.ts'
import type { Compression } from './compression.ts'
import { crc32c } from './crc32c.ts'
import type { ProducerIdentity } from './kafka-client.ts'
import { BATCH_LENGTH_FROM, BATCH_MAGIC, batchLayout } from './record-cursor.ts'

/** Names and values of a record's headers. */
export type RecordHeaders = Readonly<Record<string, string | Uint8Array>>

/** The attribute of batches that belong to a transaction. */
const transactional = 0x10

export class RecordBatchWriter {
  count = 0
  #firstTimestamp = 0
  #maxTimestamp = 0
  readonly #out: ByteWriter

  constructor(bytes: number = 1024) {
    this.#out = new ByteWriter(Math.max(bytes, batchLayout.records))
    this.#out.length = batchLayout.records
  }

  /** Bytes of the batch before compression. */
  get bytes(): number {
    return this.#out.length
  }

  append(
    timestampMs: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: RecordHeaders | undefined,
  ): void {
    if (this.count === 0) {
      this.#firstTimestamp = timestampMs
      this.#maxTimestamp = timestampMs
    }
    if (timestampMs > this.#maxTimestamp) this.#maxTimestamp = timestampMs
    const delta = timestampMs - this.#firstTimestamp
    const names = headers === undefined ? [] : Object.keys(headers)
    let size = 1 + varlongBytes(delta) + varintBytes(this.count) + sizeOf(key) + sizeOf(value)
    size += varintBytes(names.length)
    for (const name of names) {
      const nameBytes = Buffer.byteLength(name)
      const headerBytes = byteLength(headers?.[name] ?? '')
      size += varintBytes(nameBytes) + nameBytes + varintBytes(headerBytes) + headerBytes
    }
    this.#out.reserve(size + 5)
    this.#varint(size)
    this.#out.uint8(0)
    this.#varlong(delta)
    this.#varint(this.count)
    this.#bytes(key)
    this.#bytes(value)
    this.#varint(names.length)
    for (const name of names) {
      this.#text(name)
      const header = headers?.[name] ?? ''
      if (typeof header === 'string') this.#text(header)
      else this.#bytes(header)
    }
    this.count++
  }

  /** The batch but for its stamp. Nothing is appended after. */
  finish(compression: Compression): Buffer {
    let batch = this.#out.view()
    if (compression !== 'none') {
      const packed = compress(compression, batch.subarray(batchLayout.records))
      batch = Buffer.allocUnsafe(batchLayout.records + packed.length)
      batch.set(packed, batchLayout.records)
    }
    batch.fill(0, 0, batchLayout.records)
    batch.writeInt32BE(batch.length - BATCH_LENGTH_FROM, batchLayout.length)
    batch.writeInt8(BATCH_MAGIC, batchLayout.magic)
    batch.writeInt16BE(codecOf(compression), batchLayout.attributes)
    batch.writeInt32BE(this.count - 1, batchLayout.lastOffsetDelta)
    batch.writeBigInt64BE(BigInt(this.#firstTimestamp), batchLayout.firstTimestamp)
    batch.writeBigInt64BE(BigInt(this.#maxTimestamp), batchLayout.maxTimestamp)
    batch.writeInt32BE(this.count, batchLayout.recordCount)
    return batch
  }

  #bytes(bytes: Uint8Array | null): void {
    if (bytes === null) return this.#varint(-1)
    this.#varint(bytes.length)
    this.#out.bytes(bytes)
  }

  #text(text: string): void {
    this.#varint(Buffer.byteLength(text))
    this.#out.length += this.#out.buffer.write(text, this.#out.length)
  }

  #varint(value: number): void {
    let rest = ((value << 1) ^ (value >> 31)) >>> 0
    for (; rest >= 0x80; rest >>>= 7) this.#out.uint8((rest & 0x7f) | 0x80)
    this.#out.uint8(rest)
  }

  #varlong(value: number): void {
    let rest = zigzag(value)
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) this.#out.uint8((rest % 128) | 0x80)
    this.#out.uint8(rest)
  }
}

/** Writes who sends the batch, and the checksum, into a finished batch. */
export function stampBatch(
  batch: Buffer,
  producer: ProducerIdentity,
  sequence: number,
  isTransactional: boolean = false,
): void {
  if (isTransactional) {
    const attributes = batch.readInt16BE(batchLayout.attributes)
    batch.writeInt16BE(attributes | transactional, batchLayout.attributes)
  }
  batch.writeBigInt64BE(producer.producerId, batchLayout.producerId)
  batch.writeInt16BE(producer.epoch, batchLayout.producerEpoch)
  batch.writeInt32BE(sequence, batchLayout.sequence)
  batch.writeUInt32BE(crc32c(batch, batchLayout.attributes), batchLayout.crc)
}

/** Says which offsets a finished batch has; before it is stamped. */
export function rebase(batch: Buffer, firstOffset: number, lastOffset: number): void {
  batch.writeBigInt64BE(BigInt(firstOffset), batchLayout.baseOffset)
  batch.writeInt32BE(lastOffset - firstOffset, batchLayout.lastOffsetDelta)
}

function sizeOf(bytes: Uint8Array | null): number {
  return bytes === null ? varintBytes(-1) : varintBytes(bytes.length) + bytes.length
}

function byteLength(value: string | Uint8Array): number {
  return typeof value === 'string' ? Buffer.byteLength(value) : value.length
}

function varintBytes(value: number): number {
  const rest = ((value << 1) ^ (value >> 31)) >>> 0
  return rest < 0x80 ? 1 : rest < 0x4000 ? 2 : rest < 0x20_0000 ? 3 : rest < 0x1000_0000 ? 4 : 5
}

function varlongBytes(value: number): number {
  let count = 1
  for (let rest = zigzag(value); rest >= 0x80; rest = Math.floor(rest / 128)) count++
  return count
}

/** As a positive number; up to 53 bits. */
function zigzag(value: number): number {
  return value >= 0 ? value * 2 : -value * 2 - 1
}
