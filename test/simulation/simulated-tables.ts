/**
 * The tables of the leveldb backend on the simulated disk: a log of immutable segments, as LevelDB's are, so that snapshots share
 * files with each other. Every operation takes its turn in the world's schedule; a write takes effect in two halves.
 */
import { join } from 'node:path'
import type { FileSystem } from '../../src/checkpoint/storage/file-system.ts'
import type { SnapshotSourceFile } from '../../src/contract/snapshot-storage.ts'
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts'
import type {
  DiskBatch,
  DiskCursor,
  DiskEntry,
  DiskRange,
  DiskTable,
  TableDisk,
} from '../../state-backends/leveldb/disk-table.ts'
import { systemError } from './simulated-disk.ts'
import type { Turn } from './simulated-disk.ts'

type Change = readonly [key: Uint8Array, value: Uint8Array | null]

const LIST = 'segments'

export interface SimulatedTableOptions {
  readonly turn: Turn
  /** A table was opened; the answer is called when it is closed. */
  readonly opened: () => () => void
}

export function simulatedTableDisk(
  files: FileSystem,
  { turn, opened }: SimulatedTableOptions,
): TableDisk {
  return {
    async open(directory) {
      const table = await SimulatedTable.open(directory, files, turn)
      table.onClose = opened()
      return table
    },
    makeDirectory: (path) => files.makeDirectory(path),
    remove: (path) => files.remove(path),
  }
}

class SimulatedTable implements DiskTable {
  readonly #directory: string
  readonly #files: FileSystem
  readonly #turn: Turn
  readonly #entries = new Map<string, DiskEntry>()
  readonly #segments: string[] = []
  /** Changes that are in no segment yet. */
  #changes: Change[] = []
  #isWriting = false
  onClose: () => void = () => {}

  private constructor(directory: string, files: FileSystem, turn: Turn) {
    this.#directory = directory
    this.#files = files
    this.#turn = turn
  }

  static async open(directory: string, files: FileSystem, turn: Turn): Promise<SimulatedTable> {
    const table = new SimulatedTable(directory, files, turn)
    const path = join(directory, LIST)
    if ((await files.size(path)) === undefined) return table
    for (const name of decodeValue(await files.read(path)) as string[]) {
      const changes = decodeValue(await files.read(join(directory, name))) as Change[]
      for (const [key, value] of changes) table.#apply(Buffer.from(key), value)
      table.#segments.push(name)
    }
    return table
  }

  getSync(key: Buffer): Buffer | undefined {
    const value = this.#entries.get(key.toString('latin1'))?.value
    return value === undefined ? undefined : Buffer.from(value)
  }

  async write({ keys, values }: DiskBatch): Promise<void> {
    if (this.#isWriting) throw systemError('EBUSY', 'two writes at a time')
    this.#isWriting = true
    const half = keys.length >> 1
    const put = (from: number, to: number): void => {
      for (let i = from; i < to; i++) {
        const key = keys[i] as Buffer
        const value = values[i] ?? null
        this.#apply(key, value)
        this.#changes.push([new Uint8Array(key), value === null ? null : new Uint8Array(value)])
      }
    }
    try {
      await this.#turn('table write', () => put(0, half))
      await this.#turn('size of table after write', () => put(half, keys.length))
    } finally {
      this.#isWriting = false
    }
  }

  iterate(range: DiskRange, content: 'entries' | 'keys'): DiskCursor {
    const entries = [...this.#entries.values()]
      .filter(({ key }) => Buffer.compare(key, range.gte) >= 0 && Buffer.compare(key, range.lt) < 0)
      .sort((a, b) => Buffer.compare(a.key, b.key))
    let at = 0
    return {
      next: (entriesMax) =>
        this.#turn('table read', () => {
          const chunk = entries.slice(at, at + entriesMax)
          at += chunk.length
          return content === 'keys'
            ? chunk.map(({ key }) => ({ key, value: Buffer.alloc(0) }))
            : chunk
        }),
      close: async () => {},
    }
  }

  async capture(directory: string): Promise<readonly SnapshotSourceFile[]> {
    const changes = this.#changes
    const files = this.#files
    await files.makeDirectory(directory)
    if (changes.length > 0) {
      this.#changes = []
      const name = `segment-${this.#segments.length}`
      this.#segments.push(name)
      await files.write(join(this.#directory, name), encodeValue(changes))
    }
    await files.write(join(directory, LIST), encodeValue([...this.#segments]))
    for (const name of this.#segments) {
      await files.link(join(this.#directory, name), join(directory, name))
    }
    return [
      ...this.#segments.map((name) => ({ name, path: join(directory, name), isImmutable: true })),
      { name: LIST, path: join(directory, LIST), isImmutable: false },
    ]
  }

  async close(): Promise<void> {
    this.onClose()
  }

  #apply(key: Buffer, value: Uint8Array | null): void {
    const name = key.toString('latin1')
    if (value === null) this.#entries.delete(name)
    else this.#entries.set(name, { key: Buffer.from(key), value: Buffer.from(value) })
  }
}
