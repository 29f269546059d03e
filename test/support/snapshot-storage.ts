/**
 * A `SnapshotStorage` for tests. Pages are encoded at once, so later changes to a page's values would show; files are copied into a
 * directory, immutable ones linked as a real storage does, with their checksum, so that whoever writes to a file of a
 * snapshot is found out.
 *
 * It also watches its users: a writer that is used after its end, or ended while it takes a file, is an error.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { copyFile, link, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type {
  SnapshotFile,
  SnapshotHandle,
  SnapshotReader,
  SnapshotSourceFile,
  SnapshotStorage,
  SnapshotTarget,
  SnapshotWriter,
  StatePage,
} from '../../src/contract/snapshot-storage.ts'
import type { KeyGroupRange } from '../../src/core/key-group.ts'
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts'

export interface TestStorageOptions {
  /** Where files are kept. */
  readonly directory: string
  /** After so many pages a writer is full until the event loop has turned. Default: never. */
  readonly pagesUntilFull?: number
}

interface StoredFile {
  readonly isImmutable: boolean
  readonly sha256: string
}

export class TestSnapshotStorage implements SnapshotStorage {
  /** Writers that were begun and neither closed nor aborted. */
  openWriters = 0
  /** Files taken, and how many of those an earlier snapshot had taken already. */
  filesTaken = 0
  filesShared = 0
  readonly #options: TestStorageOptions
  readonly #pages = new Map<string, readonly Buffer[]>()
  readonly #files = new Map<string, StoredFile>()
  readonly #locationByInode = new Map<string, string>()
  #snapshots = 0

  constructor(options: TestStorageOptions) {
    this.#options = options
  }

  writer(target: SnapshotTarget): SnapshotWriter {
    this.openWriters++
    return new TestWriter(this, target, this.#options.pagesUntilFull ?? Infinity)
  }

  reader(handle: SnapshotHandle): Promise<SnapshotReader> {
    const pagesOf = (range: KeyGroupRange): AsyncIterable<StatePage> =>
      this.#readPages(handle, range)
    return Promise.resolve({
      handle,
      pages: pagesOf,
      materialize: (directory: string) => this.#materialize(handle, directory),
      close: () => Promise.resolve(),
    })
  }

  async keepPages(pages: readonly Buffer[]): Promise<SnapshotFile> {
    await Promise.resolve()
    const location = `pages-${this.#snapshots++}`
    this.#pages.set(location, pages)
    const bytes = pages.reduce((sum, page) => sum + page.length, 0)
    return { name: 'pages', location, bytes, crc32: 0, isImmutable: true }
  }

  async keepFile(source: SnapshotSourceFile): Promise<SnapshotFile> {
    this.filesTaken++
    const { dev, ino } = await stat(source.path)
    const inode = `${dev}:${ino}`
    const known = source.isImmutable ? this.#locationByInode.get(inode) : undefined
    const location = known ?? `${this.#snapshots++}-${source.name}`
    const path = join(this.#options.directory, location)
    if (known !== undefined) {
      this.filesShared++
    } else if (source.isImmutable) {
      await link(source.path, path)
      this.#locationByInode.set(inode, location)
    } else {
      await mkdir(this.#options.directory, { recursive: true })
      const contents = await readFile(source.path)
      await writeFile(path, contents.subarray(0, source.bytes ?? contents.length))
    }
    const contents = await readFile(path)
    this.#files.set(location, { isImmutable: source.isImmutable, sha256: sha256(contents) })
    return {
      name: source.name,
      location,
      bytes: contents.length,
      crc32: 0,
      isImmutable: source.isImmutable,
    }
  }

  async *#readPages(handle: SnapshotHandle, range: KeyGroupRange): AsyncGenerator<StatePage> {
    assert.equal(handle.format, 'pages')
    const pages = handle.files
      .flatMap(({ location }) => this.#pages.get(location) ?? [])
      .map((bytes) => decodeValue(bytes) as StatePage)
      .filter(({ group }) => group >= range.start && group < range.end)
      .sort((a, b) => a.group - b.group)
    for (const page of pages) {
      await Promise.resolve()
      yield page
    }
  }

  async #materialize(handle: SnapshotHandle, directory: string): Promise<void> {
    assert.notEqual(handle.format, 'pages')
    for (const { name, location } of handle.files) {
      const stored = this.#files.get(location)
      assert(stored !== undefined, `No file ${location}`)
      const path = join(this.#options.directory, location)
      assert.equal(sha256(await readFile(path)), stored.sha256, `${name} of a snapshot was changed`)
      if (stored.isImmutable) await link(path, join(directory, name))
      else await copyFile(path, join(directory, name))
    }
  }
}

class TestWriter implements SnapshotWriter {
  readonly #storage: TestSnapshotStorage
  readonly #target: SnapshotTarget
  readonly #pagesUntilFull: number
  readonly #pages: Buffer[] = []
  readonly #files: SnapshotFile[] = []
  readonly #names = new Set<string>()
  #pagesWaiting = 0
  #filesUnderWay = 0
  #isEnded = false

  constructor(storage: TestSnapshotStorage, target: SnapshotTarget, pagesUntilFull: number) {
    this.#storage = storage
    this.#target = target
    this.#pagesUntilFull = pagesUntilFull
  }

  get isFull(): boolean {
    return this.#pagesWaiting >= this.#pagesUntilFull
  }

  page(page: StatePage): void {
    assert(!this.#isEnded, 'A writer takes pages until its end')
    const { start, end } = this.#target.keyGroups
    assert(page.group >= start && page.group < end, `Group ${page.group} is the subtask's`)
    assert(!this.isFull, 'A full writer is given no pages')
    assert(page.keys.length > 0, 'Pages are not empty')
    for (const column of [page.subs, page.values]) {
      assert(
        column === undefined || column.length === page.keys.length,
        'Columns are of one length',
      )
    }
    this.#pages.push(encodeValue(page))
    this.#pagesWaiting++
    if (this.#pagesWaiting === this.#pagesUntilFull) {
      setImmediate(() => {
        this.#pagesWaiting = 0
        this.#target.wake()
      })
    }
  }

  async file(source: SnapshotSourceFile): Promise<void> {
    assert(!this.#isEnded, 'A writer takes files until its end')
    assert(!this.#names.has(source.name), `The name ${source.name} is unique`)
    this.#names.add(source.name)
    this.#filesUnderWay++
    try {
      this.#files.push(await this.#storage.keepFile(source))
    } finally {
      this.#filesUnderWay--
    }
  }

  async close(format: string): Promise<SnapshotHandle> {
    this.#end()
    const files = format === 'pages' ? [await this.#storage.keepPages(this.#pages)] : this.#files
    return { format, keyGroups: this.#target.keyGroups, files }
  }

  async abort(): Promise<void> {
    await Promise.resolve()
    this.#end()
  }

  #end(): void {
    assert(!this.#isEnded, 'A writer ends once')
    assert.equal(this.#filesUnderWay, 0, 'A writer has taken its files when it ends')
    this.#isEnded = true
    this.#storage.openWriters--
  }
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
