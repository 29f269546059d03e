/** A trigger of processing time that waits once. */
import type { Trigger } from '../../../src/contract/trigger.ts'
import type { Duration } from '../../../src/core/duration.ts'
import { formatMs, positiveMs } from '../../../src/core/duration.ts'

interface State {
  /** Infinity: no record yet. */
  dueMs: number
  isFinished: boolean
}

/**
 * Fires once, so long after the first record of the pane came, in processing time. Whatever comes at that very millisecond is in
 * the pane: it fires when the clock is beyond.
 *
 * @example
 * afterWatermark({ early: afterDelay('10s') }) // at most ten seconds behind, and no firing where nothing is new
 */
export function afterDelay(delay: Duration): Trigger<unknown> {
  return delayTrigger(positiveMs(delay, 'delay of afterDelay'))
}

function delayTrigger(lengthMs: number): Trigger<unknown, State> {
  return {
    name: `afterDelay(${formatMs(lengthMs)})`,
    shape: 'delay',
    functions: [],
    percentile: undefined,
    isTimed: true,
    firesAtEnd: false,
    create: () => ({ dueMs: Infinity, isFinished: false }),
    onRecord(state, _value, { nowMs }) {
      if (state.dueMs === Infinity) state.dueMs = nowMs + lengthMs
      return state
    },
    merge: (states) => ({
      dueMs: Math.min(...states.map(({ dueMs }) => dueMs)),
      isFinished: states.every(({ isFinished }) => isFinished),
    }),
    isReady: ({ dueMs, isFinished }, { nowMs }) => !isFinished && nowMs > dueMs,
    onFire: () => ({ dueMs: Infinity, isFinished: true }),
    isFinished: ({ isFinished }) => isFinished,
    nextWatermarkMs: () => Infinity,
    nextWakeMs: ({ dueMs, isFinished }) => (isFinished ? Infinity : dueMs + 1),
  }
}
