/**
 * The frame: a batch of records, or one control element, as bytes between two threads of one process. Lives for milliseconds,
 * so it has no version; state and savepoints are written in the canonical encoding instead (core/value-codec.ts).
 *
 * Layout (little pieces first, every part begins at a multiple of 8)
 *   header      64 bytes, see the word numbers below
 *   timestamps  float64 each record
 *   hashes      int32 each record, if keyed
 *   kinds       a byte each record, 1 for those that are taken back, if there are any
 *   rows        see shape-codec.ts; a row of shape 0 is [0, bytes] with the value in the side bytes
 *   heap        all strings of the frame, one byte a character if none is above U+00FF, else UTF-16
 *   side        values in the canonical encoding, one after the other
 *   shapes      JSON of the shapes that appear in this channel for the first time
 *
 * Invariants
 *  - What a consumer reads equals what was written exactly (value model), whatever shape it had.
 *  - A record that leaves the learned shapes is written in the canonical encoding; shapes are widened and learned, at most
 *    `SHAPES_MAX` of them an edge. Records whose nested objects differ get a shape each (a union of types in a field), up
 *    to `VARIANTS_MAX`; then the field that differs is written in the canonical encoding.
 */
import { InvariantError } from '../core/errors.ts'
import { canGenerateCode } from '../core/generated-code.ts'
import type { RecordBatch } from '../core/record-batch.ts'
import { decodeValue, encodeValue } from '../core/value-codec.ts'
import { checkValue } from '../core/value.ts'
import type { StreamElement } from './channel.ts'
import type { RecordShape } from './record-shape.ts'
import { sameNames, sameStructure, shapeOf, widen } from './record-shape.ts'
import type { RowReader, RowSink, RowSource, RowWriter } from './shape-codec.ts'
import { rowReader, rowWords, rowWriter } from './shape-codec.ts'

const HEADER_WORDS = 16
const WORD_KIND = 0
const WORD_COUNT = 1
const WORD_FLAGS = 2
const WORD_ROWS = 3
const WORD_HEAP_BYTES = 4
const WORD_SIDE_BYTES = 5
const WORD_SHAPES_BYTES = 6
const DOUBLE_VALUE = 4

const FLAG_HASHES = 1
const FLAG_UTF16 = 2
const FLAG_RETRACTIONS = 4

const kinds = ['records', 'barrier', 'idle', 'end'] as const

/** Shapes of one edge: more kinds of records than this and the rest goes in the canonical encoding. */
const SHAPES_MAX = 32
/** Shapes that have the same fields on top. */
const VARIANTS_MAX = 8
const GENERIC_ROW_WORDS = 2
const wideCharacter = /[\u0100-\uffff]/

interface KnownShape {
  readonly id: number
  readonly shape: RecordShape
  readonly write: RowWriter
  readonly words: number
}

/** The shapes of one edge, learned by its producer and told to each consumer when first used. */
export class ShapeBook {
  readonly shapes: KnownShape[] = []
  #nextId = 1
  readonly #isLearning = canGenerateCode()

  /** A shape for a value that none of the present ones took; undefined if there will be none. */
  learn(value: unknown): KnownShape | undefined {
    if (!this.#isLearning || this.#nextId > SHAPES_MAX) return undefined
    const shape = shapeOf(value)
    if (shape === undefined) return undefined
    const index = this.#findFormer(shape)
    const former = this.shapes[index]
    const learned = this.#known(former === undefined ? shape : widen(former.shape, shape))
    if (former === undefined) this.shapes.push(learned)
    else this.shapes[index] = learned
    return learned
  }

  /** The shape to be widened; -1 where the new one should stand beside those there are. */
  #findFormer(shape: RecordShape): number {
    const same = this.shapes.findIndex((known) => sameStructure(known.shape, shape))
    if (same >= 0) return same
    const variants = this.shapes.filter((known) => sameNames(known.shape, shape))
    return variants.length < VARIANTS_MAX ? -1 : this.shapes.indexOf(variants[0] as KnownShape)
  }

  #known(shape: RecordShape): KnownShape {
    const id = this.#nextId++
    return { id, shape, write: rowWriter(shape, id), words: rowWords(shape) }
  }
}

/** Makes frames for one channel. The frame is valid until the next call. */
export class FrameEncoder implements RowSink {
  offset = 0
  heap = ''
  int32: Int32Array
  float64: Float64Array
  readonly #book: ShapeBook
  readonly #isKeyed: boolean
  readonly #announced = new Set<number>()
  #bytes: Buffer
  #side: Uint8Array[] = []
  #sideBytes = 0
  #last: KnownShape | undefined

  constructor(book: ShapeBook, isKeyed: boolean) {
    this.#book = book
    this.#isKeyed = isKeyed
    this.#bytes = Buffer.from(new ArrayBuffer(1 << 16))
    this.int32 = new Int32Array(this.#bytes.buffer)
    this.float64 = new Float64Array(this.#bytes.buffer)
  }

  side(bytes: Uint8Array): void {
    this.#side.push(bytes)
    this.#sideBytes += bytes.length
  }

  encode(element: StreamElement): Buffer {
    this.int32.fill(0, 0, HEADER_WORDS)
    this.int32[WORD_KIND] = kinds.indexOf(element.kind)
    switch (element.kind) {
      case 'records':
        return this.#encodeBatch(element)
      case 'barrier':
        this.int32[WORD_FLAGS] = element.checkpointKind === 'savepoint' ? 1 : 0
        this.float64[DOUBLE_VALUE] = element.checkpointId
        break
      case 'idle':
        this.int32[WORD_FLAGS] = element.isIdle ? 1 : 0
        break
      case 'end':
        break
    }
    return this.#bytes.subarray(0, HEADER_WORDS * 4)
  }

  #encodeBatch(batch: RecordBatch): Buffer {
    const { count, values } = batch
    const hasRetractions = batch.retractionCount > 0
    const kindsAt = HEADER_WORDS + count * 2 + (this.#isKeyed ? count + (count % 2) : 0)
    const rowsAt = kindsAt + (hasRetractions ? aligned(count) / 4 : 0)
    this.#ensureWords(rowsAt)
    this.float64.set(batch.timestamps.subarray(0, count), HEADER_WORDS / 2)
    if (this.#isKeyed) this.int32.set(batch.hashes.subarray(0, count), HEADER_WORDS + count * 2)
    if (hasRetractions) this.#bytes.set(batch.retractions.subarray(0, count), kindsAt * 4)
    this.offset = rowsAt
    this.heap = ''
    this.#side = []
    this.#sideBytes = 0
    const newShapes: KnownShape[] = []
    let row = 0
    try {
      for (; row < count; row++) this.#writeRow(values[row], newShapes)
    } catch (error) {
      // a field was refused; the record says where the field stands in it
      checkValue(values[row])
      throw error
    }

    const rowsEnd = this.offset * 4
    const heap = this.heap
    const isWide = wideCharacter.test(heap)
    const heapBytes = isWide ? heap.length * 2 : heap.length
    const shapes = newShapes.length === 0 ? '' : shapesText(newShapes)
    const shapesBytes = Buffer.byteLength(shapes)
    const sideAt = aligned(rowsEnd + heapBytes)
    const shapesAt = aligned(sideAt + this.#sideBytes)
    const end = aligned(shapesAt + shapesBytes)
    this.#ensureWords(end / 4)

    const bytes = this.#bytes
    if (heapBytes > 0) bytes.write(heap, rowsEnd, isWide ? 'utf16le' : 'latin1')
    let position = sideAt
    for (const part of this.#side) {
      bytes.set(part, position)
      position += part.length
    }
    if (shapesBytes > 0) bytes.write(shapes, shapesAt)

    const words = this.int32
    words[WORD_COUNT] = count
    words[WORD_FLAGS] =
      (this.#isKeyed ? FLAG_HASHES : 0) |
      (isWide ? FLAG_UTF16 : 0) |
      (hasRetractions ? FLAG_RETRACTIONS : 0)
    words[WORD_ROWS] = this.offset - rowsAt
    words[WORD_HEAP_BYTES] = heapBytes
    words[WORD_SIDE_BYTES] = this.#sideBytes
    words[WORD_SHAPES_BYTES] = shapesBytes
    this.float64[DOUBLE_VALUE] = batch.watermarkMs
    this.heap = ''
    this.#side = []
    return bytes.subarray(0, end)
  }

  #writeRow(value: unknown, newShapes: KnownShape[]): void {
    const last = this.#last
    if (last !== undefined && last.words <= this.int32.length - this.offset) {
      if (last.write(this, value)) return
    }
    for (const known of this.#book.shapes) {
      if (this.#tryShape(known, value, newShapes)) return
    }
    const learned = this.#book.learn(value)
    if (learned !== undefined && this.#tryShape(learned, value, newShapes)) return
    this.#writeGeneric(value)
  }

  #tryShape(known: KnownShape, value: unknown, newShapes: KnownShape[]): boolean {
    this.#ensureWords(this.offset + known.words)
    if (!known.write(this, value)) return false
    this.#last = known
    if (!this.#announced.has(known.id)) {
      this.#announced.add(known.id)
      newShapes.push(known)
    }
    return true
  }

  #writeGeneric(value: unknown): void {
    const bytes = encodeValue(value)
    this.#ensureWords(this.offset + GENERIC_ROW_WORDS)
    this.int32[this.offset] = 0
    this.int32[this.offset + 1] = bytes.length
    this.offset += GENERIC_ROW_WORDS
    this.side(bytes)
  }

  #ensureWords(words: number): void {
    if (words <= this.int32.length) return
    const larger = new ArrayBuffer(Math.max(words * 4, this.#bytes.length * 2))
    const bytes = Buffer.from(larger)
    bytes.set(this.#bytes)
    this.#bytes = bytes
    this.int32 = new Int32Array(larger)
    this.float64 = new Float64Array(larger)
  }
}

/** Reads the frames of one channel. */
export class FrameDecoder implements RowSource {
  offset = 0
  heap = ''
  heapOffset = 0
  int32: Int32Array = new Int32Array(0)
  float64: Float64Array = new Float64Array(0)
  readonly #keepsStrings: boolean
  readonly #readers: (RowReader | undefined)[] = []
  #bytes: Buffer = Buffer.alloc(0)
  #sideAt = 0

  constructor(options: { readonly keepsStrings: boolean }) {
    this.#keepsStrings = options.keepsStrings
  }

  side(bytes: number): Uint8Array {
    const from = this.#sideAt
    this.#sideAt = from + bytes
    // copied out of shared memory: the decoder must not see it change, and TextDecoder refuses it
    return Uint8Array.prototype.slice.call(this.#bytes, from, from + bytes)
  }

  /** Reads the records of the frame at `byteOffset` of `memory` into `batch`. */
  records(
    memory: ArrayBufferLike,
    byteOffset: number,
    byteLength: number,
    batch: RecordBatch,
  ): RecordBatch {
    this.int32 = new Int32Array(memory, byteOffset, byteLength >> 2)
    this.float64 = new Float64Array(memory, byteOffset, byteLength >> 3)
    this.#bytes = Buffer.from(memory as ArrayBuffer, byteOffset, byteLength)
    return this.#decodeBatch(batch)
  }

  #decodeBatch(batch: RecordBatch): RecordBatch {
    const words = this.int32
    const count = words[WORD_COUNT] as number
    const flags = words[WORD_FLAGS] as number
    const heapBytes = words[WORD_HEAP_BYTES] as number
    const shapesBytes = words[WORD_SHAPES_BYTES] as number
    const hasHashes = (flags & FLAG_HASHES) !== 0
    const hasRetractions = (flags & FLAG_RETRACTIONS) !== 0
    const kindsAt = HEADER_WORDS + count * 2 + (hasHashes ? count + (count % 2) : 0)
    const rowsAt = kindsAt + (hasRetractions ? aligned(count) / 4 : 0)
    const rowsEnd = (rowsAt + (words[WORD_ROWS] as number)) * 4
    this.#sideAt = aligned(rowsEnd + heapBytes)
    if (shapesBytes > 0) {
      const shapesAt = aligned(this.#sideAt + (words[WORD_SIDE_BYTES] as number))
      this.#learn(this.#bytes.toString('utf8', shapesAt, shapesAt + shapesBytes))
    }
    const heapEncoding = (flags & FLAG_UTF16) === 0 ? 'latin1' : 'utf16le'
    this.heap = this.#bytes.toString(heapEncoding, rowsEnd, rowsEnd + heapBytes)
    this.heapOffset = 0
    this.offset = rowsAt

    batch.timestamps.set(this.float64.subarray(HEADER_WORDS / 2, HEADER_WORDS / 2 + count))
    if (hasHashes) {
      const hashesAt = HEADER_WORDS + count * 2
      batch.hashes.set(words.subarray(hashesAt, hashesAt + count))
    }
    if (hasRetractions) {
      for (let i = 0; i < count; i++) {
        if (this.#bytes[kindsAt * 4 + i] === 1) batch.markRetraction(i)
      }
    }
    const { values } = batch
    const readers = this.#readers
    for (let i = 0; i < count; i++) {
      const id = words[this.offset] as number
      values[i] = id === 0 ? this.#readGeneric() : (readers[id] as RowReader)(this)
    }
    batch.count = count
    batch.watermarkMs = this.float64[DOUBLE_VALUE] as number
    this.heap = ''
    return batch
  }

  #readGeneric(): unknown {
    const bytes = this.int32[this.offset + 1] as number
    this.offset += GENERIC_ROW_WORDS
    return decodeValue(this.side(bytes))
  }

  #learn(text: string): void {
    for (const [id, shape] of JSON.parse(text) as [number, RecordShape][]) {
      this.#readers[id] = rowReader(shape, this.#keepsStrings)
    }
  }
}

/** Whether the frame at `byteOffset` holds records; else it is read by `decodeControl`. */
export function holdsRecords(memory: ArrayBufferLike, byteOffset: number): boolean {
  return new Int32Array(memory, byteOffset, 1)[WORD_KIND] === kinds.indexOf('records')
}

/** The control element in the frame at `byteOffset`. */
export function decodeControl(memory: ArrayBufferLike, byteOffset: number): StreamElement {
  const words = new Int32Array(memory, byteOffset, HEADER_WORDS)
  const value = new Float64Array(memory, byteOffset, HEADER_WORDS / 2)[DOUBLE_VALUE] as number
  const kind = kinds[words[WORD_KIND] as number]
  switch (kind) {
    case 'barrier':
      return {
        kind,
        checkpointId: value,
        checkpointKind: words[WORD_FLAGS] === 1 ? 'savepoint' : 'checkpoint',
      }
    case 'idle':
      return { kind, isIdle: words[WORD_FLAGS] === 1 }
    case 'end':
      return { kind }
    default:
      throw new InvariantError(`A frame of kind ${words[WORD_KIND]} holds no control element`)
  }
}

function shapesText(shapes: readonly KnownShape[]): string {
  return JSON.stringify(shapes.map(({ id, shape }) => [id, shape]))
}

function aligned(bytes: number): number {
  return (bytes + 7) & ~7
}
