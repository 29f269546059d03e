/**
 * What a running job can be asked from outside, and what it answers: JSON over HTTP on the loopback interface, below `/v1`.
 *
 *   GET  /v1/job          -> JobReport
 *   GET  /v1/metrics      -> text in the format of Prometheus
 *   POST /v1/savepoint    { directory? }         -> SavepointReply, when it is published
 *   POST /v1/checkpoint   {}                     -> CheckpointReply, when it is published
 *   POST /v1/stop         { drain?, savepoint? } -> StopReply, when the job has ended
 *   POST /v1/cancel       {}                     -> {}, when the job has ended
 *
 * Each request has the token of the job's entry (run-registry.ts) as `authorization: Bearer …`. What is refused is answered with a
 * status from 400 on and an ErrorReply. Directories are absolute. Fields are only ever added.
 */
import { z } from 'zod'
import type { ErrorData } from '../core/errors.ts'
import type { JobStatus } from '../job/job-status.ts'
import type { TaskFigures } from '../job/job-figures.ts'

export const CONTROL_PREFIX = '/v1'
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** What is known of a job now. */
export interface JobReport {
  readonly job: string
  /** Of this run: never the same twice. */
  readonly runId: string
  readonly pid: number
  readonly status: JobStatus
  readonly module: string
  readonly startedAtMs: number
  readonly parallelism: number
  readonly threads: number
  readonly checkpoints: { readonly directory: string; readonly intervalMs: number } | null
  readonly restored: {
    readonly kind: 'checkpoint' | 'savepoint'
    readonly checkpointId: number
  } | null
  readonly lastCheckpoint: CheckpointReport | null
  readonly lastSavepoint: (CheckpointReport & { readonly path: string }) | null
  readonly checkpointCount: number
  readonly checkpointFailureCount: number
  readonly restartCount: number
  readonly lastFailure: { readonly message: string; readonly atMs: number } | null
  readonly recordsRead: number
  readonly recordsWritten: number
  readonly lateRecords: number
  readonly tasks: readonly TaskReport[]
}

export interface CheckpointReport {
  readonly checkpointId: number
  readonly completedAtMs: number
  readonly durationMs: number
  readonly bytes: number
}

/** JSON has no infinite numbers: a watermark that there is not yet, or that is at the end, is null. */
export type TaskReport = Omit<TaskFigures, 'watermarkMs'> & { readonly watermarkMs: number | null }

export interface SavepointReply {
  readonly path: string
  readonly checkpointId: number
}

export interface CheckpointReply {
  readonly checkpointId: number
}

export interface StopReply {
  readonly status: 'finished' | 'stopped'
  readonly recordsRead: number
  readonly recordsWritten: number
  readonly lateRecords: number
  readonly checkpoints: number
  readonly savepoint?: SavepointReply
}

export interface ErrorReply {
  readonly error: ErrorData
}

const directory = z.string().regex(/^(\/|[A-Za-z]:[\\/]|\\\\)/, 'must be an absolute path')

export interface SavepointRequest {
  readonly directory?: string | undefined
}
export interface StopRequest {
  readonly drain?: boolean | undefined
  readonly savepoint?: string | undefined
}

export const savepointRequest: z.ZodType<SavepointRequest> = z.strictObject({
  directory: directory.optional(),
})
export const stopRequest: z.ZodType<StopRequest> = z.strictObject({
  drain: z.boolean().optional(),
  savepoint: directory.optional(),
})
export const emptyRequest: z.ZodType<Record<string, never>> = z.strictObject({})
