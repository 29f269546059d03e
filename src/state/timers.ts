/**
 * Timers of a keyed operator: one per key, clock and millisecond.
 *
 * The truth is a sorted list of times per key, a cell like any other; the backend's timer index only tells which keys to look at when.
 * So setting a timer twice, deleting one and firing one are changes of a short list, and index entries that are out of
 * date are recognised when they come up (`take`).
 *
 * Invariants
 *  - Every time in a key's list has at least one entry in the index.
 *  - A time that is in no list does not fire.
 */
import type { KeyedContext, Timer } from '../contract/operator.ts'
import { EVENT_TIMERS, PROCESSING_TIMERS } from '../contract/operator.ts'
import type { CellState, KeyedCells, TimerIndex } from '../contract/state-backend.ts'
import type { Timers } from '../contract/state.ts'
import { EngineError } from '../core/errors.ts'
import type { Clock } from '../core/time.ts'

const EVENT_TIMES = '#event-timer-times'
const PROCESSING_TIMES = '#processing-timer-times'

/** The states that an operator with timers declares. */
export const timerStates: readonly CellState[] = [
  { name: EVENT_TIMERS, kind: 'timers', layout: 'timers' },
  { name: EVENT_TIMES, kind: 'timer times', layout: 'key' },
  { name: PROCESSING_TIMERS, kind: 'timers', layout: 'timers' },
  { name: PROCESSING_TIMES, kind: 'timer times', layout: 'key' },
]

export class KeyTimers implements Timers {
  readonly #event: ClockTimers
  readonly #processing: ClockTimers
  readonly #clock: Clock

  constructor(keyed: KeyedContext, clock: Clock) {
    this.#event = new ClockTimers(keyed.timers(EVENT_TIMERS), keyed.cells(EVENT_TIMES))
    this.#processing = new ClockTimers(
      keyed.timers(PROCESSING_TIMERS),
      keyed.cells(PROCESSING_TIMES),
    )
    this.#clock = clock
  }

  setEventTime(timestampMs: number): void {
    this.#event.set(timestampMs)
  }

  setProcessingTime(timestampMs: number): void {
    this.#processing.set(timestampMs)
  }

  deleteEventTime(timestampMs: number): void {
    this.#event.delete(timestampMs)
  }

  deleteProcessingTime(timestampMs: number): void {
    this.#processing.delete(timestampMs)
  }

  processingTimeMs(): number {
    return this.#clock.now()
  }

  /** Whether an entry of the index is a timer of the key at hand; it is none any more afterwards. */
  take({ clock, timestampMs }: Timer): boolean {
    return (clock === 'event' ? this.#event : this.#processing).delete(timestampMs)
  }
}

class ClockTimers {
  readonly #index: TimerIndex
  readonly #times: KeyedCells<readonly number[]>

  constructor(index: TimerIndex, times: KeyedCells<readonly number[]>) {
    this.#index = index
    this.#times = times
  }

  set(given: number): void {
    const timestampMs = checkTime(given)
    const times = this.#times.get(0)
    if (times === undefined) {
      this.#times.put(0, [timestampMs])
    } else {
      const at = position(times, timestampMs)
      if (times[at] === timestampMs) return
      this.#times.put(0, [...times.slice(0, at), timestampMs, ...times.slice(at)])
    }
    this.#index.add(timestampMs)
  }

  delete(timestampMs: number): boolean {
    const times = this.#times.get(0)
    if (times === undefined) return false
    const at = position(times, timestampMs)
    if (times[at] !== timestampMs) return false
    if (times.length === 1) this.#times.remove(0)
    else this.#times.put(0, [...times.slice(0, at), ...times.slice(at + 1)])
    return true
  }
}

function checkTime(timestampMs: number): number {
  if (Number.isFinite(timestampMs)) return timestampMs === 0 ? 0 : timestampMs
  throw new EngineError(
    'TIMESTAMP_INVALID',
    `A timer was set for ${String(timestampMs)}; a time is a finite number of milliseconds since 1970`,
  )
}

/** The first index whose time is not below `timestampMs`. */
function position(times: readonly number[], timestampMs: number): number {
  let low = 0
  let high = times.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((times[middle] as number) < timestampMs) low = middle + 1
    else high = middle
  }
  return low
}
