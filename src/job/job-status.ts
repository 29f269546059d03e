/**
 * Where a job is in its life.
 *
 *   starting -> running -> finished                       a bounded job
 *                  |-> restarting -> running              after a failure
 *                  |-> stopping -> stopped                stop, cancel, SIGTERM
 *   any of these -> failed
 */
import { assert } from '../core/errors.ts'

export type JobStatus =
  'starting' | 'running' | 'restarting' | 'stopping' | 'finished' | 'stopped' | 'failed'

const moves = {
  starting: ['running', 'restarting', 'stopping', 'failed', 'stopped'],
  running: ['restarting', 'stopping', 'finished', 'failed', 'stopped'],
  restarting: ['running', 'stopping', 'failed', 'stopped', 'restarting'],
  stopping: ['stopped', 'finished', 'failed'],
  finished: [],
  stopped: [],
  failed: [],
} satisfies Record<JobStatus, readonly JobStatus[]>

/** The next status; a move that the life of a job does not have is a mistake of ours. */
export function moveStatus(from: JobStatus, to: JobStatus): JobStatus {
  const allowed: readonly JobStatus[] = moves[from]
  assert(allowed.includes(to), `A job moves from ${from} to ${to}`)
  return to
}

/** Whether nothing will happen any more. */
export function isOver(status: JobStatus): boolean {
  return moves[status].length === 0
}
