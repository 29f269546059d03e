/**
 * What the leveldb backend asks of a database: an ordered table of bytes on disk. `level-table.ts` is the real one; tests put a
 * simulated disk in its place, with writes that are late, half done or refused.
 *
 * Rules
 *  - A store has at most one `write` under way, and none while it begins an iteration or from the beginning to the end of a
 *    `capture`, unless it does not want its result any more.
 *  - Keys are compared byte by byte. Buffers handed over are not changed afterwards by either side.
 *  - Everything is called from the subtask's thread; only `getSync` makes it wait.
 */
import type { SnapshotSourceFile } from '../../src/contract/snapshot-storage.ts'

/** An ordered table of bytes. */
export interface DiskTable {
  /** The value as of the last confirmed write, or of the one under way. */
  getSync(key: Buffer): Buffer | undefined
  /** Writes all of the batch or, after a crash, none of it. */
  write(batch: DiskBatch): Promise<void>
  /** Reads a range as it is at the time of the call, whatever is written later. */
  iterate(range: DiskRange, content: 'entries' | 'keys'): DiskCursor
  /**
   * Puts the table as it is at the time of the call into `directory` (which does not exist yet), as files that opened together
   * give the same table. Immutable ones are further names of the table's own.
   */
  capture(directory: string): Promise<readonly SnapshotSourceFile[]>
  /** Waits for what is under way. */
  close(): Promise<void>
}

/** What is written in one step: keys ascending, each with its value, or undefined to remove it. */
export interface DiskBatch {
  readonly keys: readonly Buffer[]
  readonly values: readonly (Buffer | undefined)[]
}

/** Keys from `gte` to before `lt`. */
export interface DiskRange {
  readonly gte: Buffer
  readonly lt: Buffer
}

/** One entry of a table; `value` is empty where only keys were asked for. */
export interface DiskEntry {
  readonly key: Buffer
  readonly value: Buffer
}

/** Reads on in a range. */
export interface DiskCursor {
  /** At least one and up to `entriesMax` entries, in key order; none at the end. One call at a time. */
  next(entriesMax: number): Promise<readonly DiskEntry[]>
  close(): Promise<void>
}

/** Where tables lie. */
export interface TableDisk {
  /** Opens the table in a directory, which is made if it does not exist. */
  open(directory: string): Promise<DiskTable>
  makeDirectory(path: string): Promise<void>
  /** Removes a directory with all it holds; nothing happens if it does not exist. */
  remove(path: string): Promise<void>
}
