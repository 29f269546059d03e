/**
 * The contract between whoever writes or reads the snapshot of a subtask and where snapshots are kept. Knows pages and files,
 * no directories: above this interface nothing assumes a file system.
 */
import type { AnyKey } from '../core/key.ts'
import type { KeyGroupRange } from '../core/key-group.ts'

/** Entries of one state and one key group, side by side: the canonical form of keyed state. */
export interface StatePage {
  readonly group: number
  readonly state: string
  readonly keys: readonly AnyKey[]
  /** Page or slice number, or the timestamp of a timer; left out where every cell has number 0. */
  readonly subs?: readonly number[]
  /** Left out for timers. */
  readonly values?: readonly unknown[]
}

/** A file that belongs to a snapshot. */
export interface SnapshotFile {
  /** Unique within the snapshot. */
  readonly name: string
  /** Where the storage keeps it. Files of several snapshots may have one location. */
  readonly location: string
  readonly bytes: number
  readonly crc32: number
  /** Whether it is never written again: a reader may use it by a further name instead of a copy. */
  readonly isImmutable: boolean
}

/** What it takes to read a snapshot again; plain data, kept in the manifest. */
export interface SnapshotHandle {
  /** `'pages'`: canonical; otherwise files in the format of the backend of that name. */
  readonly format: string
  readonly keyGroups: KeyGroupRange
  readonly files: readonly SnapshotFile[]
}

/** Where the snapshots of a job go. One for each thread. */
export interface SnapshotStorage {
  /** Begins the snapshot of one operator subtask. */
  writer(target: SnapshotTarget): SnapshotWriter
  /** Opens a snapshot for reading. Never changes it; several may read at once. Throws `CHECKPOINT_CORRUPT`. */
  reader(handle: SnapshotHandle): Promise<SnapshotReader>
}

/** Whose snapshot it is. */
export interface SnapshotTarget {
  readonly checkpointId: number
  /** Private to one attempt to take this checkpoint: whatever was written by a former one is not touched. */
  readonly attempt: string
  readonly kind: 'checkpoint' | 'savepoint'
  /** Where a savepoint goes; left out for checkpoints. */
  readonly directory?: string
  readonly operatorUid: string
  readonly subtaskIndex: number
  readonly keyGroups: KeyGroupRange
  /** Whether the snapshot must share no file with others: then also immutable files are copied. */
  readonly isSelfContained: boolean
  /** Called when `isFull` has turned false. */
  readonly wake: () => void
}

/** Takes the pages or files of one snapshot. Ends with `close` or `abort`. */
export interface SnapshotWriter {
  /** Encodes the page before it returns. */
  page(page: StatePage): void
  /** Whether so many bytes wait for the disk that nothing should be written now. */
  readonly isFull: boolean
  /**
   * Takes a file of the backend into the snapshot: by a further name where it is immutable and the storage can, else as a
   * copy. So snapshots share the files that have not changed between them.
   */
  file(source: SnapshotSourceFile): Promise<void>
  /** All is durable when it settles. */
  close(format: string): Promise<SnapshotHandle>
  abort(): Promise<void>
}

/** A file that a backend gives to a snapshot. */
export interface SnapshotSourceFile {
  readonly name: string
  readonly path: string
  readonly isImmutable: boolean
  /** The first so many bytes, for a file that is still written. Default: all of it. */
  readonly bytes?: number
}

/** Reads one snapshot. */
export interface SnapshotReader {
  readonly handle: SnapshotHandle
  /** The pages that lie in `range`, group by group. Only for format `'pages'`. */
  pages(range: KeyGroupRange): AsyncIterable<StatePage>
  /** Puts the files into an empty directory, linked where they are immutable. Only for formats of backends. */
  materialize(directory: string): Promise<void>
  close(): Promise<void>
}
