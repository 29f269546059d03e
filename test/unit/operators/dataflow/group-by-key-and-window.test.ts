import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  arraySink,
  calendar,
  collect,
  globalWindow,
  job,
  session,
  sliding,
  tumbling,
} from 'millrace'
import type { Duration, Key, TimeWindow, WindowFunction } from 'millrace'
import {
  assignWindows,
  dropTimestamps,
  expandToElements,
  groupAlsoByWindow,
  groupByKey,
  groupByKeyAndWindow,
  mergeWindows,
} from 'millrace/dataflow'
import type { TimedElement } from 'millrace/dataflow'
import { runTest, testSource } from 'millrace/testing'

/** A time of day of 1970-01-01, as the paper writes times. */
function at(clock: string): number {
  const [hours, minutes] = clock.split(':').map(Number)
  return ((hours as number) * 60 + (minutes as number)) * 60_000
}

const between = (from: string, to: string): TimeWindow => ({ startMs: at(from), endMs: at(to) })

// figure 4 of the paper: sessions of 30 minutes
const input: readonly TimedElement<string, string>[] = [
  { key: 'k1', value: 'v1', timestampMs: at('13:02') },
  { key: 'k2', value: 'v2', timestampMs: at('13:14') },
  { key: 'k1', value: 'v3', timestampMs: at('13:57') },
  { key: 'k1', value: 'v4', timestampMs: at('13:20') },
]
const halfHours = session({ gap: '30min' })

test('AssignWindows gives an element to each of its windows: figure 3 of the paper', () => {
  const elements = [
    { key: 'k', value: 'v1', timestampMs: at('12:00') },
    { key: 'k', value: 'v2', timestampMs: at('12:01') },
  ]

  assert.deepEqual(
    assignWindows(elements, sliding({ size: '2min', every: '1min' })).map(({ value, window }) => [
      value,
      window,
    ]),
    [
      ['v1', between('11:59', '12:01')],
      ['v1', between('12:00', '12:02')],
      ['v2', between('12:00', '12:02')],
      ['v2', between('12:01', '12:03')],
    ],
  )
})

test('AssignWindows drops what is in no window', () => {
  assert.deepEqual(assignWindows(input, sliding({ size: '1min', every: '1h' })), [])
})

test('GroupByKeyAndWindow step by step: figure 4 of the paper', () => {
  const assigned = assignWindows(input, halfHours)
  assert.deepEqual(
    assigned.map(({ key, value, timestampMs, window }) => [key, value, timestampMs, window]),
    [
      ['k1', 'v1', at('13:02'), between('13:02', '13:32')],
      ['k2', 'v2', at('13:14'), between('13:14', '13:44')],
      ['k1', 'v3', at('13:57'), between('13:57', '14:27')],
      ['k1', 'v4', at('13:20'), between('13:20', '13:50')],
    ],
  )

  const dropped = dropTimestamps(assigned)
  assert.ok(dropped.every((element) => !('timestampMs' in element)))

  const grouped = groupByKey(dropped)
  assert.deepEqual(grouped, [
    {
      key: 'k1',
      values: [
        { value: 'v1', window: between('13:02', '13:32') },
        { value: 'v3', window: between('13:57', '14:27') },
        { value: 'v4', window: between('13:20', '13:50') },
      ],
    },
    { key: 'k2', values: [{ value: 'v2', window: between('13:14', '13:44') }] },
  ])

  const merged = mergeWindows(grouped, halfHours)
  assert.deepEqual(merged, [
    {
      key: 'k1',
      values: [
        { value: 'v1', window: between('13:02', '13:50') },
        { value: 'v3', window: between('13:57', '14:27') },
        { value: 'v4', window: between('13:02', '13:50') },
      ],
    },
    { key: 'k2', values: [{ value: 'v2', window: between('13:14', '13:44') }] },
  ])

  const byWindow = groupAlsoByWindow(merged)
  assert.deepEqual(byWindow, [
    {
      key: 'k1',
      windows: [
        { window: between('13:02', '13:50'), values: ['v1', 'v4'] },
        { window: between('13:57', '14:27'), values: ['v3'] },
      ],
    },
    { key: 'k2', windows: [{ window: between('13:14', '13:44'), values: ['v2'] }] },
  ])

  // the paper gives the end of the window as timestamp; ours is the millisecond before, which is still in it
  assert.deepEqual(expandToElements(byWindow), [
    {
      key: 'k1',
      value: ['v1', 'v4'],
      timestampMs: at('13:50') - 1,
      window: between('13:02', '13:50'),
    },
    { key: 'k1', value: ['v3'], timestampMs: at('14:27') - 1, window: between('13:57', '14:27') },
    { key: 'k2', value: ['v2'], timestampMs: at('13:44') - 1, window: between('13:14', '13:44') },
  ])
  assert.deepEqual(groupByKeyAndWindow(input, halfHours), expandToElements(byWindow))
})

test('GroupByKey knows keys as the engine does', () => {
  const window = between('00:00', '00:01')
  const keys: readonly Key[] = [0, -0, 0n, '0', ['a', 1], ['a', 1], ['a', 1n], false]

  const groups = groupByKey(keys.map((key, value) => ({ key, value, window })))

  assert.deepEqual(
    groups.map(({ values }) => values.map(({ value }) => value)),
    [[0, 1], [2], [3], [4, 5], [6], [7]],
  )
  assert.throws(() => groupByKey([{ key: NaN, value: 0, window }]), { code: 'KEY_INVALID' })
})

test('MergeWindows leaves windows alone that do not merge', () => {
  const groups = groupByKey(dropTimestamps(assignWindows(input, tumbling({ size: '1h' }))))

  assert.deepEqual(mergeWindows(groups, tumbling({ size: '1h' })), groups)
})

interface Timed {
  readonly key: string
  readonly n: number
  readonly gapMs: number
}

const untilNext: WindowFunction<unknown, TimeWindow> = {
  name: 'until the next',
  assign: (_value, timestampMs) => [{ startMs: timestampMs, endMs: 1_000_000_000 }],
  merge: (windows) =>
    [...new Set(windows.map(({ startMs }) => startMs))].map((startMs, index, starts) => ({
      merged: windows.filter((window) => window.startMs === startMs),
      into: { startMs, endMs: starts[index + 1] ?? 1_000_000_000 },
    })),
}

const length = fc.integer({ min: 1, max: 4000 }).map((lengthMs): Duration => `${lengthMs}ms`)
const windowFunctions: fc.Arbitrary<WindowFunction<Timed, TimeWindow>> = fc.oneof(
  fc.record({ size: length, offset: length, unaligned: fc.boolean() }).map(tumbling),
  fc
    .record({ size: length, everyMs: fc.integer({ min: 500, max: 4000 }), unaligned: fc.boolean() })
    .map(({ everyMs, ...options }) => sliding({ ...options, every: `${everyMs}ms` })),
  fc
    .record({ gap: length, touching: fc.constantFrom('merge' as const, 'apart' as const) })
    .map((options) => session(options)),
  fc
    .constantFrom('merge' as const, 'apart' as const)
    .map((touching) => session<Timed>({ gap: ({ gapMs }) => `${gapMs}ms`, touching })),
  fc
    .constantFrom('day' as const, 'week' as const, 'month' as const, 'year' as const)
    .map((unit) => calendar({ unit, timeZone: 'America/Sao_Paulo' })),
  fc.constant(globalWindow()),
  fc.constant(untilNext),
)

test('the engine comes to the same groups, in any order of arrival, at any parallelism', async () => {
  const someRecord = fc.record({
    key: fc.constantFrom('a', 'b', 'c'),
    timestampMs: fc.oneof(
      fc.integer({ min: -10_000, max: 10_000 }),
      // around the beginning of daylight saving in Brazil
      fc.integer({ min: -100_000_000, max: 100_000_000 }).map((off) => 1_541_300_400_000 + off),
    ),
    gapMs: fc.integer({ min: 1, max: 3000 }),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(someRecord, { maxLength: 30 }),
      windowFunctions,
      fc.integer({ min: 1, max: 3 }),
      async (records, windows, parallelism) => {
        const elements = records.map(({ key, timestampMs, gapMs }, n) => ({
          key,
          timestampMs,
          value: { key, n, gapMs },
        }))
        // those that are in no window count as late, and nothing else may
        const inNone = elements.filter(
          ({ key, value, timestampMs }) => windows.assign(value, timestampMs, key).length === 0,
        )

        const { lateRecords, stateLeft, panes } = await runTest(
          job('engine', (env) => {
            env
              .from(
                'records',
                testSource<Timed>()
                  .emit(...elements)
                  .end(),
              )
              .rebalance()
              .keyBy(({ key }) => key)
              .window(windows)
              .aggregate('groups', collect<Timed>())
              .to('out', arraySink<unknown>([]))
          }),
          { parallelism },
        )

        const groups = panes.map(({ result: { key, window, value } }) =>
          rowOf({ key: key as string, window, value: value as Timed[] }),
        )
        assert.deepEqual(
          groups.toSorted(),
          groupByKeyAndWindow(elements, windows).map(rowOf).toSorted(),
        )
        assert.equal(lateRecords, inNone.length)
        assert.deepEqual(stateLeft, [])
      },
    ),
    { numRuns: 150 },
  )
})

function rowOf({
  key,
  window,
  value,
}: {
  readonly key: string
  readonly window: TimeWindow
  readonly value: readonly Timed[]
}): string {
  const members = value.map(({ n }) => n).toSorted((a, b) => a - b)
  return `${key} ${window.startMs}-${window.endMs} ${members.join()}`
}
