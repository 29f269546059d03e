/**
 * What the snapshots of a store have in common, and what they ask of it.
 *
 *  1. `LevelStore.snapshot` seals the generation. The snapshot *holds writes*: only what is sealed is written.
 *  2. When all of that is on disk the store calls `begin`: nothing is being written then.
 *  3. The snapshot takes hold of the disk as it is (captured files, an iteration) and lets the store go with `release`.
 *  4. It hands what it holds to the writer, while the store goes on.
 *
 * Invariants
 *  - `release` is called exactly once, whatever happens: at 3, or when it is abandoned or fails before.
 *  - The writer is closed or aborted exactly once, and not while another of its calls is under way.
 *  - `finished` settles once. Nobody needs to listen.
 */
import type { KeyedSnapshot, SnapshotRequest } from '../../src/contract/state-backend.ts'
import type { SnapshotHandle } from '../../src/contract/snapshot-storage.ts'
import type { KeyGroupRange } from '../../src/core/key-group.ts'
import { EngineError, isEngineError } from '../../src/core/errors.ts'
import type { DiskTable, TableDisk } from './disk-table.ts'
import type { StoredState } from './state-directory.ts'

/** The store as its snapshot sees it. */
export interface SnapshotHost {
  readonly table: DiskTable
  readonly disk: TableDisk
  readonly states: readonly StoredState[]
  readonly keyGroups: KeyGroupRange
  /** Writes on with what is sealed. `'flushed'`: all of it is on disk. */
  flushSealed(entriesMax: number): 'more' | 'waiting' | 'flushed'
  /** Lets newer generations be written; what is sealed and not written is dirty again. */
  release(): void
  wake(): void
  /** A path in the work directory where nothing is yet. */
  newDirectory(name: string): string
  /** Has `close` wait for something that never rejects. */
  background(work: Promise<void>): void
}

export abstract class LevelSnapshot implements KeyedSnapshot {
  readonly finished: Promise<SnapshotHandle>
  protected readonly request: SnapshotRequest
  protected readonly host: SnapshotHost
  readonly #resolve: (handle: SnapshotHandle) => void
  readonly #reject: (error: unknown) => void
  #holdsWrites = true
  #hasBegun = false
  #isOver = false

  constructor(request: SnapshotRequest, host: SnapshotHost) {
    this.request = request
    this.host = host
    let resolve: (handle: SnapshotHandle) => void = ignore
    let reject: (error: unknown) => void = ignore
    this.finished = new Promise<SnapshotHandle>((onResolve, onReject) => {
      resolve = onResolve
      reject = onReject
    })
    this.finished.catch(ignore)
    this.#resolve = resolve
    this.#reject = reject
  }

  /** Whether newer generations must not be written yet. */
  get holdsWrites(): boolean {
    return this.#holdsWrites
  }

  /** Whether it has succeeded, failed or been abandoned. */
  protected get isOver(): boolean {
    return this.#isOver
  }

  abstract step(entriesMax: number): 'more' | 'waiting' | 'written'

  /** All that was sealed is on disk, and nothing is being written. Called by the store, at most once. */
  begin(): void {
    if (this.#hasBegun) return
    this.#hasBegun = true
    this.host.background(this.#run())
  }

  abandon(): void {
    this.fail(
      new EngineError(
        'CHECKPOINT_FAILED',
        `The snapshot for checkpoint ${this.request.checkpointId} was abandoned`,
      ),
    )
  }

  /** Ends it with an error, unless it has ended. */
  fail(error: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.release()
    this.#reject(isEngineError(error) ? error : this.#failed(error))
    this.onOver()
    if (!this.#hasBegun) this.host.background(this.#abortWriter())
  }

  /** Takes hold of the disk, calls `release`, and gives everything to the writer. Ends early when `isOver`. */
  protected abstract take(): Promise<void>
  /** The format of what `take` gives to the writer. */
  protected abstract readonly format: string
  /** Frees what `take` has taken. */
  protected abstract free(): Promise<void>
  /** Lets `take` go on when it waits for something that will not come any more. */
  protected onOver(): void {}

  protected release(): void {
    if (!this.#holdsWrites) return
    this.#holdsWrites = false
    this.host.release()
  }

  async #run(): Promise<void> {
    try {
      await this.take()
      if (!this.#isOver) {
        const handle = await this.request.writer.close(this.format)
        const isFirst = !this.#isOver
        this.#isOver = true
        if (isFirst) this.#resolve(handle)
        await this.#free()
        return
      }
    } catch (error) {
      this.fail(error)
    }
    await this.#free()
    await this.#abortWriter()
  }

  #failed(cause: unknown): EngineError {
    const text = cause instanceof Error ? cause.message : String(cause)
    return new EngineError(
      'CHECKPOINT_FAILED',
      `The snapshot for checkpoint ${this.request.checkpointId} can't be written: ${text}`,
      { cause },
    )
  }

  /** What can't be freed lies in the work directory, which is thrown away as a whole. */
  async #free(): Promise<void> {
    await this.free().catch(ignore)
  }

  /** The snapshot has ended already, and the storage sweeps what no manifest names. */
  async #abortWriter(): Promise<void> {
    await this.request.writer.abort().catch(ignore)
  }
}

function ignore(): void {}
