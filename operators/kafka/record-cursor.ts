/**
 * Goes over the records of fetched record batches (format 2, the only one since Kafka 0.11), one after the other.
 *
 * Invariants
 *  - A batch's checksum holds before any of its records is seen, so damage is an error and never a record.
 *  - Records of aborted transactions, control records and those before `fromOffset` are never seen; `nextOffset` moves past
 *    them all the same.
 *  - At most one batch is unpacked at a time. Nothing is allocated per record: the record at hand is a set of numbers.
 * Layout: https://kafka.apache.org/documentation/#recordbatch.
 */
import { EngineError, isEngineError } from '../../src/core/errors.ts'
import { decompress } from './compression.ts'
import { crc32c } from './crc32c.ts'
import type { AbortedTransaction } from './kafka-client.ts'

/** Where things stand in a batch's header. */
export const batchLayout = {
  baseOffset: 0,
  length: 8,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  firstTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  sequence: 53,
  recordCount: 57,
  records: 61,
} as const

/** Bytes before those that `length` counts. */
export const BATCH_LENGTH_FROM = 12
/** The only format of batches. */
export const BATCH_MAGIC = 2

const codecMask = 0x07
const logAppendTime = 0x08
const transactional = 0x10
const control = 0x20
const noTimestamp = -1
const noBytes: Uint8Array = new Uint8Array(0)

/** Whole record batches of one partition. */
export interface FetchedRecords {
  readonly bytes: Uint8Array
  /** Records before it are not asked for: a fetch gives whole batches. */
  readonly fromOffset: number
  /** Behind the last batch. */
  readonly nextOffset: number
  readonly aborted: readonly AbortedTransaction[]
}

/** The part of `bytes` that is whole batches, and the offset behind them; undefined where there is no whole batch. */
export function wholeBatches(
  bytes: Uint8Array,
): { readonly bytesCount: number; readonly nextOffset: number } | undefined {
  const view = viewOf(bytes)
  let at = 0
  let last = -1
  while (at + batchLayout.records <= bytes.length) {
    const end = at + BATCH_LENGTH_FROM + view.getInt32(at + batchLayout.length)
    if (end > bytes.length || end <= at) break
    last = at
    at = end
  }
  if (last < 0) return undefined
  const nextOffset = int64(view, last) + view.getInt32(last + batchLayout.lastOffsetDelta) + 1
  return { bytesCount: at, nextOffset }
}

export class RecordCursor {
  /** The record at hand; the bytes of key and value are in `body`, their length is -1 where they are null. */
  offset = 0
  timestampMs: number = NaN
  body: Uint8Array = noBytes
  keyStart = 0
  keyLength = -1
  valueStart = 0
  valueLength = -1
  #headersStart = 0

  /** Behind the record at hand, or behind everything once `next` has answered false. */
  nextOffset = 0

  readonly #where: string
  #bytes: Uint8Array = noBytes
  #view: DataView = viewOf(noBytes)
  #fromOffset = 0
  #endOffset = 0
  /** Of the next batch. */
  #batchAt = 0
  /** Within `body`. */
  #at = 0
  #recordsLeft = 0
  #baseOffset = 0
  #firstTimestamp = 0
  /** The time of all records of the batch where the broker set it, else NaN. */
  #appendTimestamp: number = NaN
  #aborted: readonly AbortedTransaction[] = []
  #abortedIndex = 0
  readonly #abortedProducers = new Set<bigint>()

  /** `where` names the partition in errors. */
  constructor(where: string) {
    this.#where = where
  }

  open(fetched: FetchedRecords): void {
    this.#bytes = fetched.bytes
    this.#view = viewOf(fetched.bytes)
    this.#fromOffset = fetched.fromOffset
    this.#endOffset = fetched.nextOffset
    this.#batchAt = 0
    this.#recordsLeft = 0
    this.#aborted = fetched.aborted.toSorted((a, b) => a.firstOffset - b.firstOffset)
    this.#abortedIndex = 0
    this.#abortedProducers.clear()
    this.nextOffset = fetched.fromOffset
  }

  /** Moves to the next record. False at the end; then nothing of what was opened is referred to any more. */
  next(): boolean {
    for (;;) {
      while (this.#recordsLeft === 0) {
        if (this.#batchAt >= this.#bytes.length) return this.#finish()
        this.#openBatch()
      }
      this.#recordsLeft--
      this.#readRecord()
      if (this.offset >= this.#fromOffset) {
        this.nextOffset = this.offset + 1
        return true
      }
    }
  }

  /** The headers of the record at hand, copied. A name that comes twice has its last value; a null value is no bytes. */
  headers(): Map<string, Uint8Array> {
    const after = this.#at
    this.#at = this.#headersStart
    const headers = new Map<string, Uint8Array>()
    for (let count = this.#varint(); count > 0; count--) {
      const nameLength = this.#varint()
      const name = Buffer.from(this.body.buffer, this.body.byteOffset + this.#at, nameLength)
      this.#at += nameLength
      const valueLength = Math.max(0, this.#varint())
      headers.set(name.toString('utf8'), this.body.slice(this.#at, this.#at + valueLength))
      this.#at += valueLength
    }
    this.#at = after
    return headers
  }

  #finish(): false {
    this.nextOffset = this.#endOffset
    this.#bytes = noBytes
    this.body = noBytes
    this.#batchAt = 0
    return false
  }

  /** Checks and unpacks the next batch, or passes over it. */
  #openBatch(): void {
    const view = this.#view
    const at = this.#batchAt
    const end = at + BATCH_LENGTH_FROM + view.getInt32(at + batchLayout.length)
    this.#batchAt = end
    const baseOffset = int64(view, at)
    const magic = view.getInt8(at + batchLayout.magic)
    if (magic !== BATCH_MAGIC) {
      throw new EngineError(
        'KAFKA_FAILED',
        `${this.#where} has records in format ${magic} at offset ${baseOffset}; they were written by clients older than Kafka 0.11: start behind them, or have the topic rewritten`,
        { retryable: false },
      )
    }
    if (
      crc32c(this.#bytes, at + batchLayout.attributes, end) !== view.getUint32(at + batchLayout.crc)
    ) {
      throw this.#damaged(baseOffset, 'its checksum does not hold')
    }
    const attributes = view.getInt16(at + batchLayout.attributes)
    const lastOffset = baseOffset + view.getInt32(at + batchLayout.lastOffsetDelta)
    if (!this.#counts(at, attributes, lastOffset)) return
    this.#baseOffset = baseOffset
    this.#firstTimestamp = int64(view, at + batchLayout.firstTimestamp)
    this.#appendTimestamp =
      (attributes & logAppendTime) !== 0 ? int64(view, at + batchLayout.maxTimestamp) : NaN
    this.#recordsLeft = view.getInt32(at + batchLayout.recordCount)
    const records = this.#bytes.subarray(at + batchLayout.records, end)
    this.body = this.#unpacked(attributes & codecMask, records, baseOffset)
    this.#at = 0
  }

  /** Whether a batch has records for the reader; follows which transactions are aborted. */
  #counts(at: number, attributes: number, lastOffset: number): boolean {
    const isControl = (attributes & control) !== 0
    if ((attributes & transactional) !== 0) {
      const producerId = this.#view.getBigInt64(at + batchLayout.producerId)
      for (; this.#abortedIndex < this.#aborted.length; this.#abortedIndex++) {
        const aborted = this.#aborted[this.#abortedIndex] as AbortedTransaction
        if (aborted.firstOffset > lastOffset) break
        this.#abortedProducers.add(aborted.producerId)
      }
      // The only control records of a producer's batches end its transaction: after them it is no longer an aborted one.
      if (isControl) this.#abortedProducers.delete(producerId)
      else if (this.#abortedProducers.has(producerId)) return false
    }
    return !isControl && lastOffset >= this.#fromOffset
  }

  #unpacked(codec: number, records: Uint8Array, baseOffset: number): Uint8Array {
    if (codec === 0) return records
    try {
      const unpacked = decompress(codec, records)
      // Plain, whatever the codec gave: what is cut from it must never be a Buffer.
      return new Uint8Array(unpacked.buffer, unpacked.byteOffset, unpacked.length)
    } catch (cause) {
      if (isEngineError(cause)) throw cause
      const text = cause instanceof Error ? cause.message : String(cause)
      throw this.#damaged(baseOffset, `it cannot be unpacked: ${text}`, cause)
    }
  }

  #readRecord(): void {
    const length = this.#varint()
    const end = this.#at + length
    if (length < 0 || end > this.body.length) {
      throw this.#damaged(this.#baseOffset, 'its records are longer than it is')
    }
    this.#at++ // attributes: none are defined
    const timestamp = this.#firstTimestamp + this.#varlong()
    this.offset = this.#baseOffset + this.#varint()
    this.keyLength = this.#varint()
    this.keyStart = this.#at
    if (this.keyLength > 0) this.#at += this.keyLength
    this.valueLength = this.#varint()
    this.valueStart = this.#at
    if (this.valueLength > 0) this.#at += this.valueLength
    this.#headersStart = this.#at
    this.#at = end
    const time = Number.isNaN(this.#appendTimestamp) ? timestamp : this.#appendTimestamp
    this.timestampMs = time === noTimestamp ? NaN : time
  }

  /** A zigzag number of up to 32 bits. */
  #varint(): number {
    const body = this.body
    let byte = body[this.#at++] as number
    let value = byte & 0x7f
    for (let shift = 7; byte >= 0x80; shift += 7) {
      byte = body[this.#at++] as number
      value |= (byte & 0x7f) << shift
    }
    return (value >>> 1) ^ -(value & 1)
  }

  /** A zigzag number of up to 53 bits. */
  #varlong(): number {
    const body = this.body
    let byte = body[this.#at++] as number
    let value = byte & 0x7f
    for (let unit = 128; byte >= 0x80; unit *= 128) {
      byte = body[this.#at++] as number
      value += (byte & 0x7f) * unit
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  #damaged(baseOffset: number, why: string, cause?: unknown): EngineError {
    return new EngineError(
      'KAFKA_FAILED',
      `The batch of ${this.#where} at offset ${baseOffset} is damaged: ${why}; a restart fetches it again, and if it stays so, the broker's log is damaged`,
      { cause },
    )
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** An offset or a time: below 2^53, so exact. */
function int64(view: DataView, at: number): number {
  return view.getInt32(at) * 0x1_0000_0000 + view.getUint32(at + 4)
}
