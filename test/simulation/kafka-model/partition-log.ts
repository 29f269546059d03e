/**
 * One partition as a broker keeps it: batches, the ends of transactions, and what it knows of producers.
 *
 * Invariants
 *  - A batch of a producer is written if its sequence number follows the former's, under the highest epoch that the partition has seen.
 *    A batch that is there already is answered, not written.
 *  - Of batches that would begin a transaction in the partition, none is written after one with a lower number has been tried.
 *  - The last stable offset is the first offset of the oldest transaction that has no end in this partition.
 */
import { RecordBatchWriter, stampBatch } from '../../../operators/kafka/record-batch-writer.ts'
import { batchLayout, RecordCursor } from '../../../operators/kafka/record-cursor.ts'
import type { AbortedTransaction, ProducerIdentity } from '../../../operators/kafka/kafka-client.ts'
import { code } from './codes.ts'

const transactionalBit = 0x10
const controlOfTransaction = 0x30
/** Batches of a producer that a partition remembers. */
const rememberedMax = 5

/** Part of a log: the records of one batch, or the end of a transaction. */
export interface LogEntry {
  readonly baseOffset: number
  readonly count: number
  readonly producerId: bigint
  readonly epoch: number
  readonly bytes: Buffer
  readonly end: 'commit' | 'abort' | undefined
}

interface Producer {
  epoch: number
  lastSequence: number
  batches: { readonly first: number; readonly last: number; readonly baseOffset: number }[]
  /** Of its transaction that has not ended here. */
  firstOffset: number | undefined
}

interface EndedTransaction extends AbortedTransaction {
  readonly endOffset: number
}

export class PartitionLog {
  readonly entries: LogEntry[] = []
  endOffset = 0
  readonly #producers = new Map<bigint, Producer>()
  readonly #aborted: EndedTransaction[] = []
  /** By producer: what was tried to begin a transaction with, the lowest number under the highest epoch. */
  readonly #tried = new Map<bigint, { readonly epoch: number; readonly sequence: number }>()

  get stableOffset(): number {
    let stable = this.endOffset
    for (const { firstOffset } of this.#producers.values()) {
      if (firstOffset !== undefined && firstOffset < stable) stable = firstOffset
    }
    return stable
  }

  hasOngoing({ producerId, epoch }: ProducerIdentity): boolean {
    const producer = this.#producers.get(producerId)
    return producer?.firstOffset !== undefined && producer.epoch === epoch
  }

  /** A batch has come that would begin a transaction here. */
  tries({ producerId, epoch, sequence }: BatchStamp): void {
    const former = this.#tried.get(producerId)
    const isLower = former === undefined || epoch > former.epoch || sequence < former.sequence
    if (isLower && epoch >= (former?.epoch ?? -1)) this.#tried.set(producerId, { epoch, sequence })
  }

  append(given: Uint8Array): { readonly errorCode: number; readonly baseOffset: number } {
    const bytes = Buffer.from(given)
    const { producerId, epoch, sequence, count, isTransactional } = stampOf(bytes)
    const last = sequence + count - 1
    const known = this.#producers.get(producerId)
    const former =
      known?.epoch === epoch
        ? known.batches.find((batch) => batch.first === sequence && batch.last === last)
        : undefined
    if (former !== undefined) return { errorCode: code.none, baseOffset: former.baseOffset }
    if (known !== undefined && epoch < known.epoch) return refused(code.invalidProducerEpoch)
    if (sequence > (this.#tried.get(producerId)?.sequence ?? Infinity)) {
      return refused(code.outOfOrderSequence)
    }
    if (known !== undefined) {
      const expected = known.epoch === epoch ? known.lastSequence + 1 : 0
      if (sequence !== expected) return refused(code.outOfOrderSequence)
    }
    const baseOffset = this.endOffset
    const producer = this.#producerOf(producerId, epoch)
    producer.lastSequence = last
    producer.batches = [...producer.batches, { first: sequence, last, baseOffset }].slice(
      -rememberedMax,
    )
    if (isTransactional) {
      producer.firstOffset ??= baseOffset
      this.#tried.delete(producerId)
    }
    this.#keep(bytes, { count, producerId, epoch, end: undefined })
    return { errorCode: code.none, baseOffset }
  }

  /** The end of a transaction, with what it has here; one that has nothing here has a marker all the same. */
  appendEnd(identity: ProducerIdentity, end: 'commit' | 'abort'): readonly LogEntry[] {
    const { producerId, epoch } = identity
    const producer = this.#producerOf(producerId, epoch)
    const { firstOffset } = producer
    producer.firstOffset = undefined
    const ended = this.entries.filter(
      (entry) =>
        entry.producerId === producerId &&
        entry.end === undefined &&
        entry.baseOffset >= (firstOffset ?? Infinity),
    )
    if (end === 'abort' && firstOffset !== undefined) {
      this.#aborted.push({ producerId, firstOffset, endOffset: this.endOffset })
    }
    const writer = new RecordBatchWriter()
    writer.append(0, Buffer.from([0, 0, 0, end === 'commit' ? 1 : 0]), Buffer.alloc(6), undefined)
    const bytes = Buffer.from(writer.finish('none'))
    bytes.writeInt16BE(controlOfTransaction, batchLayout.attributes)
    stampBatch(bytes, identity, -1, true)
    this.#keep(bytes, { count: 1, producerId, epoch, end })
    return ended
  }

  /** Batches from the one that holds `offset` on, before `endOffset`, and which transactions among them were aborted. */
  read(
    offset: number,
    endOffset: number,
  ): { readonly bytes: Buffer; readonly aborted: readonly AbortedTransaction[] } {
    const found = this.entries.filter(
      ({ baseOffset, count }) => baseOffset + count > offset && baseOffset < endOffset,
    )
    return {
      bytes: Buffer.concat(found.map(({ bytes }) => bytes)),
      aborted: this.#aborted.filter(
        (each) => each.endOffset >= offset && each.firstOffset < endOffset,
      ),
    }
  }

  /** The highest epoch wins, and begins to count anew. */
  #producerOf(producerId: bigint, epoch: number): Producer {
    let producer = this.#producers.get(producerId)
    if (producer === undefined) {
      producer = { epoch, lastSequence: -1, batches: [], firstOffset: undefined }
      this.#producers.set(producerId, producer)
    } else if (producer.epoch !== epoch) {
      producer.epoch = epoch
      producer.lastSequence = -1
      producer.batches = []
    }
    return producer
  }

  #keep(bytes: Buffer, entry: Omit<LogEntry, 'baseOffset' | 'bytes'>): void {
    bytes.writeBigInt64BE(BigInt(this.endOffset), batchLayout.baseOffset)
    this.entries.push({ ...entry, bytes, baseOffset: this.endOffset })
    this.endOffset += entry.count
  }
}

function refused(errorCode: number): { readonly errorCode: number; readonly baseOffset: number } {
  return { errorCode, baseOffset: -1 }
}

export interface BatchStamp extends ProducerIdentity {
  readonly sequence: number
  readonly count: number
  readonly isTransactional: boolean
}

export function stampOf(bytes: Uint8Array): BatchStamp {
  const batch = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  return {
    producerId: batch.readBigInt64BE(batchLayout.producerId),
    epoch: batch.readInt16BE(batchLayout.producerEpoch),
    sequence: batch.readInt32BE(batchLayout.sequence),
    count: batch.readInt32BE(batchLayout.recordCount),
    isTransactional: (batch.readInt16BE(batchLayout.attributes) & transactionalBit) !== 0,
  }
}

/** The texts of a batch's records. */
export function valuesOf({ bytes, baseOffset, count }: LogEntry): string[] {
  const values: string[] = []
  const cursor = new RecordCursor('model')
  cursor.open({ bytes, fromOffset: baseOffset, nextOffset: baseOffset + count, aborted: [] })
  while (cursor.next()) {
    const { body, valueStart, valueLength } = cursor
    values.push(
      Buffer.from(body.buffer, body.byteOffset + valueStart, valueLength).toString('utf8'),
    )
  }
  return values
}
