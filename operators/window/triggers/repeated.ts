/** A trigger that begins again. */
import { samePercentile } from './check-triggers.ts'
import type { Trigger } from '../../../src/contract/trigger.ts'

interface State {
  inner: unknown
  until: unknown
  isFinished: boolean
}

/**
 * From the beginning again each time it has finished, `until` another fires: that is its last firing. `until` counts over all panes,
 * `trigger` within its own.
 *
 * @example
 * repeated(afterCount(10), { until: afterRecord((event: Move) => event.isLast) })
 */
export function repeated<T>(
  trigger: Trigger<T>,
  options: { readonly until?: Trigger<T> } = {},
): Trigger<T> {
  return repeatedTrigger(trigger, options.until)
}

function repeatedTrigger<T>(inner: Trigger<T>, until: Trigger<T> | undefined): Trigger<T, State> {
  return {
    name: `repeated(${inner.name}${until === undefined ? '' : `, until: ${until.name}`})`,
    shape: `repeated(${inner.shape}${until === undefined ? '' : `,${until.shape}`})`,
    functions: [...inner.functions, ...(until?.functions ?? [])],
    percentile: samePercentile('repeated', [inner.percentile, until?.percentile]),
    isTimed: inner.isTimed || until?.isTimed === true,
    firesAtEnd: inner.firesAtEnd || until?.firesAtEnd === true,
    create: () => ({ inner: inner.create(), until: until?.create(), isFinished: false }),
    onRecord(state, value, at) {
      state.inner = inner.onRecord(state.inner, value, at)
      state.until = until?.onRecord(state.until, value, at)
      return state
    },
    merge: (all, at) => ({
      inner: inner.merge(all.map((state) => state.inner) as [unknown], at),
      until: until?.merge(all.map((state) => state.until) as [unknown], at),
      isFinished: all.every(({ isFinished }) => isFinished),
    }),
    isReady(state, at) {
      if (state.isFinished) return false
      return inner.isReady(state.inner, at) || until?.isReady(state.until, at) === true
    },
    onFire(state, at) {
      if (until?.isReady(state.until, at) === true) {
        return { inner: inner.create(), until: until.create(), isFinished: true }
      }
      state.inner = inner.onFire(state.inner, at)
      if (inner.isFinished(state.inner)) state.inner = inner.create()
      return state
    },
    isFinished: ({ isFinished }) => isFinished,
    nextWatermarkMs(state, at) {
      if (state.isFinished) return Infinity
      return Math.min(
        inner.nextWatermarkMs(state.inner, at),
        until?.nextWatermarkMs(state.until, at) ?? Infinity,
      )
    },
    nextWakeMs(state, at) {
      if (state.isFinished) return Infinity
      return Math.min(
        inner.nextWakeMs(state.inner, at),
        until?.nextWakeMs(state.until, at) ?? Infinity,
      )
    },
  }
}
