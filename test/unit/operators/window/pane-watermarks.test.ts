/** The timestamps of panes, and the watermark that a window operator hands on: never past what it still has to say. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  afterCount,
  afterWatermark,
  arraySink,
  count,
  fromArray,
  job,
  repeated,
  session,
  tumbling,
} from 'millrace'
import type { Accumulation, ManyPanes, TimeWindow, WindowFunction } from 'millrace'
import { aggregateResult } from '../../../../operators/window/pane-output.ts'
import { window } from '../../../../operators/window/window.ts'
import { paneOptions } from '../../../../operators/window/window-options.ts'
import { KeyedOperatorRun } from '../../../support/keyed-operator.ts'

const ten = tumbling({ size: '10ms' })

async function opened(
  where: WindowFunction<unknown, TimeWindow>,
  options: ManyPanes<unknown, Accumulation>,
): Promise<KeyedOperatorRun> {
  const description = window(
    where,
    aggregateResult('count', count(), []),
    paneOptions(where, options),
  )
  return KeyedOperatorRun.open(description)
}

/** The timestamps of what came out; retractions are negative. */
const times = (run: KeyedOperatorRun): number[] =>
  run.take().map(({ timestampMs, isRetraction }) => (isRetraction ? -timestampMs : timestampMs))

test('results at the end of their windows hold nothing where the end is when they are sent', async () => {
  const run = await opened(ten, {
    trigger: afterWatermark({ early: afterCount(1) }),
    allowedLateness: '1h',
    accumulation: 'accumulating',
  })
  run.record('k', 1, 3)
  run.watermark(5)
  assert.equal(run.handedOnMs, 5)
  run.record('k', 1, 6)
  run.watermark(9)
  assert.equal(run.handedOnMs, 9)
  assert.deepEqual(times(run), [9, 9])
})

test('results with the time of their oldest record hold the watermark below it until they are sent', async () => {
  const run = await opened(ten, { accumulation: 'discarding', timestamp: 'earliest' })
  run.record('k', 1, 7)
  run.record('k', 1, 3)
  run.record('other', 1, 8)
  run.watermark(5)
  assert.equal(run.handedOnMs, 2)
  // behind what has been handed on: has no say
  run.record('k', 1, 1)
  run.watermark(9)
  assert.equal(run.handedOnMs, 9)
  assert.deepEqual(
    times(run).toSorted((a, b) => a - b),
    [3, 8],
  )
})

test('results with the time of their newest record hold the watermark below that of now, which rises', async () => {
  const run = await opened(ten, { accumulation: 'discarding', timestamp: 'latest' })
  run.record('k', 1, 3)
  run.watermark(4)
  assert.equal(run.handedOnMs, 2)
  run.record('k', 1, 7)
  run.watermark(8)
  assert.equal(run.handedOnMs, 6)
  run.watermark(9)
  assert.deepEqual(times(run), [7])
  assert.equal(run.handedOnMs, 9)
})

test('what was in time and waits for more records holds the watermark, and lets it go when it is sent', async () => {
  const run = await opened(ten, {
    trigger: repeated(afterCount(3)),
    allowedLateness: '1s',
    accumulation: 'discarding',
  })
  run.record('k', 1, 1)
  run.record('k', 1, 2)
  run.watermark(50)
  assert.equal(run.handedOnMs, 8)
  run.record('k', 1, 3)
  assert.equal(run.handedOnMs, 50)
  // one that is late anyway waits without holding anything
  run.record('k', 1, 4)
  run.watermark(60)
  assert.equal(run.handedOnMs, 60)
  const panes = run.take().map(({ value }) => (value as { pane: { timing: string } }).pane.timing)
  assert.deepEqual(panes, ['on-time'])
})

test('a delayed firing is still in time for those behind', async () => {
  const run = await opened(ten, {
    trigger: afterWatermark({ delay: '5ms' }),
    allowedLateness: '1s',
    accumulation: 'discarding',
  })
  run.record('k', 1, 1)
  run.watermark(13)
  assert.equal(run.handedOnMs, 8)
  run.watermark(14)
  assert.equal(run.handedOnMs, 14)
  const [pane] = run.take()
  assert.equal(pane?.timestampMs, 9)
  assert.equal(pane.handedOnMs, 8)
})

test('early panes of sessions that may grow are taken back before those behind believe them final', async () => {
  const run = await opened(session({ gap: '10ms' }), {
    trigger: afterWatermark({ early: afterCount(1) }),
    accumulation: 'retracting',
  })
  run.record('k', 1, 0)
  run.watermark(5)
  run.record('k', 1, 6)
  assert.deepEqual(times(run), [9, -9, 15])
  run.watermark(12)
  assert.equal(run.handedOnMs, 12)
  run.watermark(20)
  assert.equal(run.handedOnMs, 20)
})

test('the watermark is held after a restore as it was before', async () => {
  const run = await opened(ten, { accumulation: 'discarding', timestamp: 'earliest' })
  run.record('k', 1, 3)
  run.watermark(5)
  await run.restore(await run.snapshot())
  run.handedOnMs = -Infinity
  run.start()
  assert.equal(run.handedOnMs, 2)
  run.watermark(6)
  assert.equal(run.handedOnMs, 2)
  run.record('k', 1, 4)
  run.watermark(9)
  assert.equal(run.handedOnMs, 9)
  assert.deepEqual(times(run), [3])
})

type Kept = Exclude<Accumulation, 'retracting'>

test('the plan tells trigger, lateness and accumulation, and the state which of them may change', () => {
  const planned = (options: ManyPanes<number, Kept>): string =>
    job('planned', (env) => {
      env
        .from('numbers', fromArray([1]))
        .keyBy((n) => n)
        .window(ten, options)
        .process('panes', { emits: { '~standard': never } }, () => ({ onPane() {} }))
        .to('out', arraySink<unknown>([]))
    }).explain()
  const plan = planned({
    trigger: afterWatermark({ early: afterCount(2) }),
    allowedLateness: '90s',
    accumulation: 'accumulating',
    onTimePane: 'always',
  })
  assert.match(
    plan,
    /window 'panes' {2}windows=tumbling 10ms result=rows clock=event trigger=afterWatermark\(early: afterCount\(2\)\) lateness=90s accumulation=accumulating onTimePane=always {2}state: window rows accumulating watermark\(repeated\(count\),\) panes/,
  )
  const state = (text: string): string | undefined => /state: (.*) panes/.exec(text)?.[1]
  const other = (n: number, accumulation: Kept): string | undefined =>
    state(planned({ trigger: afterWatermark({ early: afterCount(n) }), accumulation }))
  assert.equal(other(5, 'accumulating'), state(plan))
  assert.notEqual(other(5, 'discarding'), state(plan))
})

const never = { version: 1 as const, vendor: 'test', validate: (value: unknown) => ({ value }) }
