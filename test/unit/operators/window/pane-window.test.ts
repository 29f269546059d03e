import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  afterCount,
  afterDelay,
  afterRecord,
  afterWatermark,
  aggregator,
  every,
  inSequence,
  job,
  mapSink,
  max,
  repeated,
  session,
  sliding,
  sum,
  tumbling,
  type,
  arraySink,
} from 'millrace'
import type {
  Accumulation,
  Aggregator,
  ChangeKind,
  Duration,
  ManyPanes,
  Sink,
  TimeWindow,
  WindowFunction,
  WindowOptions,
} from 'millrace'
import { runTest, testSource } from 'millrace/testing'
import type { TestPane, TestSource } from 'millrace/testing'

interface Hit {
  readonly n: number
  readonly key?: string
  readonly gap?: Duration
  readonly isEnd?: boolean
}

/** Numbers at event times, as one script step. */
const hit = (n: number, timestampMs: number, more: Partial<Hit> = {}) => ({
  value: { n, ...more },
  timestampMs,
})

const script = () => testSource<Hit>()

/** `0-10 5 early#0`: window, value, timing and index; with the on-time index from the second pane on; `last`; `-` is a retraction. */
function text({ kind, result }: TestPane): string {
  const { window, value, pane } = result
  const shown = JSON.stringify(value)
  const onTime = pane.timing === 'early' ? '' : `/${pane.onTimeIndex}`
  assert.equal(pane.isFirst, pane.index === 0)
  assert.equal(pane.onTimeIndex === -1, pane.timing === 'early')
  return `${kind === 'retract' ? '-' : ''}${window.startMs}-${window.endMs} ${shown} ${pane.timing}#${pane.index}${onTime}${pane.isLast ? ' last' : ''}`
}

/** What comes to it is read where it is sent (runTest). */
const anywhere: Sink<unknown, ChangeKind> = mapSink(new Map<number, unknown>(), () => 0)

interface Outcome {
  readonly panes: readonly string[]
  readonly times: readonly number[]
  readonly late: readonly number[]
  readonly lateRecords: number
  readonly stateLeft: number
}

async function play(
  source: TestSource<Hit>,
  where: WindowFunction<Hit, TimeWindow>,
  options: WindowOptions<Hit, Accumulation>,
  value: Aggregator<Hit, any, unknown> = sum(({ n }: Hit) => n),
): Promise<Outcome> {
  const late: Hit[] = []
  const tested = job('panes', (env) => {
    const panes = env
      .from('hits', source)
      .keyBy(({ key = 'k' }) => key)
      .window(where, options)
      .aggregate('panes', value)
    panes.to('out', anywhere)
    panes.side.late.to('late', arraySink(late))
  })
  const result = await runTest(tested)
  return {
    panes: result.panes.map(text),
    times: result.panes.map(({ processingTimeMs }) => processingTimeMs),
    late: late.map(({ n }) => n),
    lateRecords: result.lateRecords,
    stateLeft: result.stateLeft.reduce((total, { entryCount }) => total + entryCount, 0),
  }
}

const ten = tumbling({ size: '10ms' })

test('early, on-time and late panes hold the new rows, all rows, or all rows after a retraction', async () => {
  const steps = () =>
    script()
      .emit(hit(1, 1), hit(2, 2))
      .emit(hit(4, 3))
      .watermark(9)
      .emit(hit(8, 4))
      .watermark(14)
      .emit(hit(16, 5))
      .end()
  const options = {
    trigger: afterWatermark<Hit>({ early: afterCount(2) }),
    allowedLateness: '5ms',
  } as const

  assert.deepEqual((await play(steps(), ten, { ...options, accumulation: 'discarding' })).panes, [
    '0-10 3 early#0',
    '0-10 4 on-time#1/0',
    '0-10 8 late#2/1',
  ])
  assert.deepEqual((await play(steps(), ten, { ...options, accumulation: 'accumulating' })).panes, [
    '0-10 3 early#0',
    '0-10 7 on-time#1/0',
    '0-10 15 late#2/1',
  ])
  const retracting = await play(steps(), ten, { ...options, accumulation: 'retracting' })
  assert.deepEqual(retracting.panes, [
    '0-10 3 early#0',
    '-0-10 3 early#0',
    '0-10 7 on-time#1/0',
    '-0-10 7 on-time#1/0',
    '0-10 15 late#2/1',
  ])
  assert.deepEqual(retracting.late, [16])
  assert.equal(retracting.lateRecords, 1)
  assert.equal(retracting.stateLeft, 0)
})

test('a window is freed when the watermark passes its end minus one plus the lateness, and not before', async () => {
  const options = { allowedLateness: '5ms', accumulation: 'accumulating' } as const
  const before = script().emit(hit(1, 1)).watermark(13).emit(hit(2, 2))
  const open = await play(before, ten, options)
  assert.deepEqual(open.panes, ['0-10 1 on-time#0/0', '0-10 3 late#1/1'])
  assert.equal(open.stateLeft, 1)

  const after = await play(script().emit(hit(1, 1)).watermark(14).emit(hit(2, 2)), ten, options)
  assert.deepEqual(after.panes, ['0-10 1 on-time#0/0 last'])
  assert.deepEqual(after.late, [2])
  assert.equal(after.stateLeft, 0)
})

test('late records are batched by the late trigger, also in a window that only late records opened', async () => {
  const { panes } = await play(
    script()
      .emit(hit(1, 1))
      .watermark(19)
      .emit(hit(2, 2), hit(4, 12))
      .emit(hit(8, 3), hit(16, 13), hit(32, 4))
      .end(),
    ten,
    {
      trigger: afterWatermark({ late: afterCount(2) }),
      allowedLateness: '1s',
      accumulation: 'discarding',
    },
  )
  assert.deepEqual(panes, [
    '0-10 1 on-time#0/0',
    '0-10 10 late#1/1',
    '10-20 20 late#0/0',
    '0-10 32 late#2/2 last',
  ])
})

test('a jump of the watermark past the end and the lateness sends one pane', async () => {
  const { panes } = await play(
    script().emit(hit(1, 1), hit(2, 11)).watermark(1_000_000).end(),
    ten,
    {
      trigger: afterWatermark({ early: every('1min'), late: afterCount(1) }),
      allowedLateness: '1s',
      accumulation: 'accumulating',
    },
  )
  assert.deepEqual(panes, ['0-10 1 on-time#0/0 last', '10-20 2 on-time#0/0 last'])
})

test('a firing at the end without new rows is sent only where it is asked for, and uses no index otherwise', async () => {
  const steps = () => script().emit(hit(1, 1)).watermark(9).emit(hit(2, 2)).end()
  const options = {
    trigger: afterWatermark<Hit>({ early: afterCount(1) }),
    allowedLateness: '5ms',
    accumulation: 'accumulating',
  } as const
  assert.deepEqual((await play(steps(), ten, options)).panes, ['0-10 1 early#0', '0-10 3 late#1/0'])
  assert.deepEqual((await play(steps(), ten, { ...options, onTimePane: 'always' })).panes, [
    '0-10 1 early#0',
    '0-10 1 on-time#1/0',
    '0-10 3 late#2/1',
  ])
  assert.deepEqual((await play(steps(), ten, { ...options, closingPane: 'always' })).panes, [
    '0-10 1 early#0',
    '0-10 3 late#1/0',
    '0-10 3 late#2/1 last',
  ])
  const discarding = { ...options, accumulation: 'discarding', onTimePane: 'always' } as const
  assert.deepEqual((await play(steps(), ten, discarding)).panes, [
    '0-10 1 early#0',
    '0-10 0 on-time#1/0',
    '0-10 2 late#2/1',
  ])
})

test('a firing at the end with new rows and an unchanged result is not sent', async () => {
  const steps = () => script().emit(hit(5, 1), hit(2, 2), hit(3, 3)).watermark(9).end()
  const options = {
    trigger: afterWatermark<Hit>({ early: afterCount(2) }),
    accumulation: 'retracting',
  } as const
  const highest = max(({ n }: Hit) => n)
  assert.deepEqual((await play(steps(), ten, options, highest)).panes, ['0-10 5 early#0'])
  assert.deepEqual(
    (await play(steps(), ten, { ...options, onTimePane: 'always' }, highest)).panes,
    ['0-10 5 early#0', '-0-10 5 early#0', '0-10 5 on-time#1/0 last'],
  )
})

test('a window that ends sends what no firing has sent', async () => {
  const options = {
    trigger: repeated<Hit>(afterCount(2)),
    allowedLateness: '5ms',
    accumulation: 'discarding',
  } as const
  const { panes } = await play(
    script().emit(hit(1, 1), hit(2, 2), hit(4, 3)).watermark(9).watermark(14).end(),
    ten,
    options,
  )
  assert.deepEqual(panes, ['0-10 3 early#0', '0-10 4 on-time#1/0 last'])
})

test('a trigger that has finished leaves the window to the default', async () => {
  const { panes } = await play(
    script()
      .emit(hit(1, 1), hit(2, 2), hit(4, 3))
      .watermark(9)
      .emit(hit(8, 4))
      .emit(hit(16, 5))
      .end(),
    ten,
    { trigger: afterCount(1), allowedLateness: '5ms', accumulation: 'discarding' },
  )
  assert.deepEqual(panes, [
    '0-10 1 early#0',
    '0-10 6 on-time#1/0',
    '0-10 8 late#2/1',
    '0-10 16 late#3/2',
  ])
})

test('a periodic firing has what came at its very time, and none comes without news', async () => {
  const { panes, times } = await play(
    script()
      .emit(hit(1, 1))
      .advanceTo(60_000)
      .emit(hit(2, 2))
      .advanceTo(200_000)
      .emit(hit(4, 3))
      .advanceTo(300_000)
      .watermark(9)
      .end(),
    ten,
    { trigger: afterWatermark({ early: every('1min') }), accumulation: 'accumulating' },
  )
  assert.deepEqual(panes, ['0-10 3 early#0', '0-10 7 early#1'])
  assert.deepEqual(times, [60_001, 240_001])
})

test('a delay begins with the first record of a pane', async () => {
  const { panes, times } = await play(
    script()
      .advanceTo(5)
      .emit(hit(1, 1))
      .advanceTo(15)
      .emit(hit(2, 2))
      .advanceTo(100)
      .emit(hit(4, 3))
      .advanceTo(200),
    ten,
    { trigger: repeated(afterDelay('10ms')), accumulation: 'discarding' },
  )
  assert.deepEqual(panes, ['0-10 3 early#0', '0-10 4 early#1'])
  assert.deepEqual(times, [16, 111])
})

test('a punctuation in the data fires, with the record that is it', async () => {
  const { panes } = await play(
    script()
      .emit(hit(1, 1), hit(2, 2, { isEnd: true }), hit(4, 3), hit(8, 4, { isEnd: true }))
      .watermark(9)
      .end(),
    ten,
    {
      trigger: repeated(afterRecord((value: Hit) => value.isEnd === true)),
      accumulation: 'discarding',
    },
  )
  assert.deepEqual(panes, ['0-10 3 early#0', '0-10 12 early#1'])
})

test('sessions that merge take back the panes of all', async () => {
  const { panes, stateLeft } = await play(
    script().emit(hit(1, 0), hit(2, 10)).emit(hit(4, 5)).watermark(100).end(),
    session({ gap: '5ms' }),
    { trigger: afterWatermark({ early: afterCount(1) }), accumulation: 'retracting' },
  )
  assert.deepEqual(panes, [
    '0-5 1 early#0',
    '10-15 2 early#0',
    '-0-5 1 early#0',
    '-10-15 2 early#0',
    '0-15 7 early#0',
  ])
  assert.equal(stateLeft, 0)
})

test('a session that only touches an open one joins it, and a late merge whose end is ahead waits for the watermark', async () => {
  const { panes } = await play(
    script().emit(hit(1, 0)).watermark(5).emit(hit(2, 4)).watermark(8).end(),
    session({ gap: '5ms' }),
    { allowedLateness: '10ms', accumulation: 'accumulating' },
  )
  assert.deepEqual(panes, ['0-5 1 on-time#0/0', '0-9 3 on-time#0/0'])
})

test('sessions with gaps 4, 10 and 10 at one time keep all records', async () => {
  const gaps = session<Hit>({ gap: ({ gap = '1ms' }) => gap })
  const { panes } = await play(
    script()
      .emit(hit(1, 0, { gap: '4ms' }), hit(2, 0, { gap: '10ms' }), hit(4, 0, { gap: '10ms' }))
      .end(),
    gaps,
    { accumulation: 'accumulating' },
  )
  assert.deepEqual(panes, ['0-10 7 on-time#0/0 last'])
})

test('the state of triggers merges with the windows', async () => {
  const { panes } = await play(
    script().emit(hit(1, 0), hit(2, 10)).emit(hit(4, 5)).end(),
    session({ gap: '5ms' }),
    { trigger: repeated(afterCount(3)), accumulation: 'discarding' },
  )
  assert.deepEqual(panes, ['0-15 7 early#0'])
})

test('a record that is late for all its sliding windows is counted once, and one that is in time for some is taken there', async () => {
  const { panes, late, lateRecords } = await play(
    script().emit(hit(1, 12)).watermark(14).emit(hit(2, 7)).emit(hit(4, 2)).end(),
    sliding({ size: '10ms', every: '5ms' }),
    { accumulation: 'accumulating' },
  )
  assert.deepEqual(panes, ['5-15 1 on-time#0/0 last', '10-20 1 on-time#0/0 last'])
  assert.deepEqual(late, [2, 4])
  assert.equal(lateRecords, 2)
})

test('inSequence fires one trigger after the other', async () => {
  const { panes } = await play(
    script()
      .emit(...Array.from({ length: 8 }, (_, i) => hit(1, i)))
      .watermark(9)
      .end(),
    ten,
    {
      trigger: inSequence(afterCount(1), repeated(afterCount(3))),
      accumulation: 'accumulating',
    },
  )
  assert.deepEqual(panes, [
    '0-10 1 early#0',
    '0-10 4 early#1',
    '0-10 7 early#2',
    '0-10 8 on-time#3/0 last',
  ])
})

test('windows in processing time fire early too', async () => {
  const { panes } = await play(
    script()
      .advanceTo(1)
      .emit(hit(1, 100), hit(2, 200))
      .emit(hit(4, 300))
      .advanceTo(10)
      .emit(hit(8, 400))
      .advanceTo(30),
    tumbling({ size: '10ms', clock: 'processing' }),
    { trigger: afterWatermark({ early: afterCount(2) }), accumulation: 'accumulating' },
  )
  assert.deepEqual(panes, ['0-10 3 early#0', '0-10 7 on-time#1/0 last', '10-20 8 on-time#0/0 last'])
})

test('a function of all rows sees new rows or all rows, with the pane', async () => {
  const seen: string[] = []
  for (const accumulation of ['discarding', 'accumulating'] as const) {
    const options: ManyPanes<Hit, typeof accumulation> = {
      trigger: afterWatermark({ early: afterCount(2) }),
      accumulation,
    }
    const tested = job('rows', (env) => {
      env
        .from('hits', script().emit(hit(1, 1), hit(2, 2), hit(3, 3)).watermark(9).end())
        .keyBy(() => 'k')
        .window(ten, options)
        .process('rows', { emits: type<string>() }, ({ emit }) => ({
          onPane: (rows, { pane }) =>
            emit(`${pane.timing} ${[...rows].map(({ n }) => n).join(',')}`),
        }))
        .to('seen', arraySink(seen))
    })
    await runTest(tested)
  }
  assert.deepEqual(seen, ['early 1,2', 'on-time 3', 'early 1,2', 'on-time 1,2,3'])
})

test('what was sent stays as it was when the window goes on', async () => {
  const list: Aggregator<Hit, number[], number[]> = aggregator({
    create: (): number[] => [],
    add: (rows, { n }: Hit) => [...rows, n],
    merge: (into, from) => [...into, ...from],
    result: (rows) => rows,
  })
  const { panes } = await play(
    script().emit(hit(1, 1), hit(2, 2)).watermark(9).end(),
    ten,
    { trigger: afterWatermark({ early: afterCount(1) }), accumulation: 'retracting' },
    list,
  )
  assert.deepEqual(panes, ['0-10 [1] early#0', '-0-10 [1] early#0', '0-10 [1,2] early#1'])
})
