/**
 * Whether a job is well, from what its supervisor knows. Pure: facts and the time go in, a verdict comes out.
 *
 * Rules of health (liveness: whoever asks may start the whole service again)
 *  1. Three failures without progress between them are a restart loop. Progress is a completed checkpoint, or, in a job that takes
 *     none, a minute of running.
 *  2. The last checkpoint is older than three intervals. Asked from the moment on at which this process of the job first ran, and not
 *     of less than `CHECKPOINT_AGE_MS_MIN`, since figures come but once a second.
 *  3. The job does not run for the first time within `START_MS_MAX` of its process' start: to restore takes as long as it takes, and
 *     whoever ends it for that gets the same again.
 *  4. The process of the job does not answer for `SILENCE_MS_MAX`.
 * Ready: the job runs.
 */
import type { JobReport } from './control-protocol.ts'

export const FAILURES_IN_ROW_MAX = 2
export const INTERVALS_MAX = 3
export const CHECKPOINT_AGE_MS_MIN = 5_000
export const START_MS_MAX = 600_000
export const SILENCE_MS_MAX = 60_000
export const PROGRESS_MS = 60_000

/** What is known of the process of the job that runs now. */
export interface ChildFacts {
  readonly startedAtMs: number
  /** When it first told of a job that runs. */
  readonly runningSinceMs: number | undefined
  /** When it last told anything. */
  readonly answeredAtMs: number
  readonly report: JobReport | undefined
}

export interface HealthFacts {
  /** Undefined while the supervisor waits before it starts the next. */
  readonly child: ChildFacts | undefined
  /** Of any process of the job. */
  readonly lastCheckpointAtMs: number | undefined
  readonly failuresInRow: number
}

/** Empty: all is well. */
export function troublesOf(facts: HealthFacts, nowMs: number): readonly string[] {
  const { child, failuresInRow } = facts
  return [
    ...(failuresInRow > FAILURES_IN_ROW_MAX
      ? [`restart loop: ${failuresInRow} failures without progress between them`]
      : []),
    ...(child === undefined ? [] : childTroubles(child, facts.lastCheckpointAtMs, nowMs)),
  ]
}

function childTroubles(
  { startedAtMs, runningSinceMs, answeredAtMs, report }: ChildFacts,
  lastCheckpointAtMs: number | undefined,
  nowMs: number,
): string[] {
  const troubles: string[] = []
  const silentMs = nowMs - answeredAtMs
  if (silentMs > SILENCE_MS_MAX) {
    troubles.push(`the process of the job has not answered for ${secondsText(silentMs)}`)
  }
  if (runningSinceMs === undefined) {
    if (nowMs - startedAtMs > START_MS_MAX) {
      troubles.push(`the job is still starting after ${secondsText(nowMs - startedAtMs)}`)
    }
    return troubles
  }
  const intervalMs = report?.checkpoints?.intervalMs
  if (intervalMs === undefined) return troubles
  const ageMs = nowMs - Math.max(lastCheckpointAtMs ?? 0, runningSinceMs)
  if (ageMs > Math.max(INTERVALS_MAX * intervalMs, CHECKPOINT_AGE_MS_MIN)) {
    troubles.push(
      `no checkpoint for ${secondsText(ageMs)}, which is more than ${INTERVALS_MAX} intervals of ${secondsText(intervalMs)}`,
    )
  }
  return troubles
}

/** Whether the job runs: whether it can be saved, and does its work. */
export function isReady({ child }: HealthFacts): boolean {
  return child?.report?.status === 'running'
}

/** What a new report adds to the failures without progress between them. */
export function failuresAfter(
  failuresInRow: number,
  { before, now, nowMs }: { before: JobReport | undefined; now: JobReport; nowMs: number },
): number {
  const isProgress =
    now.checkpoints === null
      ? now.status === 'running' &&
        nowMs - Math.max(now.startedAtMs, now.lastFailure?.atMs ?? 0) > PROGRESS_MS
      : now.checkpointCount > (before?.checkpointCount ?? 0)
  const added = now.restartCount - (before?.restartCount ?? 0)
  return (isProgress ? 0 : failuresInRow) + added
}

function secondsText(durationMs: number): string {
  return `${Math.round(durationMs / 100) / 10} s`
}
