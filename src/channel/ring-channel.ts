/**
 * A channel between two threads: frames in a ring over shared memory.
 *
 * Invariants
 *  - The writer holds at most one encoded element that the ring has not taken yet; while it does, it accepts nothing more.
 *  - A frame longer than the ring's largest goes through in pieces: a chunk is marked by its first word, CHUNK, and tells the
 *    length of the whole; the reader puts the pieces together before it decodes.
 *  - Each write and each release rings the other side's bell.
 */
import { BATCH_RECORDS_MAX, RecordBatch } from '../core/record-batch.ts'
import type { ChannelReader, ChannelWriter, StreamElement } from './channel.ts'
import type { Doorbell } from './doorbell.ts'
import type { ShapeBook } from './frame-codec.ts'
import { FrameDecoder, FrameEncoder, decodeControl, holdsRecords } from './frame-codec.ts'
import type { RingOptions } from './ring.ts'
import { RingReader, RingWriter, frameBytesMax } from './ring.ts'

const CHUNK = -2
const CHUNK_HEADER_BYTES = 16

export interface RingWriterOptions extends RingOptions {
  readonly book: ShapeBook
  readonly isKeyed: boolean
  /** The consumer's slot. */
  readonly bell: Doorbell
}

export class RingChannelWriter implements ChannelWriter {
  readonly #ring: RingWriter
  readonly #encoder: FrameEncoder
  readonly #bell: Doorbell
  readonly #frameBytesMax: number
  readonly #spare: RecordBatch[] = []
  /** Encoded, and not yet in the ring from `#pendingFrom` on. */
  #pending: Uint8Array | undefined
  #pendingFrom = 0

  constructor(memory: SharedArrayBuffer, options: RingWriterOptions) {
    this.#ring = new RingWriter(memory, options)
    this.#encoder = new FrameEncoder(options.book, options.isKeyed)
    this.#bell = options.bell
    this.#frameBytesMax = frameBytesMax(options)
  }

  takeBatch(): RecordBatch {
    return this.#spare.pop() ?? new RecordBatch(BATCH_RECORDS_MAX)
  }

  offer(element: StreamElement): boolean {
    if (!this.pump() || !this.#ring.hasSlot()) return false
    const frame = this.#encoder.encode(element)
    if (element.kind === 'records') {
      element.reset()
      this.#spare.push(element)
    }
    if (frame.length <= this.#frameBytesMax && this.#ring.tryWrite(frame)) {
      this.#bell.ring()
    } else {
      this.#pending = frame
      this.#pendingFrom = 0
      this.pump()
    }
    return true
  }

  pump(): boolean {
    const pending = this.#pending
    if (pending === undefined) return true
    if (pending.length <= this.#frameBytesMax) {
      if (!this.#ring.tryWrite(pending)) return false
    } else if (!this.#pumpChunks(pending)) {
      return false
    }
    this.#pending = undefined
    this.#bell.ring()
    return true
  }

  #pumpChunks(frame: Uint8Array): boolean {
    const piece = this.#frameBytesMax - CHUNK_HEADER_BYTES
    while (this.#pendingFrom < frame.length) {
      const to = Math.min(frame.length, this.#pendingFrom + piece)
      const chunk = new Uint8Array(CHUNK_HEADER_BYTES + to - this.#pendingFrom)
      const header = new Int32Array(chunk.buffer, 0, CHUNK_HEADER_BYTES / 4)
      header[0] = CHUNK
      header[1] = frame.length
      header[2] = this.#pendingFrom
      chunk.set(frame.subarray(this.#pendingFrom, to), CHUNK_HEADER_BYTES)
      if (!this.#ring.tryWrite(chunk)) return false
      this.#pendingFrom = to
      this.#bell.ring()
    }
    return true
  }
}

export interface RingReaderOptions extends RingOptions {
  /** The producer's slot. */
  readonly bell: Doorbell
  /** Whether strings are read one by one, for consumers that keep them. */
  readonly keepsStrings: boolean
}

export class RingChannelReader implements ChannelReader {
  readonly #ring: RingReader
  readonly #decoder: FrameDecoder
  readonly #bell: Doorbell
  readonly #spare: RecordBatch[] = []
  /** A frame that comes in pieces. */
  #whole: Uint8Array | undefined

  constructor(memory: SharedArrayBuffer, options: RingReaderOptions) {
    this.#ring = new RingReader(memory, options)
    this.#decoder = new FrameDecoder({ keepsStrings: options.keepsStrings })
    this.#bell = options.bell
  }

  poll(): StreamElement | undefined {
    const ring = this.#ring
    while (ring.next()) {
      const { memory, frameOffset, frameBytes } = ring
      const element =
        new Int32Array(memory, frameOffset, 1)[0] === CHUNK
          ? this.#addChunk(frameOffset, frameBytes)
          : this.#decode(memory, frameOffset, frameBytes)
      ring.release()
      this.#bell.ring()
      if (element !== undefined) return element
    }
    return undefined
  }

  recycle(batch: RecordBatch): void {
    batch.reset()
    this.#spare.push(batch)
  }

  #decode(memory: ArrayBufferLike, offset: number, bytes: number): StreamElement {
    if (!holdsRecords(memory, offset)) return decodeControl(memory, offset)
    const batch = this.#spare.pop() ?? new RecordBatch(BATCH_RECORDS_MAX)
    return this.#decoder.records(memory, offset, bytes, batch)
  }

  #addChunk(offset: number, bytes: number): StreamElement | undefined {
    const { memory } = this.#ring
    const header = new Int32Array(memory, offset, CHUNK_HEADER_BYTES / 4)
    const total = header[1] as number
    const from = header[2] as number
    const piece = new Uint8Array(memory, offset + CHUNK_HEADER_BYTES, bytes - CHUNK_HEADER_BYTES)
    this.#whole ??= new Uint8Array(total)
    this.#whole.set(piece, from)
    if (from + piece.length < total) return undefined
    const whole = this.#whole
    this.#whole = undefined
    return this.#decode(whole.buffer, 0, total)
  }
}
