/**
 * Pages of keyed state in a LevelDB database of their own: the form of checkpoints of backends that keep no files.
 *
 * Key: key group (uint16), number of the page (uint32), big-endian. So a range of key groups is a range of keys. A page holds
 * thousands of entries: LevelDB writes them an order of magnitude faster than one by one.
 *
 * The write buffer is larger than most snapshots, so that a page is written once, to LevelDB's log, and to tables only by whoever
 * opens the copy to read it.
 */
import { Level } from 'level'
import type { StatePage } from '../../contract/snapshot-storage.ts'
import type { KeyGroupRange } from '../../core/key-group.ts'
import { decodePage, encodePage } from './page-codec.ts'

const WRITE_BUFFER_BYTES = 64 << 20
const KEY_BYTES = 6

/** An encoded page. */
export interface PageEntry {
  readonly group: number
  readonly value: Uint8Array
}

type Database = Level<Uint8Array, Uint8Array>

export class PageDatabase {
  readonly #database: Database
  #pageCount = 0

  private constructor(database: Database) {
    this.#database = database
  }

  /** Makes a database in an empty directory. */
  static create(directory: string): Promise<PageDatabase> {
    return PageDatabase.#open(directory, true)
  }

  /** Opens a database. That changes its files: give it a private copy. */
  static open(directory: string): Promise<PageDatabase> {
    return PageDatabase.#open(directory, false)
  }

  static async #open(directory: string, isNew: boolean): Promise<PageDatabase> {
    const database: Database = new Level(directory, {
      keyEncoding: 'view',
      valueEncoding: 'view',
      createIfMissing: isNew,
      errorIfExists: isNew,
      compression: false,
      writeBufferSize: WRITE_BUFFER_BYTES,
    })
    await database.open()
    return new PageDatabase(database)
  }

  /** A page as an entry. Encoded now: the page may change afterwards. */
  static entry(page: StatePage): PageEntry {
    return { group: page.group, value: encodePage(page) }
  }

  async write(entries: readonly PageEntry[]): Promise<void> {
    await this.#database.batch(
      entries.map(({ group, value }) => ({ type: 'put', key: this.#nextKey(group), value })),
    )
  }

  async *pages({ start, end }: KeyGroupRange): AsyncGenerator<StatePage> {
    for await (const [key, value] of this.#database.iterator({
      gte: groupKey(start),
      lt: groupKey(end),
    })) {
      yield decodePage(Buffer.from(key).readUInt16BE(0), value)
    }
  }

  close(): Promise<void> {
    return this.#database.close()
  }

  #nextKey(group: number): Uint8Array {
    const key = groupKey(group)
    key.writeUInt32BE(this.#pageCount++, 2)
    return key
  }
}

/** The lowest key of a group. Groups are below 2^15, so `end` always has one. */
function groupKey(group: number): Buffer {
  const key = Buffer.alloc(KEY_BYTES)
  key.writeUInt16BE(group, 0)
  return key
}
