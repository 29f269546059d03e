/**
 * Where the coordinator keeps what checkpoints consist of. Knows no file system: a store that can create a name if it does
 * not exist is enough.
 *
 * Contract
 *  - `publish` is one conditional create that fails for an owner that was superseded (`FENCED`) and for an id that exists.
 *  - Until `publish` returns, a checkpoint does not exist; afterwards it survives any crash.
 */
import type { SinkLedger } from '../contract/sink.ts'
import type { Fence } from '../core/ids.ts'
import type { Manifest } from './manifest.ts'

export interface CheckpointStore {
  readonly fence: Fence
  /** Ids of complete checkpoints, ascending. */
  list(): Promise<number[]>
  /** Throws `CHECKPOINT_CORRUPT`. */
  load(checkpointId: number): Promise<Manifest>
  /** Checks every file that a manifest names. Throws `CHECKPOINT_CORRUPT`. */
  verify(manifest: Manifest): Promise<void>
  /** An id that was never given out before, in this process or another. */
  reserve(): Promise<number>
  /** Throws `FENCED` where another owner has come; asked before commits too. */
  checkOwner(): Promise<void>
  /** Whether output of this line of checkpoints is this job's to commit or to end. */
  ownsLineage(lineage: string): Promise<boolean>
  /** From now on it is. Durable when it settles. */
  takeLineage(lineage: string): Promise<void>
  /** What the sink of this uid keeps whatever checkpoint is restored. */
  ledger(operatorUid: string): SinkLedger
  publish(manifest: Manifest, attempt: string): Promise<void>
  /** Forgets a checkpoint and its data. */
  discard(checkpointId: number): Promise<void>
  /** Removes data that no manifest names, but for that of `running` checkpoints. */
  sweep(running: ReadonlySet<number>): Promise<void>
  /** Where a savepoint below `parent` will lie. */
  savepointDirectory(parent: string, checkpointId: number, attempt: string): string
  publishSavepoint(directory: string, manifest: Manifest): Promise<void>
  discardSavepoint(directory: string): Promise<void>
  close(): Promise<void>
}
