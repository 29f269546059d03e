/**
 * A `DiskTable` on LevelDB.
 *
 * Invariants
 *  - Nothing is synced: a store's directory is private to one attempt and thrown away after a crash. What must survive is
 *    synced by the storage of snapshots.
 *  - `capture` takes only what the MANIFEST names: live tables as further names, MANIFEST and logs copied up to their length at that
 *    time. LevelDB may compact meanwhile and delete what was just listed; then it is tried again, up to `CAPTURE_ATTEMPTS_MAX` times.
 *    Since nothing is being written, all attempts see the same contents.
 *  - A directory that another database may read is never opened: opening changes files and takes the lock.
 *
 * Options, by processor time for a random read-modify-write of one of 5 million keys of 200 incompressible bytes, compaction
 * included (bench/state/leveldb.bench.ts is of the same kind): tables read, all open 30 us; mapped, all open 29 us, but with 1.1 GB
 * of them in memory; mapped, 256 open 80 us. A write buffer of 4, 16 or 64 MB: 31, 30, 27 us, for 15 and 70 MB more memory;
 * a block cache of 64 MB instead of 8: no gain, the page cache of the system does as well; compression on: no cost for what can't
 * be compressed. LevelDB's binding always has bloom filters of 10 bits a key.
 */
import { copyFile, link, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import type { Iterator as LevelIterator } from 'level'
import type { SnapshotSourceFile } from '../../src/contract/snapshot-storage.ts'
import { EngineError } from '../../src/core/errors.ts'
import type {
  DiskBatch,
  DiskCursor,
  DiskEntry,
  DiskRange,
  DiskTable,
  TableDisk,
} from './disk-table.ts'
import { liveLogs, logName, readManifest, tableName } from './manifest-files.ts'
import { settleAll } from './settle-all.ts'
import { readTablesUnmapped } from './table-mappings.ts'

/** Times that a listing is made anew when a file of it has gone. */
const CAPTURE_ATTEMPTS_MAX = 20

/** Bytes an iterator reads ahead of what it has handed out. */
const READ_AHEAD_BYTES = 256 * 1024

/** Links asked for at a time: each waits for a turn of a busy event loop, and the store holds its writes meanwhile. */
const LINKS_AT_A_TIME = 256

/** How LevelDB is set up. */
export interface LevelTableOptions {
  readonly blockCacheBytes: number
  readonly writeBufferBytes: number
  /** Tables kept open. Default: as many as are good for reading them (table-mappings.ts). */
  readonly tablesOpenMax?: number
}

/** Tables kept open where they are read: each takes about 30 KB of memory, for its index and filter. */
const TABLES_READ_MAX = 1500
/** Tables kept open where they are mapped: each takes what was touched of its 2 MiB. */
const TABLES_MAPPED_MAX = 256

type Database = Level<Buffer, Buffer>

/** Tables on the real disk. */
export function levelDisk(options: LevelTableOptions): TableDisk {
  return {
    open: (directory) => openLevelTable(directory, options),
    async makeDirectory(path) {
      await mkdir(path, { recursive: true })
    },
    remove: (path) => rm(path, { recursive: true, force: true }),
  }
}

/** Opens the database in `directory`. Throws `STATE_STORAGE_FAILED`. */
export async function openLevelTable(
  directory: string,
  options: LevelTableOptions,
): Promise<DiskTable> {
  const isUnmapped = await readTablesUnmapped()
  const tablesOpenMax = options.tablesOpenMax ?? (isUnmapped ? TABLES_READ_MAX : TABLES_MAPPED_MAX)
  const database: Database = new Level<Buffer, Buffer>(directory, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    compression: true,
    cacheSize: options.blockCacheBytes,
    writeBufferSize: options.writeBufferBytes,
    maxFileSize: 2 * 1024 * 1024,
    maxOpenFiles: tablesOpenMax + OTHER_FILES,
  })
  try {
    await database.open()
  } catch (error) {
    throw failed(`The database of the state in ${directory} can't be opened`, error)
  }
  return new LevelTable(database, directory)
}

/** LevelDB sets as many of its open files aside for logs and the like. */
const OTHER_FILES = 10

class LevelTable implements DiskTable {
  readonly #database: Database
  readonly #directory: string
  readonly #cursors = new Set<LevelCursor>()

  constructor(database: Database, directory: string) {
    this.#database = database
    this.#directory = directory
  }

  getSync(key: Buffer): Buffer | undefined {
    try {
      return this.#database.getSync(key)
    } catch (error) {
      throw failed(`Reading from the database of the state in ${this.#directory} failed`, error)
    }
  }

  async write(batch: DiskBatch): Promise<void> {
    const { keys, values } = batch
    const operations = keys.map((key, index) => {
      const value = values[index]
      return value === undefined
        ? { type: 'del' as const, key }
        : { type: 'put' as const, key, value }
    })
    try {
      await this.#database.batch(operations)
    } catch (error) {
      throw failed(`Writing to the database of the state in ${this.#directory} failed`, error)
    }
  }

  iterate(range: DiskRange, content: 'entries' | 'keys'): DiskCursor {
    const cursor = new LevelCursor(this.#database, range, content, () =>
      this.#cursors.delete(cursor),
    )
    this.#cursors.add(cursor)
    return cursor
  }

  async capture(directory: string): Promise<readonly SnapshotSourceFile[]> {
    for (let attempt = 1; ; attempt++) {
      try {
        await mkdir(directory, { recursive: true })
        return await captureFiles(this.#directory, directory)
      } catch (error) {
        await rm(directory, { recursive: true, force: true })
        if (codeOf(error) === 'ENOENT' && attempt < CAPTURE_ATTEMPTS_MAX) continue
        throw failed(`The files of the state in ${this.#directory} can't be linked`, error)
      }
    }
  }

  async close(): Promise<void> {
    for (const cursor of this.#cursors) await cursor.close()
    await this.#database.close()
  }
}

class LevelCursor implements DiskCursor {
  readonly #iterator: LevelIterator<Database, Buffer, Buffer>
  readonly #onClose: () => void

  constructor(
    database: Database,
    range: DiskRange,
    content: 'entries' | 'keys',
    onClose: () => void,
  ) {
    this.#onClose = onClose
    this.#iterator = database.iterator({
      gte: range.gte,
      lt: range.lt,
      values: content === 'entries',
      fillCache: false,
      highWaterMarkBytes: READ_AHEAD_BYTES,
    })
  }

  async next(entriesMax: number): Promise<readonly DiskEntry[]> {
    const entries = await this.#iterator.nextv(entriesMax)
    return entries.map(([key, value]) => ({ key, value }))
  }

  async close(): Promise<void> {
    this.#onClose()
    await this.#iterator.close()
  }
}

/** Puts what makes up the database in `from` into the empty directory `to`. */
async function captureFiles(from: string, to: string): Promise<readonly SnapshotSourceFile[]> {
  const current = (await readFile(join(from, 'CURRENT'), 'utf8')).trim()
  const manifestBytes = await readFile(join(from, current))
  const manifest = readManifest(manifestBytes)
  const files: SnapshotSourceFile[] = []
  const tables = manifest.tables.map(tableName)
  for (let at = 0; at < tables.length; at += LINKS_AT_A_TIME) {
    const names = tables.slice(at, at + LINKS_AT_A_TIME)
    await settleAll(names.map((name) => linkOrCopy(join(from, name), join(to, name))))
  }
  for (const name of tables) files.push({ name, path: join(to, name), isImmutable: true })
  const logs = liveLogs(await readdir(from), manifest)
  if (!logs.includes(logName(manifest.logNumber))) throw new ListedFileGone()
  for (const name of logs) {
    await copyFile(join(from, name), join(to, name))
    files.push({ name, path: join(to, name), isImmutable: false })
  }
  await writeFile(join(to, current), manifestBytes.subarray(0, manifest.bytes))
  await writeFile(join(to, 'CURRENT'), `${current}\n`)
  for (const name of [current, 'CURRENT']) {
    files.push({ name, path: join(to, name), isImmutable: false })
  }
  return files
}

/** A log whose contents have just become a table that the MANIFEST read before does not name. */
class ListedFileGone extends Error {
  readonly code = 'ENOENT'
}

/** Some file systems know no further names, or not so many. */
const linkRefusals = new Set(['EXDEV', 'EPERM', 'EMLINK', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'])

async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    if (!linkRefusals.has(codeOf(error))) throw error
    await copyFile(from, to)
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

function failed(what: string, cause: unknown): EngineError {
  const text = cause instanceof Error ? causeText(cause) : String(cause)
  return new EngineError(
    'STATE_STORAGE_FAILED',
    `${what}: ${text}; look for a full or damaged disk, or another process in that directory`,
    { cause },
  )
}

/** LevelDB's own words are in the cause of what the database throws. */
function causeText(error: Error): string {
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message
}
