import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  arraySink,
  job,
  monotonous,
  outOfOrder,
  session,
  sliding,
  tumbling,
  type,
  valueState,
} from 'millrace'
import type { DataStream, MultiStream, TimeWindow, WindowResult } from 'millrace'
import { runTest, testSource } from 'millrace/testing'
import type { TestSource } from 'millrace/testing'

interface View {
  readonly page: string
  readonly n: number
}

type Counted = MultiStream<WindowResult<string, TimeWindow, number>, { late: View }>

const view = (page: string, timestampMs: number, n = 1): { value: View; timestampMs: number } => ({
  value: { page, n },
  timestampMs,
})

function counting(views: TestSource<View>, count: (views: DataStream<View>) => Counted) {
  return job('counting', (env) => {
    count(env.from('views', views)).to(
      'out',
      arraySink<WindowResult<string, TimeWindow, number>>([]),
    )
  })
}

const rows = (panes: Awaited<ReturnType<typeof runTest>>['panes']): string[] =>
  panes.map(
    ({ processingTimeMs, result: { key, window, value } }) =>
      `${processingTimeMs}: ${String(key)} ${window.startMs}-${window.endMs} ${String(value)}`,
  )

test('a window fires when the watermark passes its last millisecond, not before', async () => {
  const views = testSource<View>()
    .emit(view('a', 0), view('a', 999))
    .watermark(998)
    .advanceTo(50)
    .emit(view('a', 500))
    .advanceTo(60)
    .watermark(999)
    .advanceTo(70)
    .end()

  const { panes, stateLeft } = await runTest(
    counting(views, (stream) =>
      stream
        .keyBy(({ page }) => page)
        .window(tumbling({ size: '1s' }))
        .count('n'),
    ),
  )

  assert.deepEqual(rows(panes), ['60: a 0-1000 3'])
  assert.deepEqual(stateLeft, [])
})

test('processing-time windows fire at their ends on the scripted clock', async () => {
  const views = testSource<View>()
    .emit(view('a', 7), view('b', 7))
    .advanceTo(900)
    .emit(view('a', 7))
    .advanceTo(2500)
    .emit(view('a', 7))
    .advanceTo(10_000)
    .end()

  const { panes, stateLeft } = await runTest(
    counting(views, (stream) =>
      stream
        .keyBy(({ page }) => page)
        .window(tumbling({ size: '1s', clock: 'processing' }))
        .count('n'),
    ),
  )

  assert.deepEqual(rows(panes).sort(), [
    '1000: a 0-1000 2',
    '1000: b 0-1000 1',
    '3000: a 2000-3000 1',
  ])
  assert.deepEqual(stateLeft, [])
})

test('sliding windows in processing time hold a record in each window it is in', async () => {
  const views = testSource<View>()
    .advanceTo(1500)
    .emit(view('a', 0, 1))
    .advanceTo(2100)
    .emit(view('a', 0, 10))
    .advanceTo(20_000)
    .end()

  const { panes } = await runTest(
    counting(views, (stream) =>
      stream
        .keyBy(({ page }) => page)
        .window(sliding({ size: '2s', every: '1s', clock: 'processing' }))
        .sum('sum', ({ n }) => n),
    ),
  )

  assert.deepEqual(rows(panes), [
    '2000: a 0-2000 1',
    '3000: a 1000-3000 11',
    '4000: a 2000-4000 10',
  ])
})

test('sessions in processing time end a gap after the last record', async () => {
  const views = testSource<View>()
    .emit(view('a', 0))
    .advanceTo(800)
    .emit(view('a', 0))
    .advanceTo(5000)
    .emit(view('a', 0))
    .advanceTo(20_000)
    .end()

  const { panes, stateLeft } = await runTest(
    counting(views, (stream) =>
      stream
        .keyBy(({ page }) => page)
        .window(session({ gap: '1s', clock: 'processing' }))
        .count('n'),
    ),
  )

  assert.deepEqual(rows(panes), ['1799: a 0-1800 2', '5999: a 5000-6000 1'])
  assert.deepEqual(stateLeft, [])
})

test('a script without end leaves windows open, and says what state is left', async () => {
  const views = testSource<View>().emit(view('a', 0), view('b', 0)).watermark(10)

  const { panes, stateLeft, recordsRead } = await runTest(
    counting(views, (stream) =>
      stream
        .keyBy(({ page }) => page)
        .window(tumbling({ size: '1s' }))
        .count('n'),
    ),
  )

  assert.deepEqual(panes, [])
  assert.equal(recordsRead, 2)
  assert.deepEqual(stateLeft, [{ operatorUid: 'n', state: 'slices', entryCount: 2 }])
})

test('records of windows that are over are counted and go to the side output', async () => {
  const late: View[] = []
  const views = testSource<View>()
    .emit(view('a', 0))
    .watermark(2000)
    .emit(view('a', 1999, 5), view('a', 2001))
    .end()

  const { panes, lateRecords } = await runTest(
    job('late', (env) => {
      const counts = env
        .from('views', views)
        .keyBy(({ page }) => page)
        .window(tumbling({ size: '1s' }))
        .count('n')
      counts.side.late.to('late', arraySink(late))
    }),
  )

  assert.equal(lateRecords, 1)
  assert.deepEqual(late, [{ page: 'a', n: 5 }])
  assert.deepEqual(
    panes.map(({ result }) => [result.window.startMs, result.value]),
    [
      [0, 1],
      [2000, 1],
    ],
  )
})

test('two sources hold the watermark to the lower of the two, in the order of the script', async () => {
  const left = testSource<View>()
  const right = testSource<View>()
  left.emit(view('a', 0)).watermark(5000)
  right.emit(view('a', 10)).advanceTo(100).watermark(500).advanceTo(200).watermark(5000)
  left.end()
  right.end()

  const { panes } = await runTest(
    job('two', (env) => {
      env
        .from('left', left)
        .union(env.from('right', right))
        .keyBy(({ page }) => page)
        .window(tumbling({ size: '1s' }))
        .count('n')
        .to('out', arraySink<WindowResult<string, TimeWindow, number>>([]))
    }),
  )

  assert.deepEqual(rows(panes), ['200: a 0-1000 2'])
})

test('an idle source lets the watermark go on, and holds it again when it speaks', async () => {
  const busy = testSource<View>()
  const quiet = testSource<View>()
  quiet.emit(view('q', 0))
  busy.emit(view('a', 100), view('a', 3000))
  busy.advanceTo(999).advanceTo(1000)
  quiet.advanceTo(1500).emit(view('q', 4000))
  busy.emit(view('a', 9000))
  busy.advanceTo(1600).end()
  quiet.end()

  const { panes } = await runTest(
    job('idle', (env) => {
      env
        .from('busy', busy, { watermarks: monotonous() })
        .union(env.from('quiet', quiet, { watermarks: monotonous(), idleAfter: '1s' }))
        .keyBy(({ page }) => page)
        .window(tumbling({ size: '1s' }))
        .count('n')
        .to('out', arraySink<WindowResult<string, TimeWindow, number>>([]))
    }),
  )

  // at 1000 the quiet one is idle: what the busy one has passed fires; at 1500 it holds time at 4000 again
  assert.deepEqual(
    rows(panes)
      .filter((row) => !row.startsWith('1600'))
      .sort(),
    ['1000: a 0-1000 1', '1000: q 0-1000 1', '1500: a 3000-4000 1'],
  )
})

test("a job's own watermark strategy decides where it has one", async () => {
  const views = testSource<View>().emit(view('a', 0)).emit(view('a', 1999)).advanceTo(5)
  views.emit(view('a', 2000)).end()
  const build = (source: TestSource<View>) =>
    job('own', (env) => {
      env
        .from('views', source, { watermarks: outOfOrder({ delay: '1s' }) })
        .keyBy(({ page }) => page)
        .window(tumbling({ size: '1s' }))
        .count('n')
        .to('out', arraySink<WindowResult<string, TimeWindow, number>>([]))
    })

  const { panes } = await runTest(build(views))

  assert.equal(rows(panes)[0], '5: a 0-1000 1')
  await assert.rejects(runTest(build(testSource<View>().watermark(5).end())), {
    code: 'OPTION_INVALID',
  })
})

test('timers of both clocks fire in the order of time, once, and can be deleted', async () => {
  const fired: string[] = []
  const ticks = testSource<number>()
    .emit({ value: 1, timestampMs: 10 })
    .watermark(99)
    .advanceTo(49)
    .watermark(100)
    .advanceTo(50)
    .advanceTo(1000)
    .end()

  const { stateLeft } = await runTest(
    job('timers', (env) => {
      env
        .from('ticks', ticks)
        .keyBy((n) => n)
        .process(
          'timers',
          { emits: type<string>(), state: { seen: valueState<number>() } },
          ({ timers, emit, state }) => ({
            onRecord(n) {
              state.seen.set(n)
              timers.setEventTime(100)
              timers.setEventTime(100)
              timers.setEventTime(300)
              timers.setEventTime(200)
              timers.deleteEventTime(200)
              timers.setProcessingTime(50)
              timers.setProcessingTime(60)
              timers.deleteProcessingTime(60)
            },
            onTimer({ clock, timestampMs }) {
              emit(`${clock} ${timestampMs} at ${timers.processingTimeMs()}`)
            },
          }),
        )
        .to('out', arraySink(fired))
    }),
  )

  assert.deepEqual(fired, ['event 100 at 49', 'processing 50 at 50', 'event 300 at 1000'])
  assert.deepEqual(stateLeft, [{ operatorUid: 'timers', state: 'seen', entryCount: 1 }])
})

test('a job may be run again with the same script', async () => {
  const views = testSource<View>().emit(view('a', 0)).end()
  const build = counting(views, (stream) =>
    stream
      .keyBy(({ page }) => page)
      .window(tumbling({ size: '1s' }))
      .count('n'),
  )

  const first = await runTest(build)
  const second = await runTest(build, { parallelism: 3 })

  assert.deepEqual(rows(first.panes), ['0: a 0-1000 1'])
  assert.deepEqual(rows(second.panes), rows(first.panes))
})

test('an error of a user function is the answer, with its place', async () => {
  const source = testSource<number>().emit({ value: 1, timestampMs: 0 }).end()
  const failing = job('failing', (env) => {
    env
      .from('numbers', source)
      .map(
        () => {
          throw new Error('no such number')
        },
        { uid: 'map' },
      )
      .to('out', arraySink<never>([]))
  })

  await assert.rejects(runTest(failing), { code: 'USER_FUNCTION_FAILED', operatorUid: 'map' })
})

test('a script that goes on after its end, or sets the clock back, is refused', async () => {
  assert.throws(() => testSource<number>().end().watermark(1), { code: 'OPTION_INVALID' })
  assert.throws(() => testSource<number>().watermark(NaN), { code: 'OPTION_INVALID' })
  const back = testSource<View>().advanceTo(10).advanceTo(9).end()
  const build = counting(back, (stream) =>
    stream
      .keyBy(({ page }) => page)
      .window(tumbling({ size: '1s' }))
      .count('n'),
  )
  await assert.rejects(runTest(build), { code: 'OPTION_INVALID' })
})

test('the watermark of each operator can be read: told, and handed on where nothing holds it', async () => {
  const views = testSource<View>()
    .emit(view('a', 300), view('b', 1700))
    .watermark(1500)
    .emit(view('a', 1900))
  const held = job('held', (env) => {
    const byPage = env.from('views', views).keyBy(({ page }) => page)
    byPage
      .window(tumbling({ size: '2s' }), { accumulation: 'accumulating', timestamp: 'earliest' })
      .count('held')
      .to('held-out', arraySink<unknown>([]))
    byPage
      .window(tumbling({ size: '2s' }))
      .count('free')
      .to('free-out', arraySink<unknown>([]))
  })

  for (const parallelism of [1, 3]) {
    const { watermarks } = await runTest(held, { parallelism })

    assert.deepEqual(
      watermarks.toSorted((a, b) => (a.operatorUid < b.operatorUid ? -1 : 1)),
      [
        { operatorUid: 'free', inputMs: 1500, outputMs: 1500 },
        { operatorUid: 'free-out', inputMs: 1500, outputMs: 1500 },
        // the oldest record of a window that is still open
        { operatorUid: 'held', inputMs: 1500, outputMs: 299 },
        { operatorUid: 'held-out', inputMs: 299, outputMs: 299 },
        { operatorUid: 'views', inputMs: 1500, outputMs: 1500 },
      ],
    )
  }
  const { watermarks } = await runTest(held, { crashes: 3, seed: 2 })
  assert.deepEqual(
    watermarks.find(({ operatorUid }) => operatorUid === 'held'),
    { operatorUid: 'held', inputMs: 1500, outputMs: 299 },
  )
})
