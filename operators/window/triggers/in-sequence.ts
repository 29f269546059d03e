/**
 * One trigger after the other.
 *
 * Invariants
 *  - The first that has not finished is at work. Those behind it see all records too, but begin anew at each firing: so they know
 *    the records of the pane at hand, and a window that merging sets back to an earlier one has lost nothing.
 *  - It has finished when all have.
 */
import type { Trigger } from '../../../src/contract/trigger.ts'
import { checkTriggers, samePercentile } from './check-triggers.ts'

interface State {
  states: unknown[]
}

/**
 * Each after the one before has fired for the last time. `inSequence(afterCount(1), repeated(afterCount(100)))` shows a first result
 * at once and then one for every hundred records; what stands behind a trigger that never finishes is never reached.
 */
export function inSequence<T>(...triggers: Trigger<T>[]): Trigger<T> {
  return sequenceTrigger(checkTriggers('inSequence', triggers))
}

function sequenceTrigger<T>(triggers: readonly Trigger<T>[]): Trigger<T, State> {
  const present = ({ states }: State): number =>
    triggers.findIndex((trigger, i) => !trigger.isFinished(states[i]))
  return {
    name: `inSequence(${triggers.map(({ name }) => name).join(', ')})`,
    shape: `sequence(${triggers.map(({ shape }) => shape).join(',')})`,
    functions: triggers.flatMap(({ functions }) => functions),
    percentile: samePercentile(
      'inSequence',
      triggers.map((trigger) => trigger.percentile),
    ),
    isTimed: triggers.some(({ isTimed }) => isTimed),
    firesAtEnd: triggers.every(({ firesAtEnd }) => firesAtEnd),
    create: () => ({ states: triggers.map((trigger) => trigger.create()) }),
    onRecord(state, value, at) {
      const { states } = state
      triggers.forEach((trigger, i) => (states[i] = trigger.onRecord(states[i], value, at)))
      return state
    },
    merge: (all, at) => ({
      states: triggers.map((trigger, i) =>
        trigger.merge(all.map(({ states }) => states[i]) as [unknown], at),
      ),
    }),
    isReady(state, at) {
      const i = present(state)
      return triggers[i]?.isReady(state.states[i], at) === true
    },
    onFire(state, at) {
      const current = present(state)
      state.states = triggers.map((trigger, i) => {
        if (i < current) return state.states[i]
        return i === current ? trigger.onFire(state.states[i], at) : trigger.create()
      })
      return state
    },
    isFinished: (state) => present(state) < 0,
    nextWatermarkMs(state, at) {
      const i = present(state)
      return triggers[i]?.nextWatermarkMs(state.states[i], at) ?? Infinity
    },
    nextWakeMs(state, at) {
      const i = present(state)
      return triggers[i]?.nextWakeMs(state.states[i], at) ?? Infinity
    },
  }
}
