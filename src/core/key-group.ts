/** From a key's hash to its key group, and from there to a subtask: each in one place. */
import { EngineError } from './errors.ts'
import type { KeyGroup, SubtaskIndex } from './ids.ts'

/** As many key groups as there may ever be: a group is written in two bytes. */
export const MAX_PARALLELISM_LIMIT = 32_768

/** Key groups where a job says nothing. */
export const MAX_PARALLELISM_DEFAULT = 128

/** How wide an operator runs, and into how many key groups its keys are divided. */
export interface Scale {
  readonly parallelism: number
  readonly maxParallelism: number
}

/** Key groups from `start` to before `end`. */
export interface KeyGroupRange {
  readonly start: number
  readonly end: number
}

/** The only place where a hash becomes a key group. Takes the high bits, so that tables may use the low ones. */
export function keyGroupOf(hash: number, maxParallelism: number): KeyGroup {
  return (((hash >>> 16) * maxParallelism) >>> 16) as KeyGroup
}

/** The only place where a key group becomes a subtask. */
export function subtaskOf(group: KeyGroup, { parallelism, maxParallelism }: Scale): SubtaskIndex {
  return Math.floor((group * parallelism) / maxParallelism) as SubtaskIndex
}

/** The key groups of a subtask: the inverse of `subtaskOf`. */
export function keyGroupsOf(
  subtask: number,
  { parallelism, maxParallelism }: Scale,
): KeyGroupRange {
  return {
    start: Math.ceil((subtask * maxParallelism) / parallelism),
    end: Math.ceil(((subtask + 1) * maxParallelism) / parallelism),
  }
}

/** What two ranges share; `start` equals `end` where they share nothing. */
export function intersectRanges(a: KeyGroupRange, b: KeyGroupRange): KeyGroupRange {
  const start = Math.max(a.start, b.start)
  return { start, end: Math.max(start, Math.min(a.end, b.end)) }
}

/** Whether two ranges are the same key groups. */
export function sameRange(a: KeyGroupRange, b: KeyGroupRange): boolean {
  return a.start === b.start && a.end === b.end
}

/** Refuses a scale that makes no sense; `place` names the operator in the message. */
export function checkScale({ parallelism, maxParallelism }: Scale, place: string): void {
  if (
    !Number.isInteger(maxParallelism) ||
    maxParallelism < 1 ||
    maxParallelism > MAX_PARALLELISM_LIMIT
  ) {
    throw new EngineError(
      'PARALLELISM_INVALID',
      `maxParallelism must be a whole number from 1 to ${MAX_PARALLELISM_LIMIT}, but is ${maxParallelism}`,
    )
  }
  if (!Number.isInteger(parallelism) || parallelism < 1) {
    throw new EngineError(
      'PARALLELISM_INVALID',
      `${place}: parallelism must be a whole number from 1, but is ${parallelism}`,
    )
  }
  if (parallelism > maxParallelism) {
    throw new EngineError(
      'PARALLELISM_ABOVE_MAX',
      `${place}: parallelism ${parallelism} is above maxParallelism ${maxParallelism}; lower the parallelism, ` +
        `or start a new state with a higher maxParallelism`,
    )
  }
}
