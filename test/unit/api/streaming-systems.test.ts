/**
 * The examples of Streaming Systems (Akidau, Chernyak, Lax; O'Reilly 2018) that its authors run on Apache Beam, with the panes that
 * their programs expect (github.com/takidau/streamingbook, BeamModel.java and BeamModelTest.java): nine scores of a team with both
 * their times, a perfect and a heuristic watermark. Beam always sends the pane on time, so we say `onTimePane: 'always'` where it
 * does. Sessions need no nudge here: the programs move two scores by a second, since touching sessions stay apart in Beam.
 * Left out are figures 2-7 and 2-8, whose last panes hang on when Beam considers a trigger of processing time finished.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  afterCount,
  afterDelay,
  afterWatermark,
  globalWindow,
  job,
  mapSink,
  repeated,
  session,
  tumbling,
} from 'millrace'
import type {
  Accumulation,
  ChangeKind,
  Duration,
  Sink,
  TimeWindow,
  WindowFunction,
  WindowOptions,
} from 'millrace'
import { runTest, testSource } from 'millrace/testing'
import type { TestPane, TestSource } from 'millrace/testing'

function at(clock: string): number {
  const [hours = 0, minutes = 0, seconds = 0] = clock.split(':').map(Number)
  return ((hours * 60 + minutes) * 60 + seconds) * 1000
}

type Score = readonly [arrival: string, score: number, eventTime: string]
type Watermark = readonly [processingTime: string, eventTime: string]

const scores: readonly Score[] = [
  ['12:04:59', 5, '12:00:26'],
  ['12:05:39', 7, '12:02:26'],
  ['12:06:13', 3, '12:03:39'],
  ['12:06:39', 4, '12:04:19'],
  ['12:07:06', 8, '12:03:06'],
  ['12:07:19', 3, '12:06:39'],
  ['12:08:19', 9, '12:01:26'],
  ['12:08:39', 8, '12:07:26'],
  ['12:09:00', 1, '12:07:46'],
]
const extraSix: Score = ['12:06:39', 6, '12:00:53']

const heuristic: readonly Watermark[] = [
  ['12:06:00', '12:02:00'],
  ['12:07:30', '12:04:00'],
  ['12:07:40', '12:06:00'],
  ['12:09:30', '12:08:00'],
]
const perfect: readonly Watermark[] = [
  ['12:08:39', '12:02:00'],
  ['12:09:00', '12:04:00'],
  ['12:09:10', '12:06:00'],
  ['12:09:20', '12:08:00'],
]

/** At one time first the scores, then the watermark. A watermark of a time: all before it is there. */
function played(records: readonly Score[], watermarks: readonly Watermark[]): TestSource<number> {
  const source = testSource<number>()
  const steps = [
    ...records.map((score) => ({ at: at(score[0]), score, watermark: undefined })),
    ...watermarks.map((watermark) => ({ at: at(watermark[0]), score: undefined, watermark })),
  ].toSorted((a, b) => a.at - b.at)
  for (const { at: nowMs, score, watermark } of steps) {
    source.advanceTo(nowMs)
    if (score !== undefined) source.emit({ value: score[1], timestampMs: at(score[2]) })
    else if (watermark !== undefined) source.watermark(at(watermark[1]) - 1)
  }
  return source.advanceTo(at('12:09:30')).end()
}

const anywhere: Sink<unknown, ChangeKind> = mapSink(new Map<number, unknown>(), () => 0)

/** Panes as the book's programs print them, but for the time and the team. */
async function printed(
  source: TestSource<number>,
  where: WindowFunction<unknown, TimeWindow>,
  options?: WindowOptions<number, Accumulation>,
): Promise<{ readonly panes: string[]; readonly lateRecords: number }> {
  const tested = job('book', (env) => {
    env
      .from('scores', source)
      .keyBy(() => 'TeamX')
      .window(where, options)
      .sum('sums', (score) => score)
      .to('out', anywhere)
  })
  const { panes, lateRecords, stateLeft } = await runTest(tested)
  assert.deepEqual(stateLeft, [])
  return { panes: panes.map(text).toSorted(), lateRecords }
}

function text({ result: { window, value, pane } }: TestPane): string {
  const clock = (timeMs: number): string => new Date(timeMs).toISOString().slice(11, 19)
  const bounds =
    window.endMs > at('24:00') ? 'global' : `${clock(window.startMs)}-${clock(window.endMs)}`
  return [
    `${bounds} ${String(value)} ${pane.timing} index=${pane.index}`,
    ...(pane.onTimeIndex >= 0 ? [`onTimeIndex=${pane.onTimeIndex}`] : []),
    ...(pane.isFirst ? ['isFirst'] : []),
    ...(pane.isLast ? ['isLast'] : []),
  ].join(' ')
}

const twoMinutes = tumbling({ size: '2min' })
const earlyAndLate = afterWatermark({ early: afterDelay('1min'), late: afterCount(1) })
const withLateness = (accumulation: Accumulation, allowedLateness: Duration = '1000d') =>
  ({ trigger: earlyAndLate, allowedLateness, accumulation, onTimePane: 'always' }) as const

test('example 2-1, figure 2-3: classic batch', async () => {
  const { panes } = await printed(played(scores, []), globalWindow())

  assert.deepEqual(panes, ['global 48 on-time index=0 onTimeIndex=0 isFirst isLast'])
})

test('example 2-2, figure 2-5: windowed batch; example 2-6, figure 2-10 left: a perfect watermark', async () => {
  for (const watermarks of [[], perfect]) {
    const { panes } = await printed(played(scores, watermarks), twoMinutes)

    assert.deepEqual(panes, [
      '12:00:00-12:02:00 14 on-time index=0 onTimeIndex=0 isFirst isLast',
      '12:02:00-12:04:00 18 on-time index=0 onTimeIndex=0 isFirst isLast',
      '12:04:00-12:06:00 4 on-time index=0 onTimeIndex=0 isFirst isLast',
      '12:06:00-12:08:00 12 on-time index=0 onTimeIndex=0 isFirst isLast',
    ])
  }
})

test('example 2-3, figure 2-6: a pane for each record', async () => {
  const { panes } = await printed(played(scores, []), twoMinutes, {
    trigger: repeated(afterCount(1)),
    allowedLateness: '1000d',
    accumulation: 'accumulating',
  })

  assert.deepEqual(panes, [
    '12:00:00-12:02:00 14 early index=1',
    '12:00:00-12:02:00 5 early index=0 isFirst',
    '12:02:00-12:04:00 10 early index=1',
    '12:02:00-12:04:00 18 early index=2',
    '12:02:00-12:04:00 7 early index=0 isFirst',
    '12:04:00-12:06:00 4 early index=0 isFirst',
    '12:06:00-12:08:00 11 early index=1',
    '12:06:00-12:08:00 12 early index=2',
    '12:06:00-12:08:00 3 early index=0 isFirst',
  ])
})

test('example 2-6, figure 2-10 right: a heuristic watermark loses the 9', async () => {
  const { panes, lateRecords } = await printed(played(scores, heuristic), twoMinutes)

  assert.deepEqual(panes, [
    '12:00:00-12:02:00 5 on-time index=0 onTimeIndex=0 isFirst isLast',
    '12:02:00-12:04:00 18 on-time index=0 onTimeIndex=0 isFirst isLast',
    '12:04:00-12:06:00 4 on-time index=0 onTimeIndex=0 isFirst isLast',
    '12:06:00-12:08:00 12 on-time index=0 onTimeIndex=0 isFirst isLast',
  ])
  assert.equal(lateRecords, 1)
})

test('example 2-7, figure 2-11 left: early, on time and late, with a perfect watermark', async () => {
  const { panes } = await printed(played(scores, perfect), twoMinutes, withLateness('accumulating'))

  assert.deepEqual(panes, [
    '12:00:00-12:02:00 14 on-time index=1 onTimeIndex=0',
    '12:00:00-12:02:00 5 early index=0 isFirst',
    '12:02:00-12:04:00 10 early index=0 isFirst',
    '12:02:00-12:04:00 18 early index=1',
    '12:02:00-12:04:00 18 on-time index=2 onTimeIndex=0',
    '12:04:00-12:06:00 4 early index=0 isFirst',
    '12:04:00-12:06:00 4 on-time index=1 onTimeIndex=0',
    '12:06:00-12:08:00 12 on-time index=1 onTimeIndex=0',
    '12:06:00-12:08:00 3 early index=0 isFirst',
  ])
})

test('example 2-7, figure 2-11 right: early, on time and late, with a heuristic watermark', async () => {
  const { panes } = await printed(
    played(scores, heuristic),
    twoMinutes,
    withLateness('accumulating'),
  )

  assert.deepEqual(panes, [
    '12:00:00-12:02:00 14 late index=2 onTimeIndex=1',
    '12:00:00-12:02:00 5 early index=0 isFirst',
    '12:00:00-12:02:00 5 on-time index=1 onTimeIndex=0',
    '12:02:00-12:04:00 10 early index=0 isFirst',
    '12:02:00-12:04:00 18 on-time index=1 onTimeIndex=0',
    '12:04:00-12:06:00 4 early index=0 isFirst',
    '12:04:00-12:06:00 4 on-time index=1 onTimeIndex=0',
    '12:06:00-12:08:00 12 on-time index=1 onTimeIndex=0',
    '12:06:00-12:08:00 3 early index=0 isFirst',
  ])
})

test('example 2-8, figure 2-12: two minutes of allowed lateness take the 6, not the 9', async () => {
  const { panes, lateRecords } = await printed(
    played([...scores, extraSix], heuristic),
    twoMinutes,
    withLateness('accumulating', '2min'),
  )

  assert.deepEqual(
    panes.filter((pane) => pane.startsWith('12:00')),
    [
      '12:00:00-12:02:00 11 late index=2 onTimeIndex=1',
      '12:00:00-12:02:00 5 early index=0 isFirst',
      '12:00:00-12:02:00 5 on-time index=1 onTimeIndex=0',
    ],
  )
  assert.equal(lateRecords, 1)
})

test('example 2-9, figure 2-13: the same, discarding; panes on time that hold nothing are sent where they always are', async () => {
  const { panes } = await printed(played(scores, heuristic), twoMinutes, withLateness('discarding'))

  assert.deepEqual(panes, [
    '12:00:00-12:02:00 0 on-time index=1 onTimeIndex=0',
    '12:00:00-12:02:00 5 early index=0 isFirst',
    '12:00:00-12:02:00 9 late index=2 onTimeIndex=1',
    '12:02:00-12:04:00 10 early index=0 isFirst',
    '12:02:00-12:04:00 8 on-time index=1 onTimeIndex=0',
    '12:04:00-12:06:00 0 on-time index=1 onTimeIndex=0',
    '12:04:00-12:06:00 4 early index=0 isFirst',
    '12:06:00-12:08:00 3 early index=0 isFirst',
    '12:06:00-12:08:00 9 on-time index=1 onTimeIndex=0',
  ])
})

test('example 4-3, figure 4-7: sessions', async () => {
  const { panes } = await printed(
    played(scores, heuristic),
    session({ gap: '1min' }),
    withLateness('accumulating'),
  )

  assert.deepEqual(panes, [
    '12:00:26-12:01:26 5 early index=0 isFirst',
    '12:00:26-12:01:26 5 on-time index=1 onTimeIndex=0',
    '12:00:26-12:05:19 36 late index=0 onTimeIndex=0 isFirst',
    '12:02:26-12:03:26 7 early index=0 isFirst',
    '12:02:26-12:05:19 22 early index=0 isFirst',
    '12:02:26-12:05:19 22 on-time index=1 onTimeIndex=0',
    '12:06:39-12:07:39 3 early index=0 isFirst',
    '12:06:39-12:08:46 12 on-time index=0 onTimeIndex=0 isFirst isLast',
  ])
})

test('windows that shrink: each score is valid until the next', async () => {
  const [forever] = globalWindow().assign(null, 0, null)
  assert.ok(forever !== undefined)
  const validity: WindowFunction<unknown, TimeWindow> = {
    name: 'validity',
    assign: (_value, timestampMs) => [{ startMs: timestampMs, endMs: forever.endMs }],
    merge: (windows) =>
      windows.flatMap((window, index) => {
        const { startMs } = window
        const endMs = windows[index + 1]?.startMs ?? window.endMs
        return endMs < window.endMs ? [{ merged: [window], into: { startMs, endMs } }] : []
      }),
  }
  const shown = (panes: readonly string[]): string[] =>
    panes.map((pane) => pane.split(' ').slice(0, 2).join(' '))

  const once = await printed(played(scores, perfect), validity)
  const expected = [
    '12:00:26-12:01:26 5',
    '12:01:26-12:02:26 9',
    '12:02:26-12:03:06 7',
    '12:03:06-12:03:39 8',
    '12:03:39-12:04:19 3',
    '12:04:19-12:06:39 4',
    '12:06:39-12:07:26 3',
    '12:07:26-12:07:46 8',
    'global 1',
  ]
  assert.deepEqual(shown(once.panes), expected)

  const withPanes = await printed(played(scores, perfect), validity, {
    allowedLateness: '1d',
    accumulation: 'accumulating',
  })
  assert.deepEqual(shown(withPanes.panes), expected)
})
