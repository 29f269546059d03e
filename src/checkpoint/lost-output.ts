/**
 * What to do when output that a checkpoint promised can no longer be made visible (docs/protocol.md 5). Pure.
 *
 *  - Nothing is lost: the checkpoint is restored.
 *  - Epochs are lost, and none that the checkpoint before does not cover was committed: the job goes back to that checkpoint and
 *    writes them again. Readers have seen nothing of it.
 *  - Some were committed, or nobody knows: both ways are wrong for somebody, so the user says which one it is.
 */
import type { EpochOutcome } from '../contract/sink.ts'
import { EngineError } from '../core/errors.ts'

/** What the user has decided. `'fail'`: nothing yet. */
export type OnPartialCommit = 'fail' | 'accept-loss' | 'accept-duplicates'

/** An outcome with the sink it belongs to. */
export interface SinkOutcome extends EpochOutcome {
  readonly operatorUid: string
}

export type LostOutputDecision =
  /** `lost`: what is given up. */
  | { readonly kind: 'restore'; readonly lost: readonly SinkOutcome[] }
  /** To the checkpoint before. */
  | { readonly kind: 'go-back'; readonly because: string }
  | { readonly kind: 'stop'; readonly error: EngineError }

export interface LostOutputFacts {
  readonly checkpointId: number
  /** The newest checkpoint before it; undefined where there is none that the job can go back to. */
  readonly formerId: number | undefined
  readonly outcomes: readonly SinkOutcome[]
  readonly onPartialCommit: OnPartialCommit
}

/** Lines of a report, at most. */
const LINES_MAX = 50

export function decideLostOutput(facts: LostOutputFacts): LostOutputDecision {
  const { checkpointId, formerId, outcomes, onPartialCommit } = facts
  const missing = outcomes.filter(({ state }) => state === 'lost' || state === 'unknown')
  if (missing.length === 0) return { kind: 'restore', lost: [] }
  if (onPartialCommit === 'accept-loss') return { kind: 'restore', lost: missing }
  const isUnknown = missing.some(({ state }) => state === 'unknown')
  const isPartial = outcomes.some(
    (outcome) => outcome.state === 'committed' && outcome.checkpointId > (formerId ?? -1),
  )
  const report = reportOf(outcomes)
  if (
    formerId !== undefined &&
    (onPartialCommit === 'accept-duplicates' || !(isUnknown || isPartial))
  ) {
    return {
      kind: 'go-back',
      because:
        isUnknown || isPartial
          ? `its output is no longer whole, and duplicates are accepted:${report}`
          : `its output was lost before it became visible, none of it was read by anybody:${report}`,
    }
  }
  if (formerId === undefined && onPartialCommit === 'accept-duplicates') {
    return stop(
      'OUTPUT_LOST',
      `The output of checkpoint ${checkpointId} is lost in part, and there is no checkpoint before it that the job can go back to; ` +
        `go on without it with onPartialCommit 'accept-loss', or start from a savepoint${report}`,
    )
  }
  if (isUnknown) {
    return stop(
      'OUTPUT_UNKNOWN',
      `Whether the output of checkpoint ${checkpointId} has become visible cannot be found out any more; look whether it is there, ` +
        `then go on with onPartialCommit 'accept-loss' (it is, or may be missing) or 'accept-duplicates' (it is not, or may come twice)${report}`,
    )
  }
  if (isPartial) {
    return stop(
      'OUTPUT_PARTLY_COMMITTED',
      `Of the output of checkpoint ${checkpointId} a part is visible and a part is lost; go on without the lost part with onPartialCommit ` +
        `'accept-loss', or write all of it again, so that the visible part comes twice, with 'accept-duplicates'${report}`,
    )
  }
  return stop(
    'OUTPUT_LOST',
    `The output of checkpoint ${checkpointId} is lost, and there is no checkpoint before it that the job can go back to; go on without it with ` +
      `onPartialCommit 'accept-loss', or start from a savepoint${report}`,
  )
}

/** A line for each epoch. */
export function reportOf(outcomes: readonly SinkOutcome[]): string {
  const lines = outcomes.map(
    ({ operatorUid, subtaskIndex, checkpointId, state, detail }) =>
      `\n  ${operatorUid}#${subtaskIndex}, checkpoint ${checkpointId}: ${state}; ${detail}`,
  )
  const rest = lines.length - LINES_MAX
  return lines.slice(0, LINES_MAX).join('') + (rest > 0 ? `\n  and ${rest} others` : '')
}

function stop(
  code: 'OUTPUT_LOST' | 'OUTPUT_UNKNOWN' | 'OUTPUT_PARTLY_COMMITTED',
  message: string,
): LostOutputDecision {
  return { kind: 'stop', error: new EngineError(code, message) }
}
