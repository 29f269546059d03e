/** What each window function gives through the whole engine, against references that know nothing of it. */
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
import type { DataStream, Duration, TimeWindow, WindowFunction, WindowResult } from 'millrace'
import { runTest, testSource } from 'millrace/testing'
import type { TestSource } from 'millrace/testing'

interface Hit {
  readonly user: string
  readonly atMs: number
  readonly gapMs: number
  readonly n: number
}

const hit = (user: string, atMs: number, n = 1, gapMs = 1): Hit => ({ user, atMs, gapMs, n })
const gap = ({ gapMs }: Hit): Duration => `${gapMs}ms`

function scripted(records: readonly Hit[]): TestSource<Hit> {
  const source = testSource<Hit>()
  source.emit(...records.map((value) => ({ value, timestampMs: value.atMs })))
  return source.end()
}

/** `user start-end sum` of each window, with the sum taken by `aggregate`, which the engine may or may not cut in two. */
async function sumsOf(
  source: TestSource<Hit>,
  windows: WindowFunction<Hit, TimeWindow>,
  options: { readonly parallelism?: number; readonly how?: 'sum' | 'rows' } = {},
): Promise<{ rows: string[]; late: number[]; lateRecords: number }> {
  const rows: string[] = []
  const late: Hit[] = []
  const { how = 'sum', ...testOptions } = options
  const tested = job('sums', (env) => {
    const windowed = env
      .from('hits', source)
      .rebalance()
      .keyBy(({ user }) => user)
      .window(windows)
    if (how === 'sum') {
      windowed
        .sum('sum', ({ n }) => n)
        .map(rowOf)
        .to('rows', arraySink(rows))
    } else {
      const results = windowed.aggregate('rows', collect<Hit>())
      results
        .map(({ value, ...rest }) =>
          rowOf({ ...rest, value: value.reduce((total, { n }) => total + n, 0) }),
        )
        .to('rows-out', arraySink(rows))
      results.side.late.to('late', arraySink(late))
    }
  })
  const { lateRecords, stateLeft } = await runTest(tested, testOptions)
  assert.deepEqual(stateLeft, [])
  return { rows: rows.toSorted(), late: late.map(({ n }) => n), lateRecords }
}

function rowOf({ key, window, value }: WindowResult<string, TimeWindow, number>): string {
  return `${key} ${window.startMs}-${window.endMs} ${value}`
}

/** Sessions of each record's own gap: intervals that overlap (or touch) become one, with all that is in them. */
function sessionReference(records: readonly Hit[], touching: boolean): string[] {
  const rows: string[] = []
  for (const user of new Set(records.map((each) => each.user))) {
    const own = records.filter((each) => each.user === user).toSorted((a, b) => a.atMs - b.atMs)
    let open: { startMs: number; endMs: number; sum: number } | undefined
    const close = (): void => {
      if (open !== undefined) rows.push(`${user} ${open.startMs}-${open.endMs} ${open.sum}`)
      open = undefined
    }
    for (const { atMs, gapMs, n } of own) {
      if (open !== undefined && (touching ? atMs > open.endMs : atMs >= open.endMs)) close()
      open ??= { startMs: atMs, endMs: atMs, sum: 0 }
      open.endMs = Math.max(open.endMs, atMs + gapMs)
      open.sum += n
    }
    close()
  }
  return rows.toSorted()
}

const ways = [
  { how: 'sum', parallelism: 1 },
  { how: 'sum', parallelism: 3 },
  { how: 'rows', parallelism: 1 },
  { how: 'rows', parallelism: 3 },
] as const

test('sessions with a gap per record lose nothing where several begin at one time', async () => {
  // the order in which other engines keep only the last of the three
  const records = [hit('a', 0, 1, 4), hit('a', 0, 20, 10), hit('a', 0, 300, 10)]
  for (const options of ways) {
    for (const order of [records, records.toReversed()]) {
      const { rows } = await sumsOf(scripted(order), session({ gap }), options)
      assert.deepEqual(rows, ['a 0-10 321'])
    }
  }
})

test('sessions with a gap per record hold all there is, in any order, touching or apart', async () => {
  const someHit = fc.record({
    user: fc.constantFrom('a', 'b'),
    atMs: fc.integer({ min: -60, max: 60 }),
    gapMs: fc.integer({ min: 1, max: 25 }),
    n: fc.integer({ min: 1, max: 100 }),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(someHit, { maxLength: 25 }),
      fc.boolean(),
      fc.constantFrom(...ways),
      async (records, isTouching, options) => {
        const windows = session({ gap, touching: isTouching ? 'merge' : 'apart' })

        const { rows } = await sumsOf(scripted(records), windows, options)

        assert.deepEqual(rows, sessionReference(records, isTouching))
      },
    ),
    { numRuns: 60 },
  )
})

test('a session that a longer gap has lengthened is open until that ends', async () => {
  const source = testSource<Hit>()
    .emit({ value: hit('a', 0, 1, 100), timestampMs: 0 })
    .emit({ value: hit('a', 5, 2, 1), timestampMs: 5 })
    .watermark(98)
    .emit({ value: hit('a', 99, 4, 1), timestampMs: 99 })
    .end()

  for (const options of ways) {
    const { rows, lateRecords } = await sumsOf(source, session({ gap }), options)
    assert.deepEqual(rows, ['a 0-100 7'])
    assert.equal(lateRecords, 0)
  }
})

test('windows that leave gaps: what lies between two goes to the late ones, once, and leaves no state', async () => {
  const records = [-1, 0, 1, 2, 3, 9, 10, 12, 13].map((atMs, n) => hit('a', atMs, 10 ** n))
  for (const unaligned of [false, true]) {
    for (const options of ways) {
      const windows = sliding({ size: '3ms', every: '10ms', unaligned })
      const { rows, late, lateRecords } = await sumsOf(scripted(records), windows, options)

      const expected = records.filter((each) => windows.assign(each, each.atMs, 'a').length === 0)
      assert.ok(expected.length > 0 && expected.length < records.length)
      assert.equal(lateRecords, expected.length)
      if (options.how === 'rows') {
        assert.deepEqual(
          late,
          expected.map(({ n }) => n),
        )
      }
      if (!unaligned) assert.deepEqual(rows, ['a 0-3 1110', 'a 10-13 11000000'])
    }
  }
})

test('windows that leave gaps, in processing time', async () => {
  const at = (n: number) => ({ value: hit('a', 0, n), timestampMs: 0 })
  const source = testSource<Hit>()
    .advanceTo(1)
    .emit(at(1))
    .advanceTo(5)
    .emit(at(20))
    .advanceTo(12)
    .emit(at(300))
    .advanceTo(100)
    .end()

  const { rows, late } = await sumsOf(
    source,
    sliding({ size: '3ms', every: '10ms', clock: 'processing' }),
    { how: 'rows' },
  )

  assert.deepEqual(rows, ['a 0-3 1', 'a 10-13 300'])
  assert.deepEqual(late, [20])
})

test('a window function may give a record no window: it goes to the late ones, once', async () => {
  const weekdays: WindowFunction<Hit, TimeWindow> = {
    name: 'even tens',
    assign(_hit, atMs) {
      const startMs = Math.floor(atMs / 10) * 10
      return startMs % 20 === 0 ? [{ startMs, endMs: startMs + 10 }] : []
    },
  }
  const records = [hit('a', 5, 1), hit('a', 15, 2), hit('a', 25, 3)]

  const { rows, late, lateRecords } = await sumsOf(scripted(records), weekdays, { how: 'rows' })

  assert.deepEqual(rows, ['a 0-10 1', 'a 20-30 3'])
  assert.deepEqual(late, [2])
  assert.equal(lateRecords, 1)
})

test('unaligned windows end at times of each key, and hold what their bounds say', async () => {
  const users = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
  const records = users.flatMap((user) =>
    Array.from({ length: 50 }, (_, index) => hit(user, index * 7 - 100, index)),
  )
  const windows = tumbling({ size: '100ms', unaligned: true })
  for (const options of ways) {
    const { rows } = await sumsOf(scripted(records), windows, options)

    const sums = new Map<string, number>()
    for (const each of records) {
      const [window] = windows.assign(each, each.atMs, each.user)
      const name = `${each.user} ${String(window?.startMs)}-${String(window?.endMs)}`
      sums.set(name, (sums.get(name) ?? 0) + each.n)
    }
    assert.deepEqual(rows, [...sums].map(([name, sum]) => `${name} ${sum}`).toSorted())
    assert.ok(new Set(rows.map((row) => row.replace(/^\w+ -?\d*?(\d\d)-.*$/, '$1'))).size > 4)
  }
})

test('calendar days are summed in the zone of the calendar, over the end of daylight saving', async () => {
  const hourMs = 3_600_000
  const firstMs = Date.parse('2024-10-26T00:00+02:00')
  const records = Array.from({ length: 73 }, (_, hour) => hit('a', firstMs + hour * hourMs))

  const { rows } = await sumsOf(
    scripted(records),
    calendar({ unit: 'day', timeZone: 'Europe/Berlin' }),
    { parallelism: 2 },
  )

  assert.deepEqual(
    rows.map((row) => row.split(' ')[2]),
    ['24', '25', '24'],
  )
})

test('the global window fires once, when all input has ended', async () => {
  const source = testSource<Hit>()
    .emit(...[5, -5, 8e15, 0].map((atMs) => ({ value: hit('a', atMs), timestampMs: atMs })))
    .watermark(2 ** 51)
    .emit({ value: hit('a', 1, 10), timestampMs: 1 })
    .end()

  const { rows, lateRecords } = await sumsOf(source, globalWindow(), { parallelism: 2 })

  assert.deepEqual(rows, [`a ${-(2 ** 52)}-${2 ** 52} 14`])
  assert.equal(lateRecords, 0)
})

test('windows of windows: sums per second feed sums per minute and those sums per hour, at any parallelism', async () => {
  const records = Array.from({ length: 400 }, (_, index) =>
    hit(`u${index % 5}`, (index * 9973) % 7_200_000, 1 + (index % 7)),
  )
  const perWindow = (sizeMs: number): string[] => {
    const sums = new Map<string, number>()
    for (const { user, atMs, n } of records) {
      const startMs = Math.floor(atMs / sizeMs) * sizeMs
      const name = `${user} ${startMs}-${startMs + sizeMs}`
      sums.set(name, (sums.get(name) ?? 0) + n)
    }
    return [...sums].map(([name, sum]) => `${name} ${sum}`).toSorted()
  }
  for (const parallelism of [1, 2]) {
    const minutes: string[] = []
    const hours: string[] = []
    const source = testSource<Hit>()
    // out of order by up to 10 minutes, and the watermark as far behind
    const arriving = records.toSorted(
      (a, b) => a.atMs - b.atMs + ((a.n * 37 - b.n * 37) % 7) * 60_000,
    )
    let highestMs = 0
    for (const value of arriving) {
      highestMs = Math.max(highestMs, value.atMs)
      source.emit({ value, timestampMs: value.atMs }).watermark(highestMs - 3_600_000)
    }
    source.end()
    const again = (stream: DataStream<WindowResult<string, TimeWindow, number>>, size: Duration) =>
      stream
        .keyBy(({ key }) => key)
        .window(tumbling({ size }))
        .sum(`per-${size}`, ({ value }) => value)

    const { lateRecords, stateLeft } = await runTest(
      job('cascade', (env) => {
        const seconds = env
          .from('hits', source)
          .keyBy(({ user }) => user)
          .window(tumbling({ size: '1s' }))
          .sum('per-second', ({ n }) => n)
        const perMinute = again(seconds, '1min')
        perMinute.map(rowOf).to('minutes', arraySink(minutes))
        again(perMinute, '1h').map(rowOf).to('hours', arraySink(hours))
      }),
      { parallelism },
    )

    assert.equal(lateRecords, 0)
    assert.deepEqual(stateLeft, [])
    assert.deepEqual(minutes.toSorted(), perWindow(60_000))
    assert.deepEqual(hours.toSorted(), perWindow(3_600_000))
  }
})

test('windows that a user shortens: each value is valid until the next of its key', async () => {
  const [forever] = globalWindow().assign(null, 0, null)
  assert.ok(forever !== undefined)
  const untilNext: WindowFunction<unknown, TimeWindow> = {
    name: 'until the next',
    assign: (_value, timestampMs) => [{ startMs: timestampMs, endMs: forever.endMs }],
    merge: (windows) =>
      [...new Set(windows.map(({ startMs }) => startMs))].flatMap((startMs, index, starts) => {
        const merged = windows.filter((window) => window.startMs === startMs)
        const into = { startMs, endMs: starts[index + 1] ?? forever.endMs }
        return merged.length === 1 && merged[0]?.endMs === into.endMs ? [] : [{ merged, into }]
      }),
  }
  const records = [hit('a', 10, 1), hit('a', 30, 2), hit('b', 20, 3), hit('a', 20, 4)]
  const again = [...records, hit('a', 10, 5)]

  for (const how of ['sum', 'rows'] as const) {
    const { rows } = await sumsOf(scripted(again), untilNext, { how, parallelism: 2 })

    assert.deepEqual(rows, [
      'a 10-20 6',
      'a 20-30 4',
      `a 30-${forever.endMs} 2`,
      `b 20-${forever.endMs} 3`,
    ])
  }
})

test('a window that is shortened to before the watermark fires at once', async () => {
  const untilNext: WindowFunction<Hit, TimeWindow> = {
    name: 'until the next, at most 100',
    assign: (_value, timestampMs) => [{ startMs: timestampMs, endMs: timestampMs + 100 }],
    merge: ([first, second]) =>
      first === undefined || second === undefined || second.startMs >= first.endMs
        ? []
        : [{ merged: [first], into: { startMs: first.startMs, endMs: second.startMs } }],
  }
  const source = testSource<Hit>()
    .emit({ value: hit('a', 0, 1), timestampMs: 0 })
    .watermark(50)
    .emit({ value: hit('a', 40, 2), timestampMs: 40 })
    .advanceTo(7)
  source.end()

  const { panes } = await runTest(
    job('shortened', (env) => {
      env
        .from('hits', source)
        .keyBy(({ user }) => user)
        .window(untilNext)
        .sum('sum', ({ n }) => n)
        .to('out', arraySink<unknown>([]))
    }),
  )

  assert.deepEqual(
    panes.map(({ processingTimeMs, result: { window, value } }) => [
      processingTimeMs,
      window.startMs,
      window.endMs,
      value,
    ]),
    [
      [0, 0, 40, 1],
      [7, 40, 140, 2],
    ],
  )
})
