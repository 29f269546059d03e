/**
 * The contract between the engine and a sink: two-phase commit, with the phases a sink does not need left out.
 *
 *  1. `write` takes records of the present epoch (between two barriers).
 *  2. At barrier n `prepare` ends the epoch: everything written so far is staged under n. The committable that tells how to
 *     make it visible goes into the snapshot, with all those before that are not confirmed.
 *  3. When checkpoint n is complete, `commit` is called for each committable up to n, oldest first, the next only after the
 *     former is confirmed. Aborting n changes nothing: its committable is committed with n + 1.
 *  4. After a restore `commit` is called again for all committables of the checkpoint. So **commit is idempotent**.
 *
 * A sink that leaves out `commit` is at-least-once if `prepare`'s `durable` waits for what was written, else it promises nothing.
 *
 * Where what was staged can be lost without the engine's doing (a transaction that a broker ends after its time), or has to be looked
 * after as a whole, a sink brings a **coordinator's side** beside its writers (`SinkCoordinator`). Then the commits of a restore are made
 * there, before any subtask is deployed, and step 4 does not happen in the writers.
 */
import type { ChangeKind } from '../core/change.ts'
import type { Logger } from '../core/log.ts'
import type { Clock } from '../core/time.ts'
import type { Mailbox } from './operator.ts'

declare const brand: unique symbol

/** An output for rows of `T`, taking what `C` says. An append-only log is a `Sink<T>`: inserts only. */
export interface Sink<in T, in C extends ChangeKind = 'insert'> {
  /** Only in the type: what the sink takes. */
  readonly [brand]?: (value: T, changes: C) => void
  /** As plans show it: `files`, `kafka`. */
  readonly type: string
  /** Options as plans show them; no secrets. */
  readonly details?: Readonly<Record<string, string | number | boolean>>
  /** Whether it works in worker threads too. False: it needs the caller's thread (`arraySink`). Default true. */
  readonly needsCallingThread?: boolean
  /**
   * Whether its writers understand retractions: what the type says with `C`, for a job that is not typed. Default false: a job that
   * feeds it rows which may be taken back is refused when it is built.
   */
  readonly takesRetractions?: boolean
  /**
   * For sinks that keep one row a key: rows of one key come to one writer where they may be taken back, so that it sees both halves of
   * each update, between the same two barriers.
   */
  readonly key?: (value: never) => unknown
  /** The coordinator's side, for sinks that need one. Made once per run of the job, on its main thread. */
  coordinator?(context: SinkCoordinatorContext): SinkCoordinator
  /** Runs once per subtask. Before the first `write`, committables of the checkpoint have been committed. */
  open(context: SinkContext): SinkWriter | Promise<SinkWriter>
}

export interface SinkContext {
  readonly jobName: string
  readonly operatorUid: string
  readonly subtaskIndex: number
  readonly parallelism: number
  /** The line of checkpoints that the job takes: within one, checkpoint ids never repeat. Letters, digits and '-'. */
  readonly lineage: string
  /** Unique among all starts and restarts of the job, so that what they stage never meets. Letters, digits and '-'. */
  readonly attempt: string
  /** Whether the job takes checkpoints. If not, epochs end only with the job, and nothing is committed before. */
  readonly isCheckpointed: boolean
  /** Whether rows of its input may be taken back. Default false. */
  readonly mayRetract?: boolean
  readonly clock: Clock
  readonly logger: Logger
  readonly signal: AbortSignal
  readonly mailbox: Mailbox
  /**
   * Committables of the restored checkpoint that fell to this subtask, oldest first. They are about to be committed. None where
   * the sink has a coordinator's side.
   */
  readonly restored: readonly Committable[]
  /** Fails the subtask from a callback. */
  fail(error: unknown): void
}

/** How to make one epoch of one subtask visible. */
export interface Committable {
  readonly checkpointId: number
  /** In the value model. */
  readonly data: unknown
}

/** The output of one subtask. */
export interface SinkWriter {
  /**
   * `kind`: whether the row is added or, if the sink `takesRetractions`, taken back: a row that was written before. Default
   * `'insert'`.
   */
  write(value: unknown, timestampMs: number, kind?: ChangeKind): void
  /** False while as much is under way as the sink allows; `mailbox` wakes it. Default: true. */
  hasRoom?(): boolean
  /**
   * Ends the epoch at a barrier. What is prepared for a savepoint is committed with the next checkpoint. A
   * rejected `durable` declines the checkpoint.
   */
  prepare?(checkpointId: number, kind: 'checkpoint' | 'savepoint'): PreparedEpoch
  /** Makes an epoch visible. Idempotent; retried with the job if it rejects. */
  commit?(committable: Committable): Promise<void>
  /** After all subtasks have committed what a restore left: removes what former runs staged and no checkpoint names. */
  discardUnnamed?(): Promise<void>
  close?(): void | Promise<void>
}

/** What `prepare` leaves behind. */
export interface PreparedEpoch {
  /**
   * What `commit` will be given; undefined where there is nothing to commit. In the value model. It may be completed (the same object)
   * until `durable` has settled.
   */
  readonly committable?: unknown
  /** Settles when what was written would survive a crash of this process. */
  readonly durable?: Promise<void>
}

/**
 * A sink as a whole, on the coordinator's thread. Called at each start and restart of its subtasks, while none of them lives:
 *  1. `examine`, with the unconfirmed epochs of the checkpoint that is about to be restored. It changes nothing. If epochs are lost, the
 *     engine may choose an earlier checkpoint and ask again.
 *  2. `abandon`, with the same epochs, where an earlier checkpoint is about to be chosen since some are lost.
 *  3. `settle`, once the checkpoint is chosen. When it returns, all its epochs are visible, and nothing else that former runs have
 *     begun is ever going to be.
 * All may reject; a retryable error is tried again as the job's restart strategy says.
 */
export interface SinkCoordinator {
  examine(epochs: readonly RestoredEpoch[]): Promise<readonly EpochOutcome[]>
  /**
   * Sees to it that none of these epochs becomes visible any more by what former runs have under way, and tells what became of them.
   * Those that are committed by then keep the engine from going back. Left out: what `examine` has called open stays so.
   */
  abandon?(epochs: readonly RestoredEpoch[]): Promise<readonly EpochOutcome[]>
  settle(epochs: readonly RestoredEpoch[], lineage: string): Promise<void>
  close?(): Promise<void>
}

export interface SinkCoordinatorContext {
  readonly jobName: string
  readonly operatorUid: string
  readonly parallelism: number
  /** As in `SinkContext`. */
  readonly isCheckpointed: boolean
  /** How often checkpoints are begun; undefined where only those are taken that are asked for. */
  readonly checkpointIntervalMs: number | undefined
  readonly clock: Clock
  readonly logger: Logger
  readonly signal: AbortSignal
  readonly ledger: SinkLedger
}

/** A committable of the restored checkpoint, with the subtask that prepared it; of one subtask in order. */
export interface RestoredEpoch extends Committable {
  readonly subtaskIndex: number
}

/**
 * What became of an epoch. `'open'`: `settle` can make it visible. `'committed'`: it is. `'lost'`: it never can be. `'unknown'`: it is
 * either committed or lost, and nothing is left that tells which. `detail` tells what and where, for people: topics, offsets.
 */
export interface EpochOutcome {
  readonly subtaskIndex: number
  readonly checkpointId: number
  readonly state: 'open' | 'committed' | 'lost' | 'unknown'
  readonly detail: string
}

/**
 * What a sink has to know of its former runs whatever checkpoint is restored, and where there is none. Kept with the checkpoints.
 *
 * It belongs to the job's present hold on its checkpoint directory: in a directory that was copied, what the original wrote is not
 * seen, unless the job was started with `claim`.
 */
export interface SinkLedger {
  /** In the order of `add`; in the value model of JSON. */
  entries(): Promise<readonly unknown[]>
  /** Durable when it settles. */
  add(entry: unknown): Promise<void>
  /** Whether output of this line of checkpoints is this job's to commit or to end: no other job can be running that takes it. */
  owns(lineage: string): Promise<boolean>
}
