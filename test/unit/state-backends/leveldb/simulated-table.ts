/**
 * A `DiskTable` in memory that is as slow and as half done as a disk can be: a write takes effect in parts, some turns of the event
 * loop apart, so whoever looks at what is in flight sees a torn state. It also holds its user to the rules of `DiskTable`.
 */
import assert from 'node:assert/strict'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { SnapshotSourceFile } from '../../../../src/contract/snapshot-storage.ts'
import { decodeValue, encodeValue } from '../../../../src/core/value-codec.ts'
import type {
  DiskBatch,
  DiskCursor,
  DiskEntry,
  DiskRange,
  DiskTable,
  TableDisk,
} from '../../../../state-backends/leveldb/disk-table.ts'

export interface SimulatedDisk {
  /** How many turns of the event loop the next part of something takes. */
  readonly turns: () => number
  /** Throws to have a write fail. */
  readonly beforeWrite?: (batch: DiskBatch) => void
}

export function simulatedTables(disk: SimulatedDisk): TableDisk {
  return {
    open: (directory) => SimulatedTable.open(directory, disk),
    async makeDirectory(path) {
      await mkdir(path, { recursive: true })
    },
    remove: (path) => rm(path, { recursive: true, force: true }),
  }
}

export class SimulatedTable implements DiskTable {
  reads = 0
  writes = 0
  entriesPerWriteMax = 0
  readonly #disk: SimulatedDisk
  readonly #entries = new Map<string, DiskEntry>()
  #isWriting = false
  #isClosed = false

  constructor(disk: SimulatedDisk) {
    this.#disk = disk
  }

  static async open(directory: string, disk: SimulatedDisk): Promise<SimulatedTable> {
    const table = new SimulatedTable(disk)
    const bytes = await readFile(join(directory, 'table')).catch(() => undefined)
    if (bytes !== undefined) {
      for (const [key, value] of decodeValue(bytes) as [Uint8Array, Uint8Array][]) {
        table.#put(Buffer.from(key), Buffer.from(value))
      }
    }
    return table
  }

  getSync(key: Buffer): Buffer | undefined {
    assert(!this.#isClosed, 'A closed table is not read')
    this.reads++
    const value = this.#entries.get(key.toString('latin1'))?.value
    return value === undefined ? undefined : Buffer.from(value)
  }

  async write(batch: DiskBatch): Promise<void> {
    assert(!this.#isClosed, 'A closed table is not written')
    assert(!this.#isWriting, 'One write at a time')
    this.#isWriting = true
    this.writes++
    this.entriesPerWriteMax = Math.max(this.entriesPerWriteMax, batch.keys.length)
    try {
      await this.#wait()
      this.#disk.beforeWrite?.(batch)
      for (const [index, key] of batch.keys.entries()) {
        const before = batch.keys[index - 1]
        assert(before === undefined || Buffer.compare(before, key) < 0, 'Batches are in key order')
        const value = batch.values[index]
        if (value === undefined) this.#entries.delete(key.toString('latin1'))
        else this.#put(key, value)
        if (index === batch.keys.length >> 1) await this.#wait()
      }
    } finally {
      this.#isWriting = false
    }
  }

  iterate(range: DiskRange, content: 'entries' | 'keys'): DiskCursor {
    assert(!this.#isWriting, 'An iteration begins while nothing is written')
    const entries = this.#sorted().filter(
      ({ key }) => Buffer.compare(key, range.gte) >= 0 && Buffer.compare(key, range.lt) < 0,
    )
    let at = 0
    let isBusy = false
    return {
      next: async (entriesMax) => {
        assert(!isBusy, 'One call of a cursor at a time')
        isBusy = true
        await this.#wait()
        isBusy = false
        const chunk = entries.slice(at, at + entriesMax)
        at += chunk.length
        return chunk.map(({ key, value }) => ({
          key: Buffer.from(key),
          value: content === 'keys' ? Buffer.alloc(0) : Buffer.from(value),
        }))
      },
      close: () => {
        assert(!isBusy, 'A cursor is closed between its calls')
        return Promise.resolve()
      },
    }
  }

  async capture(directory: string): Promise<readonly SnapshotSourceFile[]> {
    assert(!this.#isWriting, 'Files are captured while nothing is written')
    const { writes } = this
    const contents = this.#sorted().map(({ key, value }) => [
      new Uint8Array(key),
      new Uint8Array(value),
    ])
    await this.#wait()
    assert.equal(this.writes, writes, 'What is written meanwhile spoils captured files')
    await mkdir(directory)
    const path = join(directory, 'table')
    await writeFile(path, encodeValue(contents))
    return [{ name: 'table', path, isImmutable: true }]
  }

  close(): Promise<void> {
    assert(!this.#isWriting, 'A table is closed when nothing is written')
    this.#isClosed = true
    return Promise.resolve()
  }

  #put(key: Buffer, value: Buffer): void {
    this.#entries.set(key.toString('latin1'), { key: Buffer.from(key), value: Buffer.from(value) })
  }

  #sorted(): readonly DiskEntry[] {
    return [...this.#entries.values()].sort((a, b) => Buffer.compare(a.key, b.key))
  }

  async #wait(): Promise<void> {
    for (let turns = this.#disk.turns(); turns > 0; turns--) {
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}
