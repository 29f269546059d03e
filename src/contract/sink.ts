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
  /** Runs once per subtask. Before the first `write`, committables of the checkpoint have been committed. */
  open(context: SinkContext): SinkWriter | Promise<SinkWriter>
}

export interface SinkContext {
  readonly jobName: string
  readonly operatorUid: string
  readonly subtaskIndex: number
  readonly parallelism: number
  /** Unique among all starts and restarts of the job, so that what they stage never meets. Letters, digits and '-'. */
  readonly attempt: string
  /** Whether the job takes checkpoints. If not, epochs end only with the job, and nothing is committed before. */
  readonly isCheckpointed: boolean
  readonly clock: Clock
  readonly logger: Logger
  readonly signal: AbortSignal
  readonly mailbox: Mailbox
  /** Committables of the restored checkpoint that fell to this subtask, oldest first. They are about to be committed. */
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
  write(value: unknown, timestampMs: number): void
  /** False while as much is under way as the sink allows; `mailbox` wakes it. Default: true. */
  hasRoom?(): boolean
  /** Ends the epoch at a barrier. */
  prepare?(checkpointId: number): PreparedEpoch
  /** Makes an epoch visible. Idempotent; retried with the job if it rejects. */
  commit?(committable: Committable): Promise<void>
  /** After all subtasks have committed what a restore left: removes what former runs staged and no checkpoint names. */
  discardUnnamed?(): Promise<void>
  close?(): void | Promise<void>
}

/** What `prepare` leaves behind. */
export interface PreparedEpoch {
  /** What `commit` will be given; undefined where there is nothing to commit. In the value model. */
  readonly committable?: unknown
  /** Settles when what was written would survive a crash of this process. */
  readonly durable?: Promise<void>
}
