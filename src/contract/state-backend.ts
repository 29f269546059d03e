/**
 * The contract between the engine and a state backend: where the keyed state of one operator subtask lives.
 *
 * A backend keeps *cells*: small values under (state, key, sub), and two kinds of indexes. All that users see (value, list, map,
 * timers) is built of cells in src/state, once for all backends.
 *
 * Rules for an implementation (test/contract/state-backend.ts runs against each)
 *  - Every call but `open`, `close` and the promises is synchronous. What is slow (disk) is done by `work` and by snapshots.
 *  - A stored value is the backend's. `get` hands out a reference that the caller does not change; who wants to change
 *    a value in place asks with `edit` and ends with `put`. Values are in the value model.
 *  - A snapshot sees exactly what was stored at `snapshot()`, whatever happens to the store while it is written
 *    (docs/protocol.md 3): a backend keeps or writes the old value before it gives one out for editing, replaces or removes it.
 *  - `snapshot` costs about the same for ten keys as for ten million.
 */
import type { AnyKey } from '../core/key.ts'
import type { KeyGroupRange } from '../core/key-group.ts'
import type { SnapshotHandle, SnapshotReader, SnapshotWriter } from './snapshot-storage.ts'

/**
 * How cells of a state lie.
 *  - `'key'`: one cell per key.
 *  - `'page'`: cells of a key numbered by the operator (`sub`), for lists and maps that are read piece by piece.
 *  - `'slice'`: cells of many keys in a slice of time (`sub`), which is read and dropped as a whole.
 *  - `'timers'`: a `TimerIndex`.
 */
export type CellLayout = 'key' | 'page' | 'slice' | 'timers'

/** A declared keyed state. `kind` is what it is to the user; a savepoint's must equal the job's. */
export interface CellState {
  readonly name: string
  readonly kind: string
  readonly layout: CellLayout
}

/** A kind of store for keyed state. */
export interface StateBackend {
  /** As in options and manifests: `'memory'`, `'leveldb'`. */
  readonly name: string
  /** Opens the store of one operator subtask, filled from `options.restore`. */
  open(options: KeyedStoreOptions): Promise<KeyedStore>
}

/** How much memory each store of the backend `leveldb` takes; there is one for each subtask of an operator with keyed state. */
export interface LevelDbOptions {
  /** Cells kept in memory. Default: 64 MiB. */
  readonly cacheBytesMax?: number
  /**
   * Changes not written yet. When it is reached the subtask takes no input until the disk has caught up. Default: three
   * quarters of `cacheBytesMax`.
   */
  readonly dirtyBytesMax?: number
  /** Blocks of the database kept uncompressed. Default: 8 MiB. */
  readonly blockCacheBytes?: number
  /** The database's own buffer for writes; it takes twice that. Default: 4 MiB. */
  readonly writeBufferBytes?: number
  /**
   * Table files of 2 MiB that the database keeps open. Default: 1500, of about 30 KB of memory each; 256 where tables can't but be
   * mapped into memory (Windows).
   */
  readonly tablesOpenMax?: number
}

/** What a store is opened with. */
export interface KeyedStoreOptions {
  readonly operatorUid: string
  readonly subtaskIndex: number
  readonly keyGroups: KeyGroupRange
  readonly maxParallelism: number
  readonly states: readonly CellState[]
  /** Snapshots whose key groups overlap `keyGroups`; of these, only what lies in `keyGroups` is taken. */
  readonly restore: readonly SnapshotReader[]
  /** A fresh directory for working files, made when it is first asked for. */
  readonly workDirectory: () => string
  /** Called when something that `hasRoom` or a snapshot's `step` waits for has happened. */
  readonly wake: () => void
  /** Called when the store has failed and can't go on. */
  readonly fail: (error: unknown) => void
}

/** Keyed state of one operator subtask. */
export interface KeyedStore {
  /** The key at hand for all cells, with its hash. Cheap: nothing is looked up yet. */
  useKey(key: AnyKey, hash: number): void
  readonly key: AnyKey
  readonly hash: number
  /**
   * Keys with `hashes[from]` to before `hashes[to]` are about to be used, one after the other. A store may bring what they need into
   * reach; nothing that anybody can see may depend on it.
   */
  warm?(hashes: Int32Array, from: number, to: number): void
  /** Cells of a state of layout `'key'` or `'page'`. */
  cells<V>(state: string): KeyedCells<V>
  /** Cells of a state of layout `'slice'`. */
  slices<V>(state: string): SliceCells<V>
  timers(state: string): TimerIndex
  /** False while the store needs time to write; the subtask takes no input then. */
  hasRoom(): boolean
  /** A slice of background work, if there is any; whether there is more to do now. */
  work(): boolean
  /** The synchronous part of a snapshot. At most one runs at a time: the engine abandons the former first. */
  snapshot(request: SnapshotRequest): KeyedSnapshot
  /** Checkpoint `checkpointId` is complete: files only earlier ones needed may go. */
  onCheckpointComplete(checkpointId: number): void
  /** How much it holds, for metrics. */
  statistics(): StoreStatistics
  close(): Promise<void>
}

/** What a store holds. */
export interface StoreStatistics {
  /** Cells in memory. */
  readonly cellCount: number
}

/** Cells of the key at hand. `sub` is 0 for layout `'key'`. */
export interface KeyedCells<V> {
  get(sub: number): V | undefined
  /** Like `get`, but the caller may change the value in place until it calls `put`. */
  edit(sub: number): V | undefined
  put(sub: number, value: V): void
  remove(sub: number): void
}

/** Cells of the key at hand in slices of time. */
export interface SliceCells<V> extends KeyedCells<V> {
  /** The slices that hold cells, ascending. */
  slices(): readonly number[]
  /** Walks the keys of a slice; see `SliceCursor`. */
  keys(slice: number): SliceCursor
  /** Forgets a slice with all its cells. */
  drop(slice: number): void
}

/** Walks the keys of one slice. Stays valid while cells change; keys added on the way may or may not be seen. */
export interface SliceCursor {
  /** Makes the next key the store's key at hand. False at the end. */
  next(): boolean
}

/**
 * Keys by time, for timers. An entry may be there twice and may be out of date: whoever polls it looks into its own
 * state. Entries come out in the order of time, those of one millisecond in no particular order.
 */
export interface TimerIndex {
  /** Enters the key at hand. The time is finite. */
  add(timestampMs: number): void
  /** The earliest time; Infinity if there is none. */
  peek(): number
  /** Takes the earliest entry not after `upToMs` out and makes its key the key at hand. False if there is none. */
  poll(upToMs: number): boolean
  /** The time of the entry that `poll` took out last. */
  readonly timestampMs: number
}

/** What is asked of a snapshot. */
export interface SnapshotRequest {
  readonly checkpointId: number
  /** A savepoint is written in the canonical pages whatever the backend. */
  readonly kind: 'checkpoint' | 'savepoint'
  readonly writer: SnapshotWriter
}

/** A snapshot being written. */
export interface KeyedSnapshot {
  /**
   * Writes up to about `entriesMax` entries. `'more'`: call again when there is time; `'waiting'`: for the disk, `wake` is called;
   * `'written'`: nothing is left to do for the caller.
   */
  step(entriesMax: number): 'more' | 'waiting' | 'written'
  /** Settles when the snapshot is on disk, or rejects with the reason it is not. */
  readonly finished: Promise<SnapshotHandle>
  /** Ends it without a result; may be called at any time, also twice. `finished` rejects if it had not settled. */
  abandon(): void
}
