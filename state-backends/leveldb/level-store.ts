/**
 * The keyed state of one operator subtask on a `DiskTable`, behind a cache.
 *
 * Who does what: the states (key-cells.ts, slice-keys.ts, timer-buckets.ts) turn what operators ask for into cells; the cache
 * (cell-cache.ts) keeps them; this file decides when what is written.
 *
 * Invariants
 *  - At most one batch is being written. The next is made by `work`, by a snapshot's `step` or by `hasRoom`, on the subtask's thread,
 *    of at most `batchEntriesMax` entries and `BATCH_BYTES_MAX` bytes.
 *  - From `snapshot` until the snapshot has what it needs (files captured, iteration begun) or is given up, only the generation that it
 *    sealed is written; while it takes hold, nothing is.
 *  - `hasRoom` is false exactly while `dirtyBytesMax` is reached. It begins a write itself where one can begin, and every end
 *    of a write or of a hold calls `wake`; so whoever waits for room gets it, or the failure.
 *  - Once failed it writes nothing any more; `fail` is called once.
 *
 * Called from the subtask's thread only. Reads may wait for the disk, nothing else does.
 */
import type {
  KeyedCells,
  KeyedSnapshot,
  KeyedStore,
  SliceCells,
  SnapshotRequest,
  StoreStatistics,
  TimerIndex,
} from '../../src/contract/state-backend.ts'
import { EngineError, InvariantError, assert, isEngineError } from '../../src/core/errors.ts'
import type { AnyKey } from '../../src/core/key.ts'
import type { KeyGroupRange } from '../../src/core/key-group.ts'
import { CellCache } from './cell-cache.ts'
import type { DiskBatch, DiskTable, TableDisk } from './disk-table.ts'
import { FileSnapshot } from './file-snapshot.ts'
import { KeyState } from './key-cells.ts'
import { PageSnapshot } from './page-snapshot.ts'
import type { LevelSnapshot, SnapshotHost } from './snapshot-host.ts'
import { SLICE_SLOTS, SliceState } from './slice-keys.ts'
import type { KeyAtHand } from './slice-keys.ts'
import type { StoredState } from './state-directory.ts'
import { TimerBuckets } from './timer-buckets.ts'

/** Entries of one write where nothing else is said. */
const BATCH_ENTRIES_MAX = 512
/** Bytes of one write, exceeded by one entry at most. */
const BATCH_BYTES_MAX = 1024 * 1024

/** How much a store keeps in memory. */
export interface StoreBounds {
  /** Cells in memory, whether they have been written or not. */
  readonly cacheBytesMax: number
  /** Changes in memory that have not been written; at half of it writing begins. */
  readonly dirtyBytesMax: number
  /** Entries of one write; default `BATCH_ENTRIES_MAX`. */
  readonly batchEntriesMax?: number
}

export interface LevelStoreOptions {
  readonly table: DiskTable
  readonly disk: TableDisk
  readonly states: readonly StoredState[]
  readonly keyGroups: KeyGroupRange
  readonly maxParallelism: number
  readonly bounds: StoreBounds
  /** A directory that does not exist yet. */
  readonly newDirectory: (name: string) => string
  readonly operatorUid: string
  readonly subtaskIndex: number
  readonly wake: () => void
  readonly fail: (error: unknown) => void
}

type OpenState = KeyState<unknown> | SliceState<unknown> | TimerBuckets

export class LevelStore implements KeyedStore, KeyAtHand, SnapshotHost {
  key: AnyKey = null
  hash = 0
  readonly table: DiskTable
  readonly states: readonly StoredState[]
  readonly keyGroups: KeyGroupRange
  readonly #options: LevelStoreOptions
  readonly #cache: CellCache
  readonly #byName = new Map<string, OpenState>()
  readonly #sliceStates: SliceState<unknown>[] = []
  readonly #dirtyBytesMax: number
  readonly #batchEntriesMax: number
  readonly #background = new Set<Promise<void>>()
  #roomWaiter: (() => void) | undefined = undefined
  #snapshot: LevelSnapshot | undefined = undefined
  #isWriting = false
  #failure: EngineError | undefined = undefined
  #closing: Promise<void> | undefined = undefined

  constructor(options: LevelStoreOptions) {
    this.#options = options
    this.table = options.table
    this.states = options.states
    this.keyGroups = options.keyGroups
    this.#dirtyBytesMax = options.bounds.dirtyBytesMax
    this.#batchEntriesMax = options.bounds.batchEntriesMax ?? BATCH_ENTRIES_MAX
    this.#cache = new CellCache({
      cacheBytesMax: options.bounds.cacheBytesMax,
      read: (key) => this.table.getSync(key),
    })
    let slotId = 0
    for (const state of options.states) {
      this.#byName.set(state.name, this.#open(state, slotId))
      slotId += SLICE_SLOTS
    }
  }

  useKey(key: AnyKey, hash: number): void {
    this.key = key
    this.hash = hash
  }

  cells<V>(state: string): KeyedCells<V> {
    return this.keyState<V>(state)
  }

  slices<V>(state: string): SliceCells<V> {
    return this.sliceState<V>(state)
  }

  timers(state: string): TimerIndex {
    return this.timerBuckets(state)
  }

  /** The same as `cells`, for whoever fills the store. */
  keyState<V>(state: string): KeyState<V> {
    const found = this.#byName.get(state)
    if (found instanceof KeyState) return found as KeyState<V>
    throw wrongLayout(state, 'key or page')
  }

  /** The same as `slices`, for whoever fills the store. */
  sliceState<V>(state: string): SliceState<V> {
    const found = this.#byName.get(state)
    if (found instanceof SliceState) return found as SliceState<V>
    throw wrongLayout(state, 'slice')
  }

  /** The same as `timers`, for whoever fills the store. */
  timerBuckets(state: string): TimerBuckets {
    const found = this.#byName.get(state)
    if (found instanceof TimerBuckets) return found
    throw wrongLayout(state, 'timers')
  }

  hasRoom(): boolean {
    if (this.#cache.dirtyBytes < this.#dirtyBytesMax) return true
    this.#flush(this.#batchEntriesMax)
    return this.#cache.dirtyBytes < this.#dirtyBytesMax
  }

  work(): boolean {
    if (this.#closing !== undefined || this.#failure !== undefined) return false
    const isBelowHalf = this.#cache.dirtyBytes * 2 < this.#dirtyBytesMax
    if (!isBelowHalf || this.#cache.hasSealed) this.#flush(this.#batchEntriesMax)
    if (!isBelowHalf) return false
    const state = this.#sliceStates.find(({ hasGarbage }) => hasGarbage)
    state?.collect()
    return this.#sliceStates.some(({ hasGarbage }) => hasGarbage)
  }

  snapshot(request: SnapshotRequest): KeyedSnapshot {
    assert(
      this.#snapshot?.holdsWrites !== true,
      'A snapshot is asked for only after the former one has ended or was abandoned',
    )
    this.#cache.seal()
    const snapshot =
      request.kind === 'checkpoint'
        ? new FileSnapshot(request, this)
        : new PageSnapshot(request, this)
    this.#snapshot = snapshot
    if (this.#failure !== undefined) snapshot.fail(this.#failure)
    return snapshot
  }

  /** Nothing to do: files are linked into checkpoints, and the storage of snapshots knows which of them are needed. */
  onCheckpointComplete(): void {}

  statistics(): StoreStatistics {
    let cellCount = this.#cache.count
    for (const state of this.#byName.values()) {
      if (state instanceof KeyState) cellCount += state.cellsBeyondEntries
    }
    return { cellCount }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** Settles when `hasRoom`; rejects when the store has failed. For whoever fills the store. */
  async untilRoom(): Promise<void> {
    while (!this.hasRoom()) {
      if (this.#failure !== undefined) throw this.#failure
      await new Promise<void>((resolve) => {
        this.#roomWaiter = resolve
      })
    }
  }

  /** Writes entries past the cache, which knows none of them. For whoever fills the store. */
  async copy(batch: DiskBatch): Promise<void> {
    await Promise.all(this.#background)
    this.#isWriting = true
    await this.table.write(batch)
    this.#isWriting = false
  }

  /** Part of `SnapshotHost`. */
  flushSealed(entriesMax: number): 'more' | 'waiting' | 'flushed' {
    this.#flush(entriesMax)
    if (this.#isWriting) return 'waiting'
    return this.#cache.hasSealed ? 'more' : 'flushed'
  }

  /** Part of `SnapshotHost`. */
  release(): void {
    this.#cache.unseal()
    this.wake()
  }

  /** Part of `SnapshotHost`. */
  wake(): void {
    this.#roomWaiter?.()
    this.#roomWaiter = undefined
    if (this.#closing === undefined) this.#options.wake()
  }

  /** Part of `SnapshotHost`. */
  get disk(): TableDisk {
    return this.#options.disk
  }

  /** Part of `SnapshotHost`. */
  newDirectory(name: string): string {
    return this.#options.newDirectory(name)
  }

  /** Part of `SnapshotHost`. */
  background(work: Promise<void>): void {
    this.#background.add(work)
    const forget = (): void => {
      this.#background.delete(work)
    }
    work.then(forget, forget)
  }

  #open(state: StoredState, slotId: number): OpenState {
    const { maxParallelism } = this.#options
    const shared = { cache: this.#cache, at: this, stateId: state.id, maxParallelism, slotId }
    switch (state.layout) {
      case 'key':
      case 'page':
        return new KeyState({ ...shared, layout: state.layout })
      case 'slice': {
        const slices = new SliceState(shared)
        this.#sliceStates.push(slices)
        return slices
      }
      case 'timers':
        return new TimerBuckets(shared)
    }
  }

  /** Begins to write what is next, if that may be. */
  #flush(entriesMax: number): void {
    if (this.#isWriting || this.#failure !== undefined || this.#closing !== undefined) return
    if (this.#cache.hasSealed || this.#snapshot?.holdsWrites !== true) {
      const batch = this.#cache.takeBatch({
        entriesMax: Math.min(entriesMax, this.#batchEntriesMax),
        bytesMax: BATCH_BYTES_MAX,
      })
      if (batch !== undefined) {
        this.#isWriting = true
        this.background(
          this.#write(batch).then(() => {
            if (this.#failure === undefined) this.#cache.confirm(batch)
            this.#isWriting = false
            this.#takeHold()
            this.wake()
          }),
        )
        return
      }
    }
    this.#takeHold()
  }

  async #write(batch: DiskBatch): Promise<void> {
    try {
      await this.table.write(batch)
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Lets a snapshot begin once all that belongs to it is on disk and nothing else is on its way there. */
  #takeHold(): void {
    if (this.#snapshot?.holdsWrites !== true || this.#closing !== undefined) return
    if (this.#isWriting || this.#cache.hasSealed || this.#failure !== undefined) return
    this.#snapshot.begin()
  }

  #fail(cause: unknown): void {
    if (this.#failure !== undefined) return
    const { operatorUid, subtaskIndex } = this.#options
    const error = isEngineError(cause) ? cause : writeFailed(cause)
    this.#failure = error.at({ operatorUid, subtaskIndex })
    this.#snapshot?.fail(this.#failure)
    if (this.#closing === undefined) this.#options.fail(this.#failure)
  }

  async #close(): Promise<void> {
    this.#snapshot?.abandon()
    await Promise.allSettled(this.#background)
    await this.table.close()
  }
}

function writeFailed(cause: unknown): EngineError {
  const text = cause instanceof Error ? cause.message : String(cause)
  return new EngineError('STATE_STORAGE_FAILED', `Writing the state to disk failed: ${text}`, {
    cause,
  })
}

function wrongLayout(state: string, layout: string): InvariantError {
  return new InvariantError(`The store has no state '${state}' of layout ${layout}`)
}
