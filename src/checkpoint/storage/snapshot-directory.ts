/**
 * Snapshots of subtasks in a directory. One per thread; the coordinator's side is checkpoint-directory.ts.
 *
 *   <root>/data/<checkpoint>-<attempt>/<operator uid>-<subtask>/...     the files of one snapshot
 *   <work>/read-<n>/                                                   private copies, to be opened for reading
 *
 * Invariants
 *  - The files of a snapshot are only ever read, linked or copied; never opened as a database, which would change them.
 *  - When `close` settles, the files and their names are durable, and the handle has the checksum of each.
 */
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type {
  SnapshotFile,
  SnapshotHandle,
  SnapshotReader,
  SnapshotSourceFile,
  SnapshotStorage,
  SnapshotTarget,
  SnapshotWriter,
  StatePage,
} from '../../contract/snapshot-storage.ts'
import { EngineError } from '../../core/errors.ts'
import type { KeyGroupRange } from '../../core/key-group.ts'
import type { FileSystem } from './file-system.ts'
import { DatabasePages, FilePages } from './page-sink.ts'
import type { PageSink } from './page-sink.ts'
import { PageDatabase } from './page-database.ts'
import { readPages } from './page-file.ts'

/** Pages that may wait for the disk, of one snapshot. */
const PAGE_BYTES_WAITING_MAX = 8 << 20

export interface SnapshotDirectoryOptions {
  readonly files: FileSystem
  /** The checkpoint directory. */
  readonly root: string
  /** Where private copies may lie, best on the same file system. */
  readonly work: string
  /** How pages of checkpoints are kept: in LevelDB, or (on a simulated disk, which LevelDB cannot use) in plain files. */
  readonly pages: 'database' | 'files'
}

/** The directory of a checkpoint's data, below the root. */
export function dataDirectory(checkpointId: number, attempt: string): string {
  return join('data', `${String(checkpointId).padStart(8, '0')}-${attempt}`)
}

export class SnapshotDirectory implements SnapshotStorage {
  readonly #options: SnapshotDirectoryOptions
  /** Per operator subtask the checksums of the immutable files of its last snapshot: each is read once, when it is first taken. */
  readonly #checksums = new Map<string, ReadonlyMap<string, number>>()
  #readCount = 0

  constructor(options: SnapshotDirectoryOptions) {
    this.#options = options
  }

  writer(target: SnapshotTarget): SnapshotWriter {
    const base =
      target.directory ??
      join(this.#options.root, dataDirectory(target.checkpointId, target.attempt))
    const owner = `${target.operatorUid}-${target.subtaskIndex}`
    const directory = join(base, owner)
    const usesDatabase = target.kind === 'checkpoint' && this.#options.pages === 'database'
    const { files } = this.#options
    return new DirectoryWriter({
      files,
      directory,
      target,
      pages: usesDatabase
        ? new DatabasePages(files, directory)
        : new FilePages(files, directory, target),
      knownChecksums: this.#checksums.get(owner) ?? new Map(),
      keepChecksums: (checksums) => this.#checksums.set(owner, checksums),
    })
  }

  async reader(handle: SnapshotHandle): Promise<SnapshotReader> {
    const readNumber = this.#readCount++
    return new DirectoryReader(
      this.#options.files,
      handle,
      join(this.#options.work, `read-${readNumber}`),
    )
  }
}

interface DirectoryWriterOptions {
  readonly files: FileSystem
  readonly directory: string
  readonly target: SnapshotTarget
  readonly pages: PageSink
  /** By path at the backend. */
  readonly knownChecksums: ReadonlyMap<string, number>
  readonly keepChecksums: (checksums: ReadonlyMap<string, number>) => void
}

class DirectoryWriter implements SnapshotWriter {
  isFull = false
  readonly #options: DirectoryWriterOptions
  readonly #taken: SnapshotFile[] = []
  readonly #checksums = new Map<string, number>()
  #waitingBytes = 0
  /** What is being done, one step after the other; rejects with the first error. */
  #work: Promise<void> = Promise.resolve()
  #hasPages = false
  #isPrepared = false
  #isAborted = false

  constructor(options: DirectoryWriterOptions) {
    this.#options = options
    // the error is told to whoever closes the writer
    this.#work.catch(() => {})
  }

  page(page: StatePage): void {
    const { pages, target } = this.#options
    const bytes = pages.add(page)
    this.#waitingBytes += bytes
    this.isFull = this.#waitingBytes > PAGE_BYTES_WAITING_MAX
    this.#hasPages = true
    void this.#then(async () => {
      await this.#prepare()
      const written = await pages.flush()
      this.#waitingBytes -= written
      if (this.isFull && this.#waitingBytes <= PAGE_BYTES_WAITING_MAX) {
        this.isFull = false
        target.wake()
      }
    }).catch(() => {
      // told by close; whoever waits for room must not wait for ever
      this.isFull = false
      target.wake()
    })
  }

  file(source: SnapshotSourceFile): Promise<void> {
    return this.#then(async () => {
      await this.#prepare()
      const { files, directory, target, knownChecksums } = this.#options
      const to = join(directory, source.name)
      const isLinked =
        source.isImmutable && !target.isSelfContained && (await tryLink(files, source.path, to))
      if (!isLinked) await files.copy(source.path, to, source.bytes)
      const known = isLinked ? knownChecksums.get(source.path) : undefined
      const checksum = known ?? crc32(await files.read(to))
      const before = source.isImmutable ? knownChecksums.get(source.path) : undefined
      if (before !== undefined && before !== checksum) {
        throw new EngineError(
          'CHECKPOINT_CORRUPT',
          `The table ${source.path} has changed since an earlier checkpoint took it`,
        )
      }
      if (source.isImmutable) this.#checksums.set(source.path, checksum)
      if (known === undefined) await files.sync(to)
      const bytes = (await files.size(to)) ?? 0
      this.#taken.push({
        name: source.name,
        location: to,
        bytes,
        crc32: checksum,
        isImmutable: source.isImmutable,
      })
    })
  }

  async close(format: string): Promise<SnapshotHandle> {
    const { files, directory, pages, target } = this.#options
    await this.#work
    if (this.#hasPages) {
      for (const { name, isImmutable } of await pages.close()) {
        const location = join(directory, name)
        const content = await files.read(location)
        await files.sync(location)
        this.#taken.push({
          name,
          location,
          bytes: content.length,
          crc32: crc32(content),
          isImmutable,
        })
      }
    }
    if (this.#taken.length > 0) await files.sync(directory)
    this.#options.keepChecksums(this.#checksums)
    return { format, keyGroups: target.keyGroups, files: this.#taken }
  }

  async abort(): Promise<void> {
    this.#isAborted = true
    // what failed before does not matter any more: all of it is removed
    await this.#work.catch(() => {})
    await this.#options.pages.abort()
    await this.#options.files.remove(this.#options.directory)
  }

  #then(step: () => Promise<void>): Promise<void> {
    const next = this.#work.then(async () => {
      if (!this.#isAborted) await step()
    })
    this.#work = next
    next.catch(() => {})
    return next
  }

  async #prepare(): Promise<void> {
    if (this.#isPrepared) return
    this.#isPrepared = true
    await this.#options.files.makeDirectory(this.#options.directory)
  }
}

class DirectoryReader implements SnapshotReader {
  readonly handle: SnapshotHandle
  readonly #files: FileSystem
  readonly #private: string
  #hasPrivate = false

  constructor(files: FileSystem, handle: SnapshotHandle, privateDirectory: string) {
    this.#files = files
    this.handle = handle
    this.#private = privateDirectory
  }

  async *pages(range: KeyGroupRange): AsyncGenerator<StatePage> {
    const isDatabase = this.handle.files.some(({ name }) => name === 'CURRENT')
    if (!isDatabase) {
      for (const { location } of this.handle.files) {
        yield* readPages(await this.#files.read(location), range, location)
      }
      return
    }
    if (!this.#hasPrivate) {
      this.#hasPrivate = true
      await this.#files.makeDirectory(this.#private)
      await this.materialize(this.#private)
    }
    const database = await PageDatabase.open(this.#private)
    try {
      yield* database.pages(range)
    } finally {
      await database.close()
    }
  }

  async materialize(directory: string): Promise<void> {
    for (const { name, location, isImmutable } of this.handle.files) {
      const to = join(directory, name)
      if (!isImmutable || !(await tryLink(this.#files, location, to))) {
        await this.#files.copy(location, to)
      }
    }
  }

  async close(): Promise<void> {
    if (this.#hasPrivate) await this.#files.remove(this.#private)
  }
}

/** Gives a file a further name; false where the two places are on different file systems, or it cannot have more names. */
async function tryLink(files: FileSystem, from: string, to: string): Promise<boolean> {
  try {
    await files.link(from, to)
    return true
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'EXDEV' || code === 'EMLINK' || code === 'EPERM' || code === 'ENOTSUP')
      return false
    throw error
  }
}
