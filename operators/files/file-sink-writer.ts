/**
 * Records as lines of files, exactly once.
 *
 *  1. `write` encodes a record into a block; full blocks go to a hidden file and are written in the background.
 *  2. `prepare` ends the file of the epoch. It is durable when the file and its name are synced: the file is staged, whole and
 *     hidden. The committable tells staged and final names.
 *  3. `commit` renames staged files to their final names.
 *
 * Invariants
 *  - Under a final name there is a whole file of a completed checkpoint, or nothing. It never changes.
 *  - `commit` may be repeated: a file that has its final name is done. One that has neither name is lost, and said to be.
 *  - An epoch is durable only when all before it are: the checkpoint after an aborted one commits both.
 *  - After the first failure the writer takes nothing more. What no checkpoint covers is written again by the next run.
 *  - Hidden files of other runs are removed only when no checkpoint that can be resumed names them; see `discardUnnamed`.
 *
 * Called on the subtask's thread; nothing waits. A record costs its encoding and a copy.
 */
import type { Format } from '../../src/contract/format.ts'
import type {
  Committable,
  PreparedEpoch,
  SinkContext,
  SinkWriter,
} from '../../src/contract/sink.ts'
import { EngineError } from '../../src/core/errors.ts'
import { PartFile } from './part-file.ts'
import {
  extensionOf,
  finalName,
  formerLife,
  isSameAttempt,
  isSameSink,
  parseHidden,
  stagedName,
} from './part-name.ts'
import type { FormerLife, HiddenPart } from './part-name.ts'
import type { SinkDirectory } from './sink-directory.ts'
import { attempted, sinkFailure } from './sink-failure.ts'
import { publish, toStagedFiles } from './staged-files.ts'
import type { StagedFile, StagedFiles } from './staged-files.ts'

/** See `FileSinkOptions`; nothing is left open. */
export interface FileSinkWriterOptions<T> {
  readonly directory: string
  readonly format: Format<T>
  readonly bytesMax: number
  readonly writeBehindBytesMax: number
}

/** One write. */
const BLOCK_BYTES = 256 * 1024
/** So many ended files may wait to be synced before the sink takes no more. */
const FILES_FINISHING_MAX = 4
const LINE_FEED = 0x0a

/** Opens the writer of one subtask; `directoryOf` gives it the disk. */
export async function openFileSinkWriter<T>(
  options: FileSinkWriterOptions<T>,
  context: SinkContext,
  directoryOf: (path: string) => SinkDirectory,
): Promise<FileSinkWriter<T>> {
  const directory = directoryOf(options.directory)
  const names = await attempted(
    `The directory ${directory.path} of the file sink cannot be written to`,
    async () => {
      await directory.make()
      return directory.list()
    },
  )
  return new FileSinkWriter(options, context, {
    directory,
    directoryOf,
    hidden: names.filter((name) => parseHidden(name) !== undefined),
    former: formerLife(context, names),
  })
}

/** The disk as a writer finds it. */
interface FileSinkDisk {
  readonly directory: SinkDirectory
  readonly directoryOf: (path: string) => SinkDirectory
  /** The hidden files that were there when this run opened. */
  readonly hidden: readonly string[]
  readonly former: FormerLife
}

export class FileSinkWriter<T> implements SinkWriter {
  readonly #options: FileSinkWriterOptions<T>
  readonly #context: SinkContext
  readonly #directory: SinkDirectory
  readonly #directoryOf: (path: string) => SinkDirectory
  readonly #hidden: readonly string[]
  readonly #former: FormerLife
  #block: Buffer | undefined
  #blockFilled = 0
  /** A block that was written and may be filled again. */
  #spareBlock: Buffer | undefined
  #part: PartFile | undefined
  /** Of the open part, with what is still in the block. */
  #partBytes = 0
  /** The number of the next part. */
  #nextN: number
  /** Ended parts of the present epoch. */
  #ended: { readonly part: PartFile; readonly finished: Promise<void> }[] = []
  #finishingCount = 0
  #queuedBytes = 0
  #isAwaited = false
  /** Settles when all epochs so far are durable. */
  #durable: Promise<void> | undefined
  #failure: EngineError | undefined
  /** Whether staged files of former runs are still to be looked through. */
  #owesDiscard = false
  #closing: Promise<void> | undefined

  constructor(
    options: FileSinkWriterOptions<T>,
    context: SinkContext,
    { directory, directoryOf, hidden, former }: FileSinkDisk,
  ) {
    this.#options = options
    this.#context = context
    this.#directory = directory
    this.#directoryOf = directoryOf
    this.#hidden = hidden
    this.#former = former
    this.#nextN = former.nextN
  }

  write(value: unknown): void {
    if (this.#failure !== undefined) throw this.#failure
    const line = this.#options.format.encode(value as T)
    if (line.includes(LINE_FEED)) throw this.#lineEndInside()
    const bytes = line.length + 1
    if (this.#partBytes > 0 && this.#partBytes + bytes > this.#options.bytesMax) this.#endPart()
    this.#partBytes += bytes
    const block = this.#blockWithRoom(bytes)
    block.set(line, this.#blockFilled)
    this.#blockFilled += bytes
    block[this.#blockFilled - 1] = LINE_FEED
  }

  hasRoom(): boolean {
    const hasRoom =
      this.#queuedBytes < this.#options.writeBehindBytesMax &&
      this.#finishingCount < FILES_FINISHING_MAX
    if (!hasRoom) this.#isAwaited = true
    return hasRoom
  }

  prepare(checkpointId: number): PreparedEpoch {
    if (this.#failure !== undefined) throw this.#failure
    this.#endPart()
    const ended = this.#ended
    this.#ended = []
    if (ended.length > 0) this.#durable = this.#settle(ended.map(({ finished }) => finished))
    const durable = this.#durable === undefined ? {} : { durable: this.#durable }
    if (ended.length === 0) return durable
    const extension = extensionOf(this.#options.format.name)
    const { life } = this.#former
    const files = ended.map(({ part }, n): StagedFile => {
      const final = finalName(this.#context, { checkpointId, n, life, extension })
      return { staged: part.name, final, bytes: part.bytes }
    })
    const committable: StagedFiles = { directory: this.#directory.path, files }
    return { committable, ...durable }
  }

  async commit(committable: Committable): Promise<void> {
    const staged = toStagedFiles(committable)
    const directories = new Set([staged.directory, this.#directory.path])
    const places = Array.from(directories, (path) =>
      path === this.#directory.path ? this.#directory : this.#directoryOf(path),
    )
    const touched = new Set<SinkDirectory>()
    for (const file of staged.files) touched.add(await publish(places, file))
    for (const directory of touched) {
      await attempted(`The directory ${directory.path} cannot be synced`, () => directory.sync())
    }
    if (this.#owesDiscard && this.#isOwn(staged)) await this.#discardOwed()
  }

  /**
   * Removes hidden files that former runs of this sink left.
   *
   * A file that was still being written is named by no checkpoint: it goes at once. A staged file may be named by a committable that
   * fell to another subtask, which may not have come to its commits yet. So with several subtasks staged files go only after the
   * first commit of this run: its checkpoint completed, so every subtask was running, and had committed what it was restored
   * with. Until then they lie there, unseen. Several subtasks may remove the same files.
   *
   * Only what was there when this run opened is looked at: a process that stood still while another took over must not remove
   * what that one stages.
   */
  async discardUnnamed(): Promise<void> {
    const isOnly = this.#context.parallelism === 1
    this.#owesDiscard = !isOnly
    await this.#discard((part) => part.isOpen || isOnly)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const unprepared = this.#ended.map(({ part }) => part)
    if (this.#part !== undefined) unprepared.push(this.#part)
    this.#part = undefined
    this.#ended = []
    await Promise.all(unprepared.map((part) => part.abandon()))
    try {
      await this.#durable
    } catch {
      // whoever waits for the epoch has been told
    }
  }

  #blockWithRoom(bytes: number): Buffer {
    if (this.#block !== undefined && this.#blockFilled + bytes <= this.#block.length) {
      return this.#block
    }
    this.#flushBlock()
    if (bytes <= BLOCK_BYTES) {
      this.#block = this.#spareBlock ?? Buffer.allocUnsafeSlow(BLOCK_BYTES)
      this.#spareBlock = undefined
    } else {
      this.#block = Buffer.allocUnsafeSlow(bytes)
    }
    return this.#block
  }

  #flushBlock(): void {
    if (this.#block === undefined || this.#blockFilled === 0) return
    this.#part ??= this.#beginPart()
    this.#queuedBytes += this.#blockFilled
    this.#part.append(this.#block.subarray(0, this.#blockFilled))
    this.#block = undefined
    this.#blockFilled = 0
  }

  #beginPart(): PartFile {
    const name = stagedName(this.#context, this.#nextN)
    this.#nextN += 1
    return new PartFile(this.#directory, name, {
      onWritten: (block) => this.#onWritten(block),
      onFailed: (error) => this.#fail(name, error),
    })
  }

  #endPart(): void {
    this.#flushBlock()
    const part = this.#part
    this.#part = undefined
    this.#partBytes = 0
    if (part === undefined) return
    this.#finishingCount += 1
    const finished = part.finish().then(() => {
      this.#finishingCount -= 1
      this.#wake()
    })
    // a rejection is told by `onFailed` at once, and by the epoch's `durable`
    finished.catch(() => undefined)
    this.#ended.push({ part, finished })
  }

  #settle(finished: readonly Promise<void>[]): Promise<void> {
    const durable = Promise.all([this.#durable, ...finished])
      .then(() => this.#directory.sync())
      .catch((error: unknown) => {
        throw this.#fail('', error)
      })
    // told by `fail` as well: nobody else may be waiting
    durable.catch(() => undefined)
    return durable
  }

  #onWritten(block: Buffer): void {
    this.#queuedBytes -= block.length
    if (block.buffer.byteLength === BLOCK_BYTES) this.#spareBlock = Buffer.from(block.buffer)
    this.#wake()
  }

  #wake(): void {
    if (!this.#isAwaited || !this.hasRoom()) return
    this.#isAwaited = false
    this.#context.mailbox.submit(nothing)
  }

  /** The first failure is the one that counts. */
  #fail(name: string, error: unknown): EngineError {
    if (this.#failure === undefined) {
      const place = name === '' ? this.#directory.path : `${this.#directory.path}/${name}`
      this.#failure = sinkFailure(`The file sink cannot write ${place}`, error)
      if (this.#closing === undefined) this.#context.fail(this.#failure)
    }
    return this.#failure
  }

  /** Whether an epoch was staged by this run. */
  #isOwn({ files }: StagedFiles): boolean {
    return files.some(({ staged }) => {
      const part = parseHidden(staged)
      return part !== undefined && isSameAttempt(part, this.#context)
    })
  }

  /** What is removed here has no part in the commit that gave the occasion, so failing to is no reason to fail it. */
  async #discardOwed(): Promise<void> {
    this.#owesDiscard = false
    try {
      await this.#discard(() => true)
    } catch (error) {
      this.#context.logger.warn('Leftovers of former runs could not be removed', {
        operatorUid: this.#context.operatorUid,
        directory: this.#directory.path,
        reason: error instanceof Error ? error.message : String(error),
      })
    }
  }

  async #discard(mayGo: (part: HiddenPart) => boolean): Promise<void> {
    const named = new Set(
      this.#context.restored.flatMap((committable) =>
        toStagedFiles(committable).files.map(({ staged }) => staged),
      ),
    )
    const former = new Set(this.#former.hidden)
    await attempted(`Leftovers in ${this.#directory.path} cannot be removed`, async () => {
      for (const name of this.#hidden) {
        const part = parseHidden(name)
        if (part === undefined || named.has(name)) continue
        if (!isSameSink(part, this.#context)) continue
        // of this run, unless it was there before it
        if (isSameAttempt(part, this.#context) && !former.has(name)) continue
        if (mayGo(part)) await this.#directory.remove(name)
      }
    })
  }

  #lineEndInside(): EngineError {
    return new EngineError(
      'VALUE_UNSUPPORTED',
      `A record written as ${this.#options.format.name} has a line end in it, and would be read as two; ` +
        'write it as json(), or replace the line end',
    )
  }
}

function nothing(): void {}
