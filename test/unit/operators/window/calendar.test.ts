import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { calendar } from 'millrace'
import type { TimeWindow } from 'millrace'

type Unit = 'day' | 'week' | 'month' | 'year'

const HOUR_MS = 3_600_000

function windowAt(timeZone: string, at: string, unit: Unit = 'day'): string {
  const window = onlyWindow(calendar({ unit, timeZone }).assign(null, Date.parse(at), 'k'))
  return `${text(window.startMs)} ${text(window.endMs)} ${(window.endMs - window.startMs) / HOUR_MS}h`
}

function onlyWindow(windows: readonly TimeWindow[]): TimeWindow {
  assert.equal(windows.length, 1)
  return windows[0] as TimeWindow
}

const text = (timeMs: number): string => new Date(timeMs).toISOString().replace(':00.000Z', '')

test('a day in UTC, before 1970 as well', () => {
  assert.equal(windowAt('UTC', '2024-02-29T12:00Z'), '2024-02-29T00:00 2024-03-01T00:00 24h')
  assert.equal(windowAt('UTC', '1969-12-31T23:59:59.999Z'), '1969-12-31T00:00 1970-01-01T00:00 24h')
  assert.equal(windowAt('UTC', '1970-01-01T00:00Z'), '1970-01-01T00:00 1970-01-02T00:00 24h')
})

test('days at the two ends of daylight saving have 23 and 25 hours', () => {
  const day = (at: string): string => windowAt('Europe/Berlin', at)

  assert.equal(day('2024-03-30T22:59:59.999Z'), '2024-03-29T23:00 2024-03-30T23:00 24h')
  assert.equal(day('2024-03-30T23:00Z'), '2024-03-30T23:00 2024-03-31T22:00 23h')
  assert.equal(day('2024-10-27T00:30Z'), '2024-10-26T22:00 2024-10-27T23:00 25h')
  assert.equal(day('2024-10-27T01:30Z'), '2024-10-26T22:00 2024-10-27T23:00 25h')
  assert.equal(
    windowAt('Australia/Lord_Howe', '2024-04-07T00:00Z'),
    '2024-04-06T13:00 2024-04-07T13:30 24.5h',
  )
})

test('a day whose midnight was skipped begins with the first moment after it', () => {
  assert.equal(
    windowAt('America/Sao_Paulo', '2018-11-04T12:00Z'),
    '2018-11-04T03:00 2018-11-05T02:00 23h',
  )
  assert.equal(
    windowAt('America/Sao_Paulo', '2018-11-04T02:59Z'),
    '2018-11-03T03:00 2018-11-04T03:00 24h',
  )
})

test('a day that a zone skipped whole is in no window, and leaves no gap', () => {
  // Samoa went from the evening of the 29th to the morning of the 31st
  assert.equal(
    windowAt('Pacific/Apia', '2011-12-30T09:59Z'),
    '2011-12-29T10:00 2011-12-30T10:00 24h',
  )
  assert.equal(
    windowAt('Pacific/Apia', '2011-12-30T10:00Z'),
    '2011-12-30T10:00 2011-12-31T10:00 24h',
  )
})

test('where a clock was put back over midnight, a day that has begun does not begin again', () => {
  // at 00:01 of the 25th it was 23:01 of the 24th again
  const expected = '1987-10-25T02:30 1987-10-26T03:30 25h'
  for (const at of ['02:30', '02:30:59', '02:31', '03:29', '03:30', '12:00']) {
    assert.equal(windowAt('America/St_Johns', `1987-10-25T${at}Z`), expected)
  }
  assert.equal(
    windowAt('America/St_Johns', '1987-10-25T02:29Z'),
    '1987-10-24T02:30 1987-10-25T02:30 24h',
  )
})

test('weeks begin on Monday; months and years are as long as they were', () => {
  assert.equal(
    windowAt('UTC', '2021-01-02T00:00Z', 'week'),
    '2020-12-28T00:00 2021-01-04T00:00 168h',
  )
  assert.equal(
    windowAt('Europe/Berlin', '2024-03-31T12:00Z', 'week'),
    '2024-03-24T23:00 2024-03-31T22:00 167h',
  )
  assert.equal(
    windowAt('Europe/Berlin', '2024-03-01T00:00Z', 'month'),
    '2024-02-29T23:00 2024-03-31T22:00 743h',
  )
  assert.equal(
    windowAt('America/New_York', '2024-07-04T00:00Z', 'year'),
    '2024-01-01T05:00 2025-01-01T05:00 8784h',
  )
  assert.equal(windowAt('+05:30', '1970-01-01T00:00Z'), '1969-12-31T18:30 1970-01-01T18:30 24h')
})

test('windows lie side by side, hold what they are given, and begin a unit of the zone', () => {
  const zones = [
    'UTC',
    'Europe/Berlin',
    'America/New_York',
    'America/Sao_Paulo',
    'America/St_Johns',
    'America/Havana',
    'Asia/Beirut',
    'Asia/Kathmandu',
    'Africa/Cairo',
    'Pacific/Apia',
    'Australia/Lord_Howe',
    'Antarctica/Troll',
  ]
  const clocks = new Map(
    zones.map((timeZone) => [
      timeZone,
      new Intl.DateTimeFormat('en-US', {
        timeZone,
        weekday: 'short',
        month: 'numeric',
        day: 'numeric',
        hour: 'numeric',
        hourCycle: 'h23',
      }),
    ]),
  )
  fc.assert(
    fc.property(
      fc.constantFrom(...zones),
      fc.constantFrom<Unit>('day', 'week', 'month', 'year'),
      fc.array(fc.integer({ min: Date.UTC(1975, 0), max: Date.UTC(2060, 0) }), { minLength: 1 }),
      (timeZone, unit, times) => {
        const days = calendar({ unit, timeZone })
        for (const timeMs of times) {
          const window = onlyWindow(days.assign(null, timeMs, 'k'))
          const { startMs, endMs } = window

          assert.ok(startMs <= timeMs && timeMs < endMs)
          assert.deepEqual(onlyWindow(days.assign(null, startMs, 'k')), window)
          assert.deepEqual(onlyWindow(days.assign(null, endMs - 1, 'k')), window)
          assert.equal(onlyWindow(days.assign(null, endMs, 'k')).startMs, endMs)
          assert.deepEqual(onlyWindow(days.assign(null, timeMs, 'k')), window)

          const shown = Object.fromEntries(
            (clocks.get(timeZone) as Intl.DateTimeFormat)
              .formatToParts(startMs)
              .map(({ type, value }) => [type, value]),
          )
          // Samoa's Saturday began where its Friday would have
          assert.ok(Number(shown['hour']) <= 1)
          if (unit === 'week') assert.equal(shown['weekday'], 'Mon')
          if (unit === 'month' || unit === 'year') assert.equal(shown['day'], '1')
          if (unit === 'year') assert.equal(shown['month'], '1')
        }
      },
    ),
    { numRuns: 300 },
  )
})

test('unknown zones, unknown units and times outside any calendar are refused by code', () => {
  for (const timeZone of ['Europe/Nowhere', '', 'CEST+1', undefined]) {
    assert.throws(() => calendar({ unit: 'day', timeZone: timeZone as string }), {
      code: 'OPTION_INVALID',
    })
  }
  assert.throws(() => calendar({ unit: 'hour' as Unit, timeZone: 'UTC' }), {
    code: 'OPTION_INVALID',
  })
  assert.throws(() => calendar({ unit: 'day', timeZone: 'UTC' }).assign(null, 1e18, 'k'), {
    code: 'TIMESTAMP_INVALID',
  })
})
