/**
 * A trigger of processing time that fires again and again.
 *
 * Invariants
 *  - `dueMs` is a time of its period: a multiple of it since 1970 (aligned), or since the window's first record came.
 *  - A record that comes at a time of the period is in the pane of that time: it fires when the clock is beyond.
 *  - Without something new no time is waited for; the next record finds the next time of the period by itself.
 */
import type { Trigger } from '../../../src/contract/trigger.ts'
import type { Duration } from '../../../src/core/duration.ts'
import { formatMs, positiveMs } from '../../../src/core/duration.ts'

interface State {
  /** Infinity: no record yet. */
  dueMs: number
  hasNew: boolean
}

/**
 * Fires again and again in processing time, if there is something new; never finishes. The period begins with the window's first
 * record; `aligned`: at multiples since 1970, so that all windows fire together.
 *
 * @example
 * afterWatermark({ early: every('1min', { aligned: true }) })
 */
export function every(
  period: Duration,
  options: { readonly aligned?: boolean } = {},
): Trigger<unknown> {
  return periodTrigger(positiveMs(period, 'period of every'), options.aligned === true)
}

function periodTrigger(periodMs: number, isAligned: boolean): Trigger<unknown, State> {
  /** The first time of the period at or after `nowMs`. */
  const nextDue = (phaseMs: number, nowMs: number): number =>
    phaseMs + Math.ceil((nowMs - phaseMs) / periodMs) * periodMs
  return {
    name: `every(${formatMs(periodMs)}${isAligned ? ', aligned' : ''})`,
    shape: 'every',
    functions: [],
    percentile: undefined,
    isTimed: true,
    firesAtEnd: false,
    create: () => ({ dueMs: Infinity, hasNew: false }),
    onRecord(state, _value, { nowMs }) {
      if (state.dueMs === Infinity) {
        state.dueMs = isAligned ? nextDue(0, nowMs) : nowMs + periodMs
      } else if (!state.hasNew && state.dueMs < nowMs) {
        state.dueMs = nextDue(state.dueMs, nowMs)
      }
      state.hasNew = true
      return state
    },
    merge: (states) => {
      const waiting = states.filter(({ hasNew }) => hasNew)
      return {
        dueMs: Math.min(...(waiting.length > 0 ? waiting : states).map(({ dueMs }) => dueMs)),
        hasNew: waiting.length > 0,
      }
    },
    isReady: ({ dueMs, hasNew }, { nowMs }) => hasNew && nowMs > dueMs,
    onFire(state, { nowMs }) {
      if (state.dueMs < nowMs) state.dueMs = nextDue(state.dueMs, nowMs)
      state.hasNew = false
      return state
    },
    isFinished: () => false,
    nextWatermarkMs: () => Infinity,
    nextWakeMs: ({ dueMs, hasNew }) => (hasNew ? dueMs + 1 : Infinity),
  }
}
