import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Duration } from '../../../src/core/duration.ts'
import { formatMs, ms, positiveMs } from '../../../src/core/duration.ts'

test('a duration is its number times its unit, rounded to milliseconds', () => {
  const table: readonly (readonly [Duration, number])[] = [
    ['0ms', 0],
    ['250ms', 250],
    ['0.4ms', 0],
    ['0.5ms', 1],
    ['10s', 10_000],
    ['1.5s', 1500],
    ['0.001s', 1],
    ['5min', 300_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
    ['-2s', -2000],
    ['007s', 7000],
  ]
  for (const [text, expected] of table) assert.equal(ms(text), expected, text)
})

const noDurations: readonly unknown[] = [
  '',
  'ms',
  '10',
  '10 s',
  ' 10s',
  '10s ',
  '10s\n',
  '10S',
  '10m',
  '10sec',
  '1e3s',
  '.5s',
  '5.s',
  '+5s',
  '--5s',
  '0x10s',
  'NaNs',
  'Infinitys',
  `${'9'.repeat(400)}s`,
  10,
  NaN,
  null,
  undefined,
  {},
]
for (const text of noDurations) {
  test(`${JSON.stringify(text)?.slice(0, 20)} is no duration, and the refusal says how to write one`, () => {
    assert.throws(() => ms(text as Duration), { code: 'DURATION_INVALID', message: /'250ms'/ })
  })
}

test('what is formatted reads as the same length', () => {
  const anyMs = fc.oneof(
    fc.integer({ min: -(10 ** 12), max: 10 ** 12 }),
    fc
      .tuple(
        fc.integer({ min: -1000, max: 1000 }),
        fc.constantFrom(1, 1000, 60_000, 3_600_000, 86_400_000),
      )
      .map(([n, unit]) => n * unit),
  )
  fc.assert(fc.property(anyMs, (value) => assert.equal(ms(formatMs(value) as Duration), value)))
})

test('a length is formatted in its largest whole unit', () => {
  assert.deepEqual(
    [0, 1, 999, 1000, 1500, 60_000, 90_000, 3_600_000, 86_400_000, 172_800_000].map(formatMs),
    ['0ms', '1ms', '999ms', '1s', '1500ms', '1min', '90s', '1h', '1d', '2d'],
  )
})

test('an option that must be longer than zero says its name', () => {
  assert.equal(positiveMs('1ms', 'watchEvery'), 1)
  for (const text of ['0s', '-1s', '0.2ms'] as const) {
    assert.throws(() => positiveMs(text, 'watchEvery'), {
      code: 'OPTION_INVALID',
      message: /watchEvery/,
    })
  }
  assert.throws(() => positiveMs('soon' as Duration, 'watchEvery'), { code: 'DURATION_INVALID' })
})
