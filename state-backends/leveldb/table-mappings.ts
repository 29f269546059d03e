/**
 * Has LevelDB read its tables instead of mapping them into memory.
 *
 * LevelDB maps the first 1000 tables that a process opens and reads all others with ordinary calls; no option says so. What was
 * touched of a mapped table counts as memory of the process: up to all of the state. The only remedy without mappings is to
 * keep few tables open, and then almost every read of a large state opens some: of 5 million random keys a read took 22 us of
 * processor time where tables are read, 60 us where they are mapped and 256 stay open, and 15 us where all are mapped, for 1.1 GB
 * of memory. So this file takes the 1000 mappings itself, with tables of a few hundred bytes (about 100 ms, once).
 *
 *  1. LevelDB writes a database with one small table.
 *  2. That table gets 1000 names, and a MANIFEST that lists them, each for a key of its own, in a level where nothing is compacted.
 *  3. The database is opened and every key looked up, which opens and maps every table.
 *  4. Its files are removed. Mappings and database stay as long as the thread.
 *
 * Invariants
 *  - One thread of a process holds the mappings; the others find its path locked, which LevelDB keeps by process. When that thread has
 *    ended, the next one that opens a store takes them.
 *  - Nothing depends on it but memory and speed: where it fails, tables are mapped, and callers keep fewer of them open.
 *  - An open that finds the path locked has made files there all the same (LevelDB begins its log first), maybe while the holder
 *    removes the directory. So both remove what they made, and neither minds what the other leaves.
 */
import { link, mkdtemp, readdir, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import {
  LOG_BLOCK_BYTES,
  LOG_HEADER_BYTES,
  logRecordType,
  manifestTag,
  tableName,
} from './manifest-files.ts'
import { settleAll } from './settle-all.ts'

/** As many tables LevelDB maps in a process. */
const MAPPINGS_MAX = 1000

const manifestNumber = 5
const tableNumberMin = 10
const tableNumbers: readonly number[] = Array.from(
  { length: MAPPINGS_MAX },
  (_, index) => tableNumberMin + index,
)
/** The deepest level: nothing is compacted out of it. */
const tableLevel = 6
const encodings = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const

let holding: Promise<boolean> | undefined
/** Kept so that it is not collected. */
let holder: Level<Buffer, Buffer> | undefined

/** Whether LevelDB reads tables from now on; taking hold of the mappings if nobody has. */
export async function readTablesUnmapped(): Promise<boolean> {
  if (process.platform === 'win32') return false
  holding ??= hold()
  const isHeld = await holding
  // Another thread's hold may end, so it is looked for again.
  if (holder === undefined) holding = undefined
  return isHeld
}

async function hold(): Promise<boolean> {
  const directory = join(tmpdir(), `millrace-mappings-${process.pid}`)
  let isMade = false
  try {
    isMade = await build(directory)
    holder = await openAll(directory)
    return true
  } catch (error) {
    // Another thread has it, or it can't be done here: going on is safe, see the header.
    const isHeld = isLocked(error)
    if (isHeld) await removeMadeByOpen(directory)
    return isHeld
  } finally {
    if (isMade || holder !== undefined) await removeAll(directory)
  }
}

async function removeAll(directory: string): Promise<void> {
  try {
    await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 10 })
  } catch {
    // another thread has just made files in it, and removes them
  }
}

/** Removes what an open in vain has made, and the directory if that was all there was. */
async function removeMadeByOpen(directory: string): Promise<void> {
  try {
    for (const name of ['LOCK', 'LOG', 'LOG.old']) await rm(join(directory, name), { force: true })
    await rmdir(directory)
  } catch {
    // the thread that has it is not done with its files, and removes them
  }
}

/** Makes the database; false where another thread was faster. */
async function build(directory: string): Promise<boolean> {
  const parts = await mkdtemp(`${directory}-`)
  try {
    const seed = join(parts, 'seed')
    const database = new Level<Buffer, Buffer>(seed, encodings)
    await database.put(keyOf(0), Buffer.from('x'))
    await database.close()
    // What is in the log when it is opened becomes a table.
    await database.open()
    await database.close()
    const table = (await readdir(seed)).find((name) => name.endsWith('.ldb'))
    if (table === undefined) throw new Error('LevelDB has written no table')
    const { size } = await stat(join(seed, table))
    await settleAll(
      tableNumbers.map((number) => link(join(seed, table), join(parts, tableName(number)))),
    )
    const manifest = `MANIFEST-${String(manifestNumber).padStart(6, '0')}`
    await writeFile(join(parts, manifest), manifestOf(size))
    await writeFile(join(parts, 'CURRENT'), `${manifest}\n`)
    await rm(seed, { recursive: true })
    return await rename(parts, directory).then(
      () => true,
      () => false,
    )
  } finally {
    await rm(parts, { recursive: true, force: true })
  }
}

/** Opens every table, which maps it. */
async function openAll(directory: string): Promise<Level<Buffer, Buffer>> {
  const database = new Level<Buffer, Buffer>(directory, {
    ...encodings,
    createIfMissing: false,
    cacheSize: 0,
    maxOpenFiles: MAPPINGS_MAX * 20,
  })
  await database.open()
  for (const number of tableNumbers) database.getSync(keyOf(number))
  return database
}

function isLocked(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return ('code' in error && error.code === 'LEVEL_LOCKED') || isLocked(error.cause)
}

function keyOf(number: number): Buffer {
  const key = Buffer.alloc(4)
  key.writeUInt32BE(number)
  return key
}

/** One edit that lists all tables, each for its key alone. */
function manifestOf(tableBytes: number): Buffer {
  const number = (value: number): Buffer => {
    const bytes: number[] = []
    let rest = value
    for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
    return Buffer.of(...bytes, rest)
  }
  const text = (bytes: Buffer): Buffer => Buffer.concat([number(bytes.length), bytes])
  // The key as LevelDB keeps it: with a sequence number, and that it is a value.
  const inner = (table: number): Buffer =>
    Buffer.concat([keyOf(table), Buffer.of(1, 1, 0, 0, 0, 0, 0, 0)])
  const edit = Buffer.concat([
    Buffer.concat([
      number(manifestTag.comparator),
      text(Buffer.from('leveldb.BytewiseComparator')),
    ]),
    Buffer.concat([number(manifestTag.logNumber), number(manifestNumber + 1)]),
    Buffer.concat([number(manifestTag.nextFileNumber), number(tableNumberMin + MAPPINGS_MAX)]),
    Buffer.concat([number(manifestTag.lastSequence), number(1)]),
    ...tableNumbers.map((table) =>
      Buffer.concat([
        number(manifestTag.newFile),
        number(tableLevel),
        number(table),
        number(tableBytes),
        text(inner(table)),
        text(inner(table)),
      ]),
    ),
  ])
  return logOf(edit)
}

/** A record in the format of LevelDB's logs, in as many fragments as blocks need. */
function logOf(record: Buffer): Buffer {
  const dataBytesMax = LOG_BLOCK_BYTES - LOG_HEADER_BYTES
  const fragments: Buffer[] = []
  for (let at = 0; at < record.length; at += dataBytesMax) {
    const data = record.subarray(at, at + dataBytesMax)
    const isFirst = at === 0
    const isLast = at + data.length === record.length
    const type = isFirst
      ? isLast
        ? logRecordType.full
        : logRecordType.first
      : isLast
        ? logRecordType.last
        : logRecordType.middle
    const typed = Buffer.concat([Buffer.of(type), data])
    const header = Buffer.alloc(LOG_HEADER_BYTES - 1)
    header.writeUInt32LE(maskedCrc32c(typed), 0)
    header.writeUInt16LE(data.length, 4)
    fragments.push(header, typed)
  }
  return Buffer.concat(fragments)
}

/** CRC-32C, masked as LevelDB does for checksums that are kept. */
function maskedCrc32c(bytes: Buffer): number {
  let crc = 0xffff_ffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f6_3b78 : 0)
  }
  crc = ~crc >>> 0
  return (((crc >>> 15) | (crc << 17)) + 0xa282_ead8) >>> 0
}
