/**
 * Lines of files as records.
 *
 * Invariants
 *  - A file is one split and is read up to the size it had when it was found. Its id is its path below the base, its size and
 *    its time: a file put in the place of another is another split.
 *  - Where every file is read once (no `watchEvery`), a path has one split for ever: what became of the file after it was found,
 *    and was read in part by a former run, is for the reader to judge.
 *  - Paths in checkpoints are relative to the base, so a directory may move with its job.
 *
 * The enumerator runs on the coordinator's thread, readers on those of their subtasks. Neither keeps anything beyond a restart:
 * what is known stands in the checkpoint.
 */
import { basename, join } from 'node:path'
import type { Format } from '../../src/contract/format.ts'
import type {
  EnumeratorContext,
  ReaderContext,
  Source,
  SourceReader,
  Split,
  SplitEnumerator,
} from '../../src/contract/source.ts'
import type { Duration } from '../../src/core/duration.ts'
import { positiveMs } from '../../src/core/duration.ts'
import { EngineError, assert } from '../../src/core/errors.ts'
import { checkOnUndecodable, UndecodableRecords } from '../undecodable.ts'
import type { OnUndecodable } from '../undecodable.ts'
import { findFiles } from './file-discovery.ts'
import type { FoundFile } from './file-discovery.ts'
import { FileSplitReader } from './file-split-reader.ts'
import { parsePathPattern } from './path-pattern.ts'
import type { PathPattern } from './path-pattern.ts'
import { positiveBytes } from './positive-bytes.ts'
import { ReadBudget } from './read-budget.ts'

export interface FileSourceOptions<T> {
  /**
   * A file; a directory, for the files directly in it; or a path with wildcards in any of its names, `*` for any characters and `?`
   * for one. In directories and by wildcards, names that begin with `.` or `_` are passed over.
   */
  readonly path: string
  /** Of one line. */
  readonly format: Format<T>
  /**
   * Look for new files so often; then the source has no end. Default: read what is there and end.
   *
   * A file is read once, as it is when it is found, so it must be found whole: write it elsewhere on the same file system, or
   * under a name that begins with `.`, and move it in. A file that is changed or replaced later, by its size or its time of change,
   * counts as a new one and is read from its beginning.
   */
  readonly watchEvery?: Duration
  /**
   * A line that the format refuses: fails the job with `RECORD_UNDECODABLE`, is left out, counted and logged, or is sent to
   * `env.deadLetters`. Default `'fail'`.
   */
  readonly onUndecodable?: OnUndecodable
  /** A line that is longer fails the job. Default: 16 MiB. */
  readonly lineBytesMax?: number
  /** How much a subtask reads ahead of what it decodes, for all its files together. Default: 8 MiB. */
  readonly readAheadBytes?: number
}

const LINE_BYTES_MAX_DEFAULT = 16 * 1024 * 1024
const READ_AHEAD_BYTES_DEFAULT = 8 * 1024 * 1024

/**
 * The lines of files. A line ends with `\n` or `\r\n`, the last one also with its file; empty lines are passed over, and so is a
 * byte order mark at the start of a file. Records have no timestamps of their own.
 *
 * Fails with `FILE_NOT_FOUND` where `path` names nothing or a file is gone before it was read to its end, `FILE_CHANGED` where it
 * is not the file any more of which a part was read, `RECORD_UNDECODABLE` for a line that is not of the format or too long, with
 * file and byte, and `SOURCE_FAILED` where a file can't be read.
 *
 * @example
 * env.from('orders', fileSource({ path: 'in/orders-*.jsonl', format: json<Order>(), watchEvery: '10s' }))
 */
export function fileSource<T>(options: FileSourceOptions<T>): Source<T> {
  const { path, format, watchEvery, onUndecodable = 'fail' } = options
  checkOnUndecodable(onUndecodable)
  const pattern = parsePathPattern(path)
  const lineBytesMax = positiveBytes(options.lineBytesMax ?? LINE_BYTES_MAX_DEFAULT, 'lineBytesMax')
  const readAheadBytes = positiveBytes(
    options.readAheadBytes ?? READ_AHEAD_BYTES_DEFAULT,
    'readAheadBytes',
  )
  const discoverEveryMs =
    watchEvery === undefined ? undefined : positiveMs(watchEvery, 'watchEvery')
  return {
    type: 'files',
    isBounded: discoverEveryMs === undefined,
    sendsDeadLetters: onUndecodable === 'dead-letter',
    details: {
      path,
      format: format.name,
      ...(watchEvery === undefined ? {} : { watchEvery }),
      ...(onUndecodable === 'fail' ? {} : { onUndecodable }),
    },
    enumerator: (context) => new FileEnumerator(pattern, discoverEveryMs, context),
    reader: (context) =>
      openReader({ pattern, format, lineBytesMax, readAheadBytes, onUndecodable }, context),
  }
}

class FileEnumerator implements SplitEnumerator {
  readonly discoverEveryMs?: number
  readonly #pattern: PathPattern
  readonly #context: EnumeratorContext

  constructor(
    pattern: PathPattern,
    discoverEveryMs: number | undefined,
    context: EnumeratorContext,
  ) {
    this.#pattern = pattern
    this.#context = context
    if (discoverEveryMs !== undefined) this.discoverEveryMs = discoverEveryMs
  }

  async discover(known: ReadonlySet<string>): Promise<readonly Split[]> {
    const files = await findFiles(this.#pattern, this.#context.signal)
    const isWatching = this.discoverEveryMs !== undefined
    if (files.length === 0 && known.size === 0 && !isWatching) this.#complainAboutNothing()
    const fresh = files.filter((file) => !known.has(idOf(this.#pattern, file)))
    if (fresh.length === 0) return []

    const knownPaths = new Set(Array.from(known, pathOf))
    const splits: Split[] = []
    for (const file of fresh) {
      const id = idOf(this.#pattern, file)
      if (knownPaths.has(pathOf(id))) {
        if (!isWatching) continue
        this.#context.logger.warn('A file was changed or replaced and is read from its beginning', {
          operatorUid: this.#context.operatorUid,
          file: join(this.#pattern.base, file.path),
        })
      }
      const data: FileSplitData = { path: file.path, sizeBytes: file.sizeBytes }
      splits.push({ id, data })
    }
    return splits
  }

  /** A wildcard that matches nothing is most likely a mistake; an empty directory is one that nothing was put into. */
  #complainAboutNothing(): void {
    const { base, levels } = this.#pattern
    if (levels.length > 0) {
      throw new EngineError(
        'FILE_NOT_FOUND',
        `No file below ${base} has a name that the path of the source matches; correct it, or set watchEvery to wait for files`,
      )
    }
    this.#context.logger.warn('The directory of the source has no files', {
      operatorUid: this.#context.operatorUid,
      directory: base,
    })
  }
}

/** What a split carries for its reader. */
interface FileSplitData {
  /** Below the base; empty where the base is the file. */
  readonly path: string
  readonly sizeBytes: number
}

interface ReaderOptions<T> {
  readonly pattern: PathPattern
  readonly format: Format<T>
  readonly lineBytesMax: number
  readonly readAheadBytes: number
  readonly onUndecodable: OnUndecodable
}

function openReader<T>(options: ReaderOptions<T>, context: ReaderContext): SourceReader {
  const { pattern, format, lineBytesMax } = options
  const budget = new ReadBudget(options.readAheadBytes)
  const undecodable = new UndecodableRecords(options.onUndecodable, context)
  return {
    open(split) {
      const { path, sizeBytes } = toData(split)
      const position = toPosition(split, sizeBytes)
      return new FileSplitReader({
        path: join(pattern.base, path),
        sizeBytes,
        position,
        format,
        lineBytesMax,
        budget,
        undecodable,
        context,
      })
    },
  }
}

/** The id of a file's split. What stands before the last `@` is its path. */
function idOf({ base }: PathPattern, { path, sizeBytes, modifiedMs }: FoundFile): string {
  return `${path === '' ? basename(base) : path}@${sizeBytes}-${modifiedMs}`
}

function pathOf(id: string): string {
  return id.slice(0, id.lastIndexOf('@'))
}

function toData({ id, data }: Split): FileSplitData {
  assert(
    typeof data === 'object' &&
      data !== null &&
      'path' in data &&
      typeof data.path === 'string' &&
      'sizeBytes' in data &&
      typeof data.sizeBytes === 'number',
    `the data of split '${id}' is that of a file`,
  )
  return { path: data.path, sizeBytes: data.sizeBytes }
}

function toPosition({ id, position = 0 }: Split, sizeBytes: number): number {
  assert(
    typeof position === 'number' && position >= 0 && position <= sizeBytes,
    `the position ${String(position)} of split '${id}' lies within its ${sizeBytes} bytes`,
  )
  return position
}
