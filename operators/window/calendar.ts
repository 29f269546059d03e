/**
 * Days, weeks, months and years as people of a time zone have them. Pure as far as the zone's rules are: those come with Node (its
 * ICU data), so two machines agree where their Nodes do.
 *
 * Invariants
 *  - The windows of a unit lie side by side without gap or overlap, from the first moment of one unit to that of the next: a day is
 *    as long as it was, 23 hours, 25, or none at all where a zone has skipped it.
 *  - A moment that clocks showed twice is in one window. Where a clock was put back over midnight, the new day has begun
 *    when midnight came first, and does not begin again.
 *  - Boundaries are worked out once for each day that records are of; at most `DAYS_KEPT_MAX` days are kept.
 */
import { Temporal } from 'temporal-polyfill'
import type { TimeWindow, WindowFunction } from '../../src/contract/window.ts'
import { EngineError } from '../../src/core/errors.ts'

/** What a calendar is divided into. Weeks begin on Monday (ISO 8601). */
export type CalendarUnit = 'day' | 'week' | 'month' | 'year'

const units: readonly CalendarUnit[] = ['day', 'week', 'month', 'year']

const DAYS_KEPT_MAX = 4096
const DAY_MS = 86_400_000

/**
 * Calendar units in a time zone (`'Europe/Berlin'`, `'UTC'`, `'+05:30'`), with its daylight saving: a day has 23 to 25 hours. An
 * unknown zone or unit is `OPTION_INVALID`.
 *
 * @example
 * orders.keyBy((order) => order.shop).window(calendar({ unit: 'month', timeZone: 'Europe/Berlin' })).count('orders')
 */
export function calendar(options: {
  readonly unit: CalendarUnit
  readonly timeZone: string
}): WindowFunction<unknown, TimeWindow> {
  const { unit, timeZone } = options
  if (!units.includes(unit)) {
    throw new EngineError(
      'OPTION_INVALID',
      `calendar: '${String(unit)}' is no unit; use ${units.map((known) => `'${known}'`).join(', ')}`,
    )
  }
  checkZone(timeZone)
  // by the day of UTC: a few windows at the most have part of one
  const kept = new Map<number, TimeWindow[]>()
  let last: readonly TimeWindow[] = []
  return {
    name: `calendar ${unit} ${timeZone}`,
    clock: 'event',
    assignsOne: true,
    assign(_value, timestampMs) {
      const [window] = last
      if (window !== undefined && holds(window, timestampMs)) return last
      const day = Math.floor(timestampMs / DAY_MS)
      let windows = kept.get(day)
      let found = windows?.find((each) => holds(each, timestampMs))
      if (found === undefined) {
        if (windows === undefined) {
          if (kept.size === DAYS_KEPT_MAX) kept.clear()
          windows = []
          kept.set(day, windows)
        }
        found = windowOf(timestampMs, unit, timeZone)
        windows.push(found)
      }
      last = [found]
      return last
    },
  }
}

function holds({ startMs, endMs }: TimeWindow, timestampMs: number): boolean {
  return timestampMs >= startMs && timestampMs < endMs
}

function windowOf(timestampMs: number, unit: CalendarUnit, timeZone: string): TimeWindow {
  let first = firstDay(dateAt(timestampMs, timeZone), unit)
  let next = first.add({ [`${unit}s`]: 1 })
  // after a clock was put back over midnight it shows a date that is over
  while (beginOf(next, timeZone) <= timestampMs) {
    first = next
    next = first.add({ [`${unit}s`]: 1 })
  }
  return Object.freeze({ startMs: beginOf(first, timeZone), endMs: beginOf(next, timeZone) })
}

function dateAt(timestampMs: number, timeZone: string): Temporal.PlainDate {
  try {
    return Temporal.Instant.fromEpochMilliseconds(Math.floor(timestampMs))
      .toZonedDateTimeISO(timeZone)
      .toPlainDate()
  } catch (cause) {
    throw new EngineError(
      'TIMESTAMP_INVALID',
      `The timestamp ${timestampMs} is in no calendar; timestamps are milliseconds since 1970`,
      { cause },
    )
  }
}

function firstDay(date: Temporal.PlainDate, unit: CalendarUnit): Temporal.PlainDate {
  switch (unit) {
    case 'day':
      return date
    case 'week':
      return date.subtract({ days: date.dayOfWeek - 1 })
    case 'month':
      return date.with({ day: 1 })
    case 'year':
      return date.with({ month: 1, day: 1 })
  }
}

/** The first moment of a date: where midnight was skipped, the one after. */
function beginOf(date: Temporal.PlainDate, timeZone: string): number {
  return date.toZonedDateTime(timeZone).epochMilliseconds
}

function checkZone(timeZone: string): void {
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(timeZone)
  } catch (cause) {
    throw new EngineError(
      'OPTION_INVALID',
      `calendar: '${String(timeZone)}' is no time zone that this Node knows; use a name like 'Europe/Berlin', 'UTC' or an offset like '+05:30'`,
      { cause },
    )
  }
}
