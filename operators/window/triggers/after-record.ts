/** A trigger that looks at records: punctuation in the data. */
import type { Trigger } from '../../../src/contract/trigger.ts'

interface State {
  isSeen: boolean
  isFinished: boolean
}

/**
 * Fires once, when a record says so; the record is in the pane. `f` is pure: it may be called for a record more than once.
 *
 * @example
 * .window(session({ gap: '30min' }), {
 *   trigger: repeated(afterRecord((event: ShopEvent) => event.kind === 'checkout')),
 *   accumulation: 'accumulating',
 * })
 */
export function afterRecord<T>(f: (value: T) => boolean): Trigger<T> {
  return recordTrigger(f)
}

function recordTrigger<T>(f: (value: T) => boolean): Trigger<T, State> {
  return {
    name: 'afterRecord',
    shape: 'record',
    functions: [f],
    percentile: undefined,
    isTimed: false,
    firesAtEnd: false,
    create: () => ({ isSeen: false, isFinished: false }),
    onRecord(state, value) {
      if (!state.isSeen && f(value)) state.isSeen = true
      return state
    },
    merge: (states) => ({
      isSeen: states.some(({ isSeen }) => isSeen),
      isFinished: states.every(({ isFinished }) => isFinished),
    }),
    isReady: ({ isSeen, isFinished }) => isSeen && !isFinished,
    onFire: () => ({ isSeen: false, isFinished: true }),
    isFinished: ({ isFinished }) => isFinished,
    nextWatermarkMs: () => Infinity,
    nextWakeMs: () => Infinity,
  }
}
