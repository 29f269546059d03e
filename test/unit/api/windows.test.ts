import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  aggregator,
  arraySink,
  collect,
  combine,
  count,
  customWatermarks,
  fromArray,
  generate,
  job,
  outOfOrder,
  session,
  sliding,
  sum,
  top,
  tumbling,
  type,
} from 'millrace'
import type {
  Aggregator,
  Duration,
  TimeWindow,
  WatermarkStrategy,
  WindowFunction,
  WindowResult,
} from 'millrace'
import { runTest, testSource } from 'millrace/testing'
import { rowsOf } from '../../support/run-stream.ts'

interface Hit {
  readonly user: string
  readonly atMs: number
  readonly n: number
}

type Row = `${string} ${number}-${number} ${string}`

const hits = (...parts: readonly (readonly [user: string, atMs: number])[]): Hit[] =>
  parts.map(([user, atMs], n) => ({ user, atMs, n }))

/** Which records each key's windows hold at the end, given as `user start-end n,n,n`. */
async function panesOf(
  records: readonly Hit[],
  window: WindowFunction<Hit, TimeWindow>,
  options: {
    readonly watermarks?: WatermarkStrategy<Hit>
    readonly parallelism?: number
    readonly timestampMs?: (hit: Hit) => number
  } = {},
): Promise<{ rows: Row[]; late: number[]; lateRecords: number }> {
  const rows: Row[] = []
  const late: Hit[] = []
  const tested = job('panes', (env) => {
    const panes = env
      .from('hits', fromArray(records), {
        timestampMs: ({ atMs }) => atMs,
        watermarks: options.watermarks ?? outOfOrder({ delay: '365d' }),
        parallelism: 1,
      })
      .keyBy(({ user }) => user)
      .window(window)
      .aggregate('rows', collect<Hit>())
    panes.map(rowOf).to('rows-out', arraySink(rows))
    panes.side.late.to('late', arraySink(late))
  })
  const { lateRecords, stateLeft } = await runTest(tested, options)
  assert.deepEqual(stateLeft, [])
  return { rows: rows.toSorted(), late: late.map(({ n }) => n), lateRecords }
}

function rowOf({
  key,
  window,
  value,
}: WindowResult<string | null, TimeWindow, readonly Hit[]>): Row {
  const numbers = value.map(({ n }) => n).toSorted((a, b) => a - b)
  return `${String(key)} ${window.startMs}-${window.endMs} ${numbers.join()}`
}

/** The reference: aligned windows by testing every window there might be. */
function alignedReference(
  records: readonly Hit[],
  { sizeMs, everyMs, offsetMs }: { sizeMs: number; everyMs: number; offsetMs: number },
): Row[] {
  const rows: Row[] = []
  for (const user of new Set(records.map((hit) => hit.user))) {
    const own = records.filter((hit) => hit.user === user)
    const times = own.map(({ atMs }) => atMs)
    const firstIndex = Math.floor((Math.min(...times) - sizeMs - offsetMs) / everyMs) - 1
    const lastIndex = Math.ceil((Math.max(...times) - offsetMs) / everyMs) + 1
    for (let index = firstIndex; index <= lastIndex; index++) {
      const startMs = index * everyMs + offsetMs
      const endMs = startMs + sizeMs
      const value = own.filter(({ atMs }) => atMs >= startMs && atMs < endMs)
      if (value.length > 0)
        rows.push(rowOf({ key: user, window: { startMs, endMs }, value } as never))
    }
  }
  return rows.toSorted()
}

/** The reference: sessions by going through the sorted records of a key. */
function sessionReference(records: readonly Hit[], gapMs: number, touching: boolean): Row[] {
  const rows: Row[] = []
  for (const user of new Set(records.map((hit) => hit.user))) {
    const own = records.filter((hit) => hit.user === user).toSorted((a, b) => a.atMs - b.atMs)
    let open: Hit[] = []
    const close = (): void => {
      const startMs = open[0]?.atMs ?? 0
      const window = { startMs, endMs: (open.at(-1)?.atMs ?? 0) + gapMs }
      if (open.length > 0) rows.push(rowOf({ key: user, window, value: open } as never))
      open = []
    }
    for (const hit of own) {
      const last = open.at(-1)
      const distance = last === undefined ? 0 : hit.atMs - last.atMs
      if (touching ? distance > gapMs : distance >= gapMs) close()
      open.push(hit)
    }
    close()
  }
  return rows.toSorted()
}

const someHits = fc.array(
  fc.record({ user: fc.constantFrom('a', 'b', 'c'), atMs: fc.integer({ min: -300, max: 300 }) }),
  { minLength: 1, maxLength: 40 },
)
const numbered = (records: readonly { user: string; atMs: number }[]): Hit[] =>
  records.map((record, n) => ({ ...record, n }))

test('tumbling and sliding windows in any order, before and after 1970', async () => {
  await fc.assert(
    fc.asyncProperty(
      someHits,
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: -50, max: 50 }),
      async (some, everyMs, factor, offsetMs) => {
        const records = numbered(some)
        const sizeMs = everyMs * factor + (factor > 1 ? everyMs % 7 : 0)
        const { rows, lateRecords } = await panesOf(
          records,
          sliding({ size: `${sizeMs}ms`, every: `${everyMs}ms`, offset: `${offsetMs}ms` }),
          { parallelism: 1 + (records.length % 3) },
        )

        assert.equal(lateRecords, 0)
        assert.deepEqual(rows, alignedReference(records, { sizeMs, everyMs, offsetMs }))
      },
    ),
    { numRuns: 40 },
  )
})

test('sessions merge whatever comes between them, in any order', async () => {
  await fc.assert(
    fc.asyncProperty(
      someHits,
      fc.integer({ min: 1, max: 60 }),
      fc.boolean(),
      async (some, gapMs, touching) => {
        const records = numbered(some)
        const { rows } = await panesOf(
          records,
          session({ gap: `${gapMs}ms`, touching: touching ? 'merge' : 'apart' }),
          { parallelism: 1 + (records.length % 3) },
        )

        assert.deepEqual(rows, sessionReference(records, gapMs, touching))
      },
    ),
    { numRuns: 40 },
  )
})

test('a record that bridges two sessions makes them one', async () => {
  const { rows } = await panesOf(
    hits(['a', 0], ['a', 1500], ['a', 700], ['b', 0]),
    session({ gap: '1s' }),
  )

  assert.deepEqual(rows, ['a 0-2500 0,1,2', 'b 0-1000 3'])
})

test('sessions that touch become one, unless they are to stay apart', async () => {
  const records = hits(['a', 0], ['a', 1000])

  assert.deepEqual((await panesOf(records, session({ gap: '1s' }))).rows, ['a 0-2000 0,1'])
  assert.deepEqual((await panesOf(records, session({ gap: '1s', touching: 'apart' }))).rows, [
    'a 0-1000 0',
    'a 1000-2000 1',
  ])
})

test('the gap of a session may be of the record', async () => {
  const gap = ({ n }: Hit): Duration => (n === 0 ? '10s' : '1s')

  const { rows } = await panesOf(hits(['a', 0], ['a', 9000], ['a', 12_000]), session({ gap }))

  assert.deepEqual(rows, ['a 0-10000 0,1', 'a 12000-13000 2'])
})

test('a window function of the user, with and without merging', async () => {
  const days: WindowFunction<Hit, TimeWindow> = {
    name: 'two windows for each record',
    assign: (_hit, timestampMs) => [
      { startMs: timestampMs, endMs: timestampMs + 10 },
      { startMs: 0, endMs: 1000 },
    ],
  }
  assert.deepEqual((await panesOf(hits(['a', 5], ['a', 5], ['a', 7]), days)).rows, [
    'a 0-1000 0,1,2',
    'a 5-15 0,1',
    'a 7-17 2',
  ])

  const growing: WindowFunction<Hit, TimeWindow> = {
    name: 'all of a key in one',
    assign: (_hit, timestampMs) => [{ startMs: timestampMs, endMs: timestampMs + 1 }],
    merge(windows) {
      if (windows.length < 2) return []
      const startMs = Math.min(...windows.map((window) => window.startMs))
      const endMs = Math.max(...windows.map((window) => window.endMs))
      return [{ merged: windows, into: { startMs, endMs } }]
    },
  }
  assert.deepEqual((await panesOf(hits(['a', 9], ['b', 1], ['a', -5], ['a', 2]), growing)).rows, [
    'a -5-10 0,2,3',
    'b 1-2 1',
  ])
})

test('lateness against a scripted watermark: over windows refuse, half-over sliding windows take', async () => {
  const late: Hit[] = []
  const hit = (n: number, atMs: number) => ({
    value: { user: 'a', atMs, n },
    timestampMs: atMs,
  })
  const source = testSource<Hit>()
    .emit(hit(0, 100))
    .watermark(1999)
    .emit(hit(1, 500), hit(2, 1500), hit(3, 2500))
    .watermark(2999)
    .emit(hit(4, 1999), hit(5, 2000))
    .end()

  const { panes, lateRecords } = await runTest(
    job('late', (env) => {
      const windows = env
        .from('hits', source)
        .keyBy(({ user }) => user)
        .window(sliding({ size: '2s', every: '1s' }))
        .aggregate('rows', collect<Hit>())
      windows.side.late.to('late', arraySink(late))
    }),
  )

  assert.deepEqual(
    panes.map(({ result }) => rowOf(result as never)),
    ['a -1000-1000 0', 'a 0-2000 0', 'a 1000-3000 2,3', 'a 2000-4000 3,5'],
  )
  assert.deepEqual(
    late.map(({ n }) => n),
    [1, 4],
  )
  assert.equal(lateRecords, 2)
})

test('a late record that would lengthen an open session does so; one for a closed session is late', async () => {
  const late: Hit[] = []
  const hit = (n: number, atMs: number) => ({ value: { user: 'a', atMs, n }, timestampMs: atMs })
  const source = testSource<Hit>()
    .emit(hit(0, 0), hit(1, 3000))
    .watermark(3500)
    // 0-1000 is over; 2500 is late by itself but joins the session that is open
    .emit(hit(2, 2400), hit(3, 500), hit(4, 1600))
    .end()

  const { panes } = await runTest(
    job('late-sessions', (env) => {
      const windows = env
        .from('hits', source)
        .keyBy(({ user }) => user)
        .window(session({ gap: '1s' }))
        .aggregate('rows', collect<Hit>())
      windows.side.late.to('late', arraySink(late))
    }),
  )

  assert.deepEqual(
    panes.map(({ result }) => rowOf(result as never)),
    ['a 0-1000 0', 'a 1600-4000 1,2,4'],
  )
  assert.deepEqual(
    late.map(({ n }) => n),
    [3],
  )
})

test('a window over all keys has null for its key and works at any parallelism', async () => {
  for (const parallelism of [1, 3]) {
    const rows = await rowsOf(
      (env) =>
        env
          .from('n', generate({ count: 100, record: (index) => index }), {
            timestampMs: (n) => n * 10,
            watermarks: outOfOrder({ delay: '1d' }),
          })
          .windowAll(tumbling({ size: '250ms' }))
          .aggregate('all', combine({ n: count(), total: sum((n) => n) })),
      { parallelism },
    )

    assert.deepEqual(
      rows.map(({ key, window, value }) => [key, window.startMs, value.n, value.total]),
      [0, 1, 2, 3].map((quarter) => [null, quarter * 250, 25, 25 * (25 * quarter + 12)]),
    )
  }
})

test('results carry the last millisecond of their window, so windows may follow windows', async () => {
  const rows = await rowsOf((env) =>
    env
      .from('n', fromArray([0, 100, 300, 900, 1000]), {
        timestampMs: (n) => n,
        watermarks: outOfOrder({ delay: '1d' }),
      })
      .keyBy(() => 'k')
      .window(tumbling({ size: '250ms' }))
      .count('small')
      .windowAll(tumbling({ size: '1s' }))
      .process('large', { emits: type<string>() }, ({ emit }) => ({
        onPane(panes, { window }) {
          emit(`${window.startMs}: ${[...panes].map(({ value }) => value).join()}`)
        },
      })),
  )

  assert.deepEqual(rows, ['0: 2,1,1', '1000: 1'])
})

test('sum, reduce and aggregate over windows', async () => {
  const records = hits(['a', 1], ['b', 2], ['a', 3], ['a', 1001], ['b', 999])
  const windowed = async <R>(
    how: 'sum' | 'reduce' | 'top' | 'own',
  ): Promise<(readonly [string, number, R])[]> => {
    const rows = await rowsOf<unknown>((env) => {
      const windows = env
        .from('hits', fromArray(records), {
          timestampMs: ({ atMs }) => atMs,
          watermarks: outOfOrder({ delay: '1d' }),
        })
        .keyBy(({ user }) => user)
        .window(tumbling({ size: '1s' }))
      if (how === 'sum') return windows.sum('s', ({ n }) => n).map(plain)
      if (how === 'reduce') return windows.reduce('r', (a, b) => (b.n > a.n ? b : a)).map(plain)
      if (how === 'top')
        return windows
          .aggregate(
            't',
            top(1, ({ n }) => -n),
          )
          .map(plain)
      return windows.aggregate('o', longest).map(plain)
    })
    const asText = (row: unknown): string => JSON.stringify(row)
    return rows.toSorted((a, b) => (asText(a) < asText(b) ? -1 : 1)) as (readonly [
      string,
      number,
      R,
    ])[]
  }
  const longest: Aggregator<Hit, number, string> = aggregator({
    create: () => 0,
    add: (most, { atMs }: Hit) => Math.max(most, atMs),
    merge: Math.max,
    result: (most) => `up to ${most}`,
  })

  assert.deepEqual(await windowed('sum'), [
    ['a', 0, 2],
    ['a', 1000, 3],
    ['b', 0, 5],
  ])
  assert.deepEqual(await windowed('reduce'), [
    ['a', 0, records[2]],
    ['a', 1000, records[3]],
    ['b', 0, records[4]],
  ])
  assert.deepEqual(await windowed('top'), [
    ['a', 0, [records[0]]],
    ['a', 1000, [records[3]]],
    ['b', 0, [records[1]]],
  ])
  assert.deepEqual(await windowed('own'), [
    ['a', 0, 'up to 3'],
    ['a', 1000, 'up to 1001'],
    ['b', 0, 'up to 999'],
  ])
})

function plain<R>({
  key,
  window,
  value,
}: WindowResult<string, TimeWindow, R>): readonly [string, number, R] {
  return [key, window.startMs, value]
}

test('process over the rows of a pane has side outputs of its own beside the late one', async () => {
  const big: string[] = []
  const seen: string[] = []
  await runTest(
    job('rows', (env) => {
      const panes = env
        .from('hits', fromArray(hits(['a', 1], ['a', 2], ['b', 3])), {
          timestampMs: ({ atMs }) => atMs,
        })
        .keyBy(({ user }) => user)
        .window(sliding({ size: '2s', every: '1s' }))
        .process(
          'rows',
          { emits: type<string>(), side: { big: type<string>() } },
          ({ emit, side }) => ({
            onPane(rows, { key, window, pane }) {
              const list = [...rows]
              emit(`${key} ${window.startMs} ${list.length} ${pane.timing} ${String(pane.isLast)}`)
              if (list.length > 1) side.big(key)
              // what a function does to its rows is not seen by the next window
              for (const row of list) (row as { n: number }).n = 1000
            },
          }),
        )
      panes.to('seen', arraySink(seen))
      panes.side.big.to('big', arraySink(big))
    }),
  )

  assert.deepEqual(seen.toSorted(), [
    'a -1000 2 on-time true',
    'a 0 2 on-time true',
    'b -1000 1 on-time true',
    'b 0 1 on-time true',
  ])
  assert.deepEqual(big, ['a', 'a'])
})

test('a custom watermark strategy is opened once per split and asked for every record', async () => {
  let opened = 0
  const watermarks = customWatermarks<Hit>(() => {
    opened += 1
    return { advance: ({ n }, timestampMs) => (n === 1 ? timestampMs : undefined) }
  })
  const source = testSource<Hit>()
  const emit = (n: number, atMs: number) =>
    source.emit({ value: { user: 'a', atMs, n }, timestampMs: atMs })
  emit(0, 5000).advanceTo(1)
  emit(1, 999).advanceTo(2)
  emit(2, 100).end()
  const lateness = await runTest(
    job('custom', (env) => {
      env
        .from('hits', source, { watermarks })
        .keyBy(({ user }) => user)
        .window(tumbling({ size: '1s' }))
        .count('n')
        .to('out', arraySink<unknown>([]))
    }),
  )

  assert.equal(opened, 1)
  assert.equal(lateness.lateRecords, 1)
  assert.deepEqual(
    lateness.panes.map(({ processingTimeMs, result }) => [processingTimeMs, result.window.startMs]),
    [
      [1, 0],
      [2, 5000],
    ],
  )
})

test('windows without a length are refused where they are described', () => {
  assert.throws(() => sliding({ size: '1s', every: '0s' }), { code: 'OPTION_INVALID' })
  assert.throws(() => tumbling({ size: '0s' }), { code: 'OPTION_INVALID' })
  assert.throws(() => tumbling({ size: '-1s' }), { code: 'OPTION_INVALID' })
  assert.throws(() => session({ gap: '0ms' }), { code: 'OPTION_INVALID' })
  assert.throws(() => tumbling({ size: '10' as Duration }), { code: 'DURATION_INVALID' })
  assert.throws(() => outOfOrder({ delay: '-1s' }), { code: 'OPTION_INVALID' })
})
