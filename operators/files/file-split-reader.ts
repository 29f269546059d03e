/**
 * Reads the lines of one file, from a position to the size it had when it was found.
 *
 * Invariants
 *  - The position is the offset of the next line. Reading from it again gives the same lines: what is appended to the file
 *    later belongs to no split, and a file that is another one by now is told by its size and by the line end that
 *    stands before the position.
 *  - `read` decodes what is in memory and never waits. One background loop a split reads chunks ahead, as many and as large as
 *    the subtask's `ReadBudget` says.
 *  - What fails in the background is thrown by the first `read` that would need it, after all lines before it.
 *  - A chunk has memory of its own and is never written to again: a format that keeps a part of it keeps it whole.
 *
 * Called on the subtask's thread. `read` costs the decoding of a record and one view of its bytes; a promise is made for a chunk.
 */
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import type { Format } from '../../src/contract/format.ts'
import type { ReaderContext, SplitReader } from '../../src/contract/source.ts'
import { EngineError, isEngineError } from '../../src/core/errors.ts'
import type { RecordBatch } from '../../src/core/record-batch.ts'
import type { UndecodableRecords } from '../undecodable.ts'
import { LineCutter } from './line-cutter.ts'
import type { ReadBudget } from './read-budget.ts'

/** What to read, and with what. */
export interface FileSplitOptions<T> {
  /** Absolute. */
  readonly path: string
  readonly sizeBytes: number
  /** Where the next line begins; 0 for the beginning. */
  readonly position: number
  readonly format: Format<T>
  readonly lineBytesMax: number
  readonly budget: ReadBudget
  readonly undecodable: UndecodableRecords
  readonly context: Pick<ReaderContext, 'available'>
}

/** In place of a value that could not be decoded. */
const passedOver: unique symbol = Symbol('passed over')
const LINE_FEED = 0x0a
/** So much of a line that cannot be decoded is shown in the error. */
const LINE_SHOWN_BYTES = 80

export class FileSplitReader<T> implements SplitReader {
  readonly #options: FileSplitOptions<T>
  readonly #lines: LineCutter
  readonly #chunks: Buffer[] = []
  #file: FileHandle | undefined
  /** Which file it was when it was opened first. */
  #identity: FileIdentity | undefined
  /** Up to where chunks have been read. */
  #fetchedTo: number
  #fetching: Promise<void> | undefined
  #failure: Error | undefined
  #isAwaited = false
  #isEnded = false
  #isClosed = false

  constructor(options: FileSplitOptions<T>) {
    this.#options = options
    this.#fetchedTo = options.position
    this.#lines = new LineCutter(options.position, options.lineBytesMax)
    options.budget.enter()
    this.#fetchAhead()
  }

  read(batch: RecordBatch, recordsMax: number): 'records' | 'empty' | 'ended' {
    const lines = this.#lines
    const { values, timestamps } = batch
    const { undecodable } = this.#options
    undecodable.beginRead()
    let count = 0
    let passedOverCount = 0
    while (count < recordsMax) {
      if (undecodable.isFull || passedOverCount > recordsMax) break
      const step = lines.next()
      if (step === 'line') {
        const value = this.#decode(lines.bytes.subarray(lines.start, lines.end))
        if (value === passedOver) {
          passedOverCount += 1
          continue
        }
        values[count] = value
        timestamps[count] = NaN
        count += 1
      } else if (step === 'too-long') {
        throw this.#tooLong()
      } else if (!this.#feed()) {
        break
      }
    }
    batch.count = count
    if (count > 0) return 'records'
    if (passedOverCount > 0) {
      this.#options.context.available() // there may be more behind what was passed over
      return 'empty'
    }
    if (this.#failure !== undefined) throw this.#failure
    this.#isAwaited = !this.#isEnded
    return this.#isEnded ? 'ended' : 'empty'
  }

  position(): number {
    return this.#lines.nextOffset
  }

  async close(): Promise<void> {
    if (!this.#isClosed && !this.#isEnded) this.#options.budget.leave()
    this.#isClosed = true
    this.#chunks.length = 0
    await this.#fetching
    await this.#closeFile()
  }

  #decode(line: Buffer): T | typeof passedOver {
    const { format, undecodable, path } = this.#options
    try {
      return format.decode(line)
    } catch (cause) {
      const byteOffset = this.#lines.lineOffset
      const shown = JSON.stringify(line.toString('utf8', 0, LINE_SHOWN_BYTES))
      const dots = line.length > LINE_SHOWN_BYTES ? '…' : ''
      undecodable.take(
        cause,
        (text) =>
          `The line at byte ${byteOffset} of the file ${path} is no ${format.name}: ${text}. It begins with ${shown}${dots}`,
        () => ({
          value: new Uint8Array(line),
          key: null,
          headers: new Map(),
          timestampMs: NaN,
          origin: { path, byteOffset },
        }),
      )
      return passedOver
    }
  }

  /** Gives the cutter the next chunk, or the end. False where neither is at hand. */
  #feed(): boolean {
    const chunk = this.#chunks.shift()
    if (chunk !== undefined) {
      this.#lines.feed(chunk)
      this.#fetchAhead()
      return true
    }
    if (this.#isEnded || this.#failure !== undefined) return false
    if (this.#fetchedTo < this.#options.sizeBytes) {
      this.#fetchAhead()
      return false
    }
    this.#isEnded = true
    this.#options.budget.leave()
    this.#lines.finish()
    return true
  }

  #hasRoomAhead(): boolean {
    return (
      !this.#isClosed &&
      this.#failure === undefined &&
      this.#fetchedTo < this.#options.sizeBytes &&
      this.#chunks.length < this.#options.budget.chunksMax()
    )
  }

  #fetchAhead(): void {
    if (this.#fetching === undefined && this.#hasRoomAhead()) this.#fetching = this.#fetch()
  }

  /** The background loop. Never rejects. */
  async #fetch(): Promise<void> {
    try {
      while (this.#hasRoomAhead()) {
        await this.#fetchChunk()
        this.#announce()
      }
      if (this.#fetchedTo >= this.#options.sizeBytes) await this.#closeFile()
    } catch (error) {
      this.#failure = this.#isClosed ? undefined : this.#toFailure(error)
      this.#announce()
    } finally {
      this.#fetching = undefined
    }
  }

  #announce(): void {
    if (!this.#isAwaited || this.#isClosed) return
    this.#isAwaited = false
    this.#options.context.available()
  }

  async #fetchChunk(): Promise<void> {
    const { budget, sizeBytes, position } = this.#options
    await budget.acquire()
    try {
      if (this.#isClosed) return
      const file = (this.#file ??= await this.#openFile())
      // the first time with the line end before the position, to see that it is one
      const goesOn = position > 0 && this.#fetchedTo === position
      const from = goesOn ? position - 1 : this.#fetchedTo
      const to = Math.min(sizeBytes, from + budget.chunkBytes())
      const bytes = await this.#readWhole(file, from, to)
      const chunk = goesOn ? this.#checkFirst(bytes) : bytes
      if (!budget.keepsFilesOpen()) await this.#closeFile()
      // both in one step, without waiting in between: who sees the end of the file must have got all of it
      this.#fetchedTo = to
      this.#chunks.push(chunk)
    } finally {
      budget.release()
    }
  }

  async #openFile(): Promise<FileHandle> {
    const { path, sizeBytes } = this.#options
    const file = await open(path, 'r')
    try {
      const stats = await file.stat()
      if (stats.size < sizeBytes) throw this.#shorter(stats.size)
      const before = (this.#identity ??= stats)
      if (before.ino !== stats.ino || before.dev !== stats.dev) {
        throw this.#changed('was replaced by another while it was read')
      }
      return file
    } catch (error) {
      await file.close()
      throw error
    }
  }

  async #readWhole(file: FileHandle, from: number, to: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafeSlow(to - from)
    let filled = 0
    while (filled < bytes.length) {
      const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, from + filled)
      if (bytesRead === 0) throw this.#shorter(from + filled)
      filled += bytesRead
    }
    return bytes
  }

  /** The byte before the position ends the line before; it is no part of what is read. */
  #checkFirst(bytes: Buffer): Buffer {
    if (bytes[0] === LINE_FEED) return bytes.subarray(1)
    throw this.#changed(
      `has no line end before byte ${this.#options.position}, where reading was to go on`,
    )
  }

  async #closeFile(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  #toFailure(error: unknown): Error {
    if (isEngineError(error)) return error
    const { path } = this.#options
    const text = error instanceof Error ? error.message : String(error)
    if (error instanceof Error && 'code' in error && missing.has(error.code)) {
      return new EngineError(
        'FILE_NOT_FOUND',
        `The file ${path} is gone, though ${this.#rest()} of it were still to be read; ` +
          'put it back, or start without this checkpoint',
        { cause: error },
      )
    }
    return new EngineError('SOURCE_FAILED', `The file ${path} cannot be read: ${text}`, {
      cause: error,
    })
  }

  #shorter(sizeBytes: number): EngineError {
    return this.#changed(
      `has ${sizeBytes} bytes, but had ${this.#options.sizeBytes} when it was found, ` +
        `of which ${this.#rest()} are still to be read`,
    )
  }

  #rest(): string {
    return `${this.#options.sizeBytes - this.position()} bytes`
  }

  #changed(what: string): EngineError {
    return new EngineError(
      'FILE_CHANGED',
      `The file ${this.#options.path} ${what}; put the former file back, or start without this checkpoint. ` +
        'Files of a source must not be changed while the job may still read them',
    )
  }

  #tooLong(): EngineError {
    return new EngineError(
      'RECORD_UNDECODABLE',
      `The line at byte ${this.#lines.lineOffset} of the file ${this.#options.path} is longer than ` +
        `${this.#options.lineBytesMax} bytes; raise lineBytesMax, or correct the file if it has no line ends`,
    )
  }
}

interface FileIdentity {
  readonly ino: number
  readonly dev: number
}

const missing: ReadonlySet<unknown> = new Set(['ENOENT', 'ENOTDIR'])
