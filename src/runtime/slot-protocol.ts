/** All messages between the coordinator of a job and a slot. Plain data: they cross threads. */
import type { SubtaskAck } from '../checkpoint/pending-checkpoint.ts'
import type { OperatorRestore } from '../checkpoint/restore-plan.ts'
import type { Split } from '../contract/source.ts'
import type { ErrorData } from '../core/errors.ts'
import type { Fingerprint } from '../plan/fingerprint.ts'
import type { CheckpointTrigger } from './subtask.ts'
import type { SubtaskFigures } from './subtask-metrics.ts'

/** From the coordinator to a slot. */
export type SlotCommand =
  /** Opens the subtasks of a region that belong to the slot; answered by `deployed` or `failed`. */
  | {
      readonly kind: 'deploy'
      readonly region: number
      /** Unique among all deployments of the job. */
      readonly attempt: string
      /** The line of checkpoints that the job takes. */
      readonly lineage: string
      readonly restores: readonly UidRestore[]
      /** Shared memory of channels that lead to or come from other slots, by channel id. */
      readonly rings: ReadonlyMap<string, SharedArrayBuffer>
    }
  /** Lets the subtasks of a deployed attempt run. */
  | { readonly kind: 'start'; readonly attempt: string }
  /** Closes the subtasks of an attempt; answered by `closed`. */
  | { readonly kind: 'close'; readonly attempt: string }
  | {
      readonly kind: 'assign'
      readonly attempt: string
      readonly taskId: number
      readonly subtaskIndex: number
      readonly splits: readonly Split[]
      readonly isLast: boolean
    }
  | { readonly kind: 'trigger'; readonly trigger: CheckpointTrigger }
  | { readonly kind: 'abort'; readonly checkpointId: number }
  | { readonly kind: 'complete'; readonly checkpointId: number }
  /** Makes the sources stop reading. */
  | { readonly kind: 'stop'; readonly drain: boolean }

/** What the subtasks of one operator begin with, by subtask. */
export interface UidRestore {
  readonly uid: string
  readonly subtasks: readonly OperatorRestore[]
}

/** From a slot to the coordinator. */
export type SlotEvent =
  /** The slot has built the job. */
  | { readonly kind: 'ready'; readonly fingerprint: Fingerprint }
  /** The slot could not build the job. */
  | { readonly kind: 'unusable'; readonly error: ErrorData }
  | { readonly kind: 'deployed'; readonly attempt: string }
  | { readonly kind: 'closed'; readonly attempt: string }
  /** A subtask failed, or could not be opened. */
  | { readonly kind: 'failed'; readonly attempt: string; readonly error: ErrorData }
  | { readonly kind: 'acknowledged'; readonly checkpointId: number; readonly ack: SubtaskAck }
  | { readonly kind: 'declined'; readonly checkpointId: number; readonly error: ErrorData }
  | ({ readonly kind: 'confirmed'; readonly checkpointId: number } & SubtaskName)
  | ({ readonly kind: 'input-ended' } & SubtaskName)
  | ({ readonly kind: 'suspended' } & SubtaskName)
  /** Now and then. */
  | { readonly kind: 'figures'; readonly subtasks: readonly NamedFigures[] }

/** Which subtask speaks. */
export interface SubtaskName {
  readonly attempt: string
  readonly taskId: number
  readonly subtaskIndex: number
}

export interface NamedFigures extends SubtaskName {
  readonly figures: SubtaskFigures
}
