/**
 * What a supervisor does when the process of the job has ended. Pure.
 *
 *  1. It was told to stop: the supervisor ends as the job did; when the deadline had to end it, with a code that says so. A process
 *     that the signal itself ended had not yet begun with the job: that is no failure.
 *  2. An exit code says that a start would be the same again (0 finished, 2 usage, 3 job, 5 cancelled): the supervisor ends with it.
 *  3. It crashed: by a signal, a native abort, or with any other code. It is started again, after 1, 2, 4, … times `delayMs` for each
 *     restart within the last `withinMs`, up to `delayMaxMs`; the restart after `restartsMax` of them is not made any more, and the
 *     supervisor ends with the exit code of the last crash (of a signal as shells have it: 128 + its number).
 */
import { constants } from 'node:os'

/** How a process ended: with a code, or by a signal. */
export interface ProcessEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface RestartBounds {
  readonly restartsMax: number
  readonly withinMs: number
  readonly delayMs: number
  readonly delayMaxMs: number
}

export type AfterEnd =
  | { readonly kind: 'restart'; readonly delayMs: number }
  | { readonly kind: 'end'; readonly exitCode: number; readonly gaveUp: boolean }

export interface EndFacts {
  readonly end: ProcessEnd
  /** Exit codes after which a restart cannot help. */
  readonly lastCodes: readonly number[]
  /** What the supervisor was told to stop by, and has handed on. */
  readonly stopSignal: NodeJS.Signals | undefined
  /** The exit code of a job that was killed since it did not stop in time; undefined where it was not. */
  readonly killedCode: number | undefined
  /** When the process was started again. */
  readonly restartedAtMs: readonly number[]
  readonly nowMs: number
}

export function afterEnd(
  { end, lastCodes, stopSignal, killedCode, restartedAtMs, nowMs }: EndFacts,
  { restartsMax, withinMs, delayMs, delayMaxMs }: RestartBounds,
): AfterEnd {
  const exitCode = killedCode ?? exitCodeOfEnd(end)
  if (stopSignal !== undefined && end.signal === stopSignal) {
    return { kind: 'end', exitCode: 0, gaveUp: false }
  }
  if (stopSignal !== undefined || lastCodes.includes(exitCode)) {
    return { kind: 'end', exitCode, gaveUp: false }
  }
  const recentCount = restartedAtMs.filter((atMs) => nowMs - atMs < withinMs).length
  if (recentCount >= restartsMax) return { kind: 'end', exitCode, gaveUp: true }
  return { kind: 'restart', delayMs: Math.min(delayMaxMs, delayMs * 2 ** recentCount) }
}

/** As shells have it. */
export function exitCodeOfEnd({ code, signal }: ProcessEnd): number {
  if (code !== null) return code
  return 128 + (signal === null ? 0 : constants.signals[signal])
}

/** For the log. */
export function endText({ code, signal }: ProcessEnd): string {
  return signal === null ? `exit code ${code ?? 'unknown'}` : `signal ${signal}`
}
