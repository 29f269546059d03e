/** Triggers that wait for each other, or for the first of them. */
import type { Trigger } from '../../../src/contract/trigger.ts'
import { checkTriggers, samePercentile } from './check-triggers.ts'

interface State {
  states: unknown[]
  isFinished: boolean
}

/**
 * Fires once, when all are ready.
 *
 * @example
 * repeated(whenAll(afterCount(10), afterDelay('1s'))) // at least ten records, and at most one pane a second
 */
export function whenAll<T>(...triggers: Trigger<T>[]): Trigger<T> {
  return jointTrigger('whenAll', checkTriggers('whenAll', triggers))
}

/**
 * Fires once, as soon as one is ready.
 *
 * @example
 * repeated(whenAny(afterCount(1000), afterDelay('1s'))) // never more than a second or a thousand records behind
 */
export function whenAny<T>(...triggers: Trigger<T>[]): Trigger<T> {
  return jointTrigger('whenAny', checkTriggers('whenAny', triggers))
}

function jointTrigger<T>(
  kind: 'whenAll' | 'whenAny',
  triggers: readonly Trigger<T>[],
): Trigger<T, State> {
  const create = (): unknown[] => triggers.map((trigger) => trigger.create())
  return {
    name: `${kind}(${triggers.map(({ name }) => name).join(', ')})`,
    shape: `${kind}(${triggers.map(({ shape }) => shape).join(',')})`,
    functions: triggers.flatMap(({ functions }) => functions),
    percentile: samePercentile(
      kind,
      triggers.map((trigger) => trigger.percentile),
    ),
    isTimed: triggers.some(({ isTimed }) => isTimed),
    firesAtEnd:
      kind === 'whenAny'
        ? triggers.some(({ firesAtEnd }) => firesAtEnd)
        : triggers.every(({ firesAtEnd }) => firesAtEnd),
    create: () => ({ states: create(), isFinished: false }),
    onRecord(state, value, at) {
      const { states } = state
      triggers.forEach((trigger, i) => (states[i] = trigger.onRecord(states[i], value, at)))
      return state
    },
    merge: (all, at) => ({
      states: triggers.map((trigger, i) =>
        trigger.merge(all.map(({ states }) => states[i]) as [unknown], at),
      ),
      isFinished: all.every(({ isFinished }) => isFinished),
    }),
    isReady({ states, isFinished }, at) {
      if (isFinished) return false
      return kind === 'whenAll'
        ? triggers.every((trigger, i) => trigger.isReady(states[i], at))
        : triggers.some((trigger, i) => trigger.isReady(states[i], at))
    },
    // what comes after the firing counts where merging makes it unfinished again
    onFire: () => ({ states: create(), isFinished: true }),
    isFinished: ({ isFinished }) => isFinished,
    nextWatermarkMs({ states, isFinished }, at) {
      if (isFinished) return Infinity
      return earliest(
        triggers.map((trigger, i) =>
          trigger.isReady(states[i], at) ? Infinity : trigger.nextWatermarkMs(states[i], at),
        ),
      )
    },
    nextWakeMs({ states, isFinished }, at) {
      if (isFinished) return Infinity
      return earliest(
        triggers.map((trigger, i) =>
          trigger.isReady(states[i], at) ? Infinity : trigger.nextWakeMs(states[i], at),
        ),
      )
    },
  }
}

function earliest(times: readonly number[]): number {
  return Math.min(...times)
}
