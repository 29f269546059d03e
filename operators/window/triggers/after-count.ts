/** A trigger that counts. */
import type { Trigger } from '../../../src/contract/trigger.ts'
import { EngineError } from '../../../src/core/errors.ts'

interface State {
  count: number
  isFinished: boolean
}

/**
 * Fires once, with at least that many new records in the pane; `repeated(afterCount(100))` fires for every hundred.
 *
 * @example
 * .window(globalWindow(), { trigger: repeated(afterCount(100)), accumulation: 'accumulating' })
 */
export function afterCount(count: number): Trigger<unknown> {
  if (!Number.isInteger(count) || count < 1) {
    throw new EngineError(
      'OPTION_INVALID',
      `afterCount takes a whole number from 1, but was given ${String(count)}`,
    )
  }
  return countTrigger(count)
}

function countTrigger(countMin: number): Trigger<unknown, State> {
  return {
    name: `afterCount(${countMin})`,
    shape: 'count',
    functions: [],
    percentile: undefined,
    isTimed: false,
    firesAtEnd: false,
    create: () => ({ count: 0, isFinished: false }),
    // also when it has finished: merging with a window that has not may bring it back
    onRecord(state) {
      state.count += 1
      return state
    },
    merge: (states) => ({
      count: states.reduce((total, { count }) => total + count, 0),
      isFinished: states.every(({ isFinished }) => isFinished),
    }),
    isReady: ({ count, isFinished }) => !isFinished && count >= countMin,
    onFire: () => ({ count: 0, isFinished: true }),
    isFinished: ({ isFinished }) => isFinished,
    nextWatermarkMs: () => Infinity,
    nextWakeMs: () => Infinity,
  }
}
