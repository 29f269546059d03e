/**
 * The trigger of event time: fires when the watermark passes the end of the window; early and late firings around it.
 *
 * Invariants
 *  - `'new'`: no record since the state was made. `'early'`: the firing at the end is still to come. `'late'`: it is over.
 *  - The late trigger's state holds only records that came after the firing at the end.
 *  - A window whose first record is late already begins with the late trigger: nothing of it could be in time.
 *  - Windows that become one are late only if all were and the end of the one has passed too.
 */
import { samePercentile } from './check-triggers.ts'
import type { Trigger, TriggerTime } from '../../../src/contract/trigger.ts'
import { EngineError } from '../../../src/core/errors.ts'
import type { Duration } from '../../../src/core/duration.ts'
import { formatMs, ms } from '../../../src/core/duration.ts'
import { repeated } from './repeated.ts'

/** See `afterWatermark`. */
export interface AfterWatermarkOptions<T> {
  /** Fires until the watermark passes the end, again and again. Default: never. */
  readonly early?: Trigger<T>
  /** Fires for what comes after that, again and again. Default: for each late record. */
  readonly late?: Trigger<T>
  /** So much later, in event time: for those who would rather wait a little for stragglers than correct themselves. */
  readonly delay?: Duration
  /**
   * Fires as soon as presumably this part of the records has come, above 0 and below 1, instead of nearly all: judged by how far behind the
   * newest record those of the subtask came lately, over all keys. What comes after that goes by `late`, or without it by the default: a
   * pane when the watermark itself passes the end, and one for each late record. Such a pane is an early one, since the
   * watermark itself has not passed. Which records it has depends on what the subtask saw and when it looked.
   */
  readonly percentile?: number
}

interface State {
  phase: 'new' | 'early' | 'late'
  early: unknown
  late: unknown
}

/**
 * Fires when the watermark passes the end of the window: nothing earlier is expected then. With `early` also before, with `late`
 * for what comes after, until the allowed lateness is over.
 *
 * @example
 * .window(tumbling({ size: '1h' }), {
 *   trigger: afterWatermark({ early: every('1min'), late: afterCount(1) }),
 *   allowedLateness: '1d',
 *   accumulation: 'accumulating',
 * })
 */
export function afterWatermark<T = unknown>(options: AfterWatermarkOptions<T> = {}): Trigger<T> {
  const delayMs = options.delay === undefined ? 0 : ms(options.delay)
  if (delayMs < 0) {
    throw new EngineError(
      'OPTION_INVALID',
      `The delay of afterWatermark must not be negative, but is '${String(options.delay)}'`,
    )
  }
  const { percentile } = options
  if (percentile !== undefined && !(percentile > 0 && percentile < 1)) {
    throw new EngineError(
      'OPTION_INVALID',
      `The percentile of afterWatermark must be above 0 and below 1, but is ${String(percentile)}`,
    )
  }
  return watermarkTrigger<T>(
    options.early === undefined ? undefined : repeated(options.early),
    options.late === undefined ? undefined : repeated(options.late),
    { delayMs, percentile },
    nameOf(options, delayMs),
  )
}

function nameOf<T>({ early, late, percentile }: AfterWatermarkOptions<T>, delayMs: number): string {
  const parts = [
    ...(early === undefined ? [] : [`early: ${early.name}`]),
    ...(late === undefined ? [] : [`late: ${late.name}`]),
    ...(delayMs === 0 ? [] : [`delay: ${formatMs(delayMs)}`]),
    ...(percentile === undefined ? [] : [`percentile: ${percentile}`]),
  ]
  return `afterWatermark(${parts.join(', ')})`
}

function watermarkTrigger<T>(
  early: Trigger<T> | undefined,
  late: Trigger<T> | undefined,
  { delayMs, percentile }: { readonly delayMs: number; readonly percentile: number | undefined },
  name: string,
): Trigger<T, State> {
  const endMs = ({ window }: TriggerTime): number => window.endMs - 1 + delayMs
  const hasPassed = (at: TriggerTime): boolean =>
    (percentile === undefined ? at.watermarkMs : at.percentileMs) >= endMs(at)
  return {
    name,
    shape: `watermark(${early?.shape ?? ''},${late?.shape ?? ''})`,
    functions: [...(early?.functions ?? []), ...(late?.functions ?? [])],
    percentile: samePercentile('afterWatermark', [percentile, early?.percentile, late?.percentile]),
    isTimed: early?.isTimed === true || late?.isTimed === true,
    firesAtEnd: delayMs === 0 && percentile === undefined,
    create: () => ({ phase: 'new', early: early?.create(), late: late?.create() }),
    onRecord(state, value, at) {
      if (state.phase === 'new')
        state.phase = late !== undefined && hasPassed(at) ? 'late' : 'early'
      if (state.phase === 'late') state.late = late?.onRecord(state.late, value, at)
      else state.early = early?.onRecord(state.early, value, at)
      return state
    },
    merge(states, at) {
      const [first] = states
      const isLate = states.every(({ phase }) => phase !== 'early') && hasPassed(at)
      if (states.every(({ phase }) => phase === 'new')) return first
      if (isLate) {
        const [into, ...others] = states.filter(({ phase }) => phase === 'late') as [State, State]
        into.late = late?.merge([into.late, ...others.map((other) => other.late)], at)
        return into
      }
      first.phase = 'early'
      first.early = early?.merge(states.map((state) => state.early) as [unknown], at)
      first.late = late?.create()
      return first
    },
    isReady(state, at) {
      if (state.phase === 'late') return late?.isReady(state.late, at) === true
      return hasPassed(at) || early?.isReady(state.early, at) === true
    },
    onFire(state, at) {
      if (state.phase === 'late') {
        state.late = late?.onFire(state.late, at)
      } else if (hasPassed(at)) {
        return { phase: 'late', early: early?.create(), late: late?.create() }
      } else {
        state.early = early?.onFire(state.early, at)
      }
      return state
    },
    isFinished: ({ phase }) => phase === 'late' && late === undefined,
    nextWatermarkMs(state, at) {
      if (state.phase === 'late') return late?.nextWatermarkMs(state.late, at) ?? Infinity
      return Math.min(endMs(at), early?.nextWatermarkMs(state.early, at) ?? Infinity)
    },
    nextWakeMs(state, at) {
      const own = state.phase === 'late' ? late : early
      return own?.nextWakeMs(state.phase === 'late' ? state.late : state.early, at) ?? Infinity
    },
  }
}
