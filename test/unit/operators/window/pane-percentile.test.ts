/** Windows that wait for a part of their records only. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { afterWatermark, count, tumbling } from 'millrace'
import type { TimeWindow, WindowResult } from 'millrace'
import { DelayEstimate } from '../../../../operators/window/delay-estimate.ts'
import { aggregateResult } from '../../../../operators/window/pane-output.ts'
import { window } from '../../../../operators/window/window.ts'
import { paneOptions } from '../../../../operators/window/window-options.ts'
import { KeyedOperatorRun } from '../../../support/keyed-operator.ts'

test('the watermark of a part of the records stands below that part of the delays, and never goes back', () => {
  const estimate = new DelayEstimate(0.9)
  // nine of ten come in order, one is 1000 behind
  let before = -Infinity
  for (let i = 1; i <= 1000; i++) {
    estimate.record(i % 10 === 0 ? i - 1000 : i)
    assert.ok(estimate.watermarkMs >= before)
    before = estimate.watermarkMs
  }
  assert.ok(before >= 990 && before <= 999, `${before}`)

  const careful = new DelayEstimate(0.99)
  for (let i = 1; i <= 1000; i++) careful.record(i % 10 === 0 ? i - 1000 : i)
  assert.ok(careful.watermarkMs <= 0 && careful.watermarkMs >= -150, `${careful.watermarkMs}`)
})

test('says nothing before it has seen enough to leave one out', () => {
  const estimate = new DelayEstimate(0.9)
  for (let i = 1; i < 10; i++) estimate.record(i)
  assert.equal(estimate.watermarkMs, -Infinity)
  estimate.record(10)
  assert.equal(estimate.watermarkMs, 10)
})

test('goes on after a restore as it would have without', () => {
  const straight = new DelayEstimate(0.75)
  let other = new DelayEstimate(0.75)
  for (let i = 0; i < 10_000; i++) {
    const timestampMs = i - ((i * 7919) % 97)
    straight.record(timestampMs)
    other.record(timestampMs)
    if (i % 37 === 0) other = new DelayEstimate(0.75, [other.state()])
    assert.equal(other.watermarkMs, straight.watermarkMs)
  }
})

test('windows of all keys fire when the part has come, and again with the rest when the watermark passes', async () => {
  const where = tumbling({ size: '100ms' })
  const options = paneOptions(where, {
    trigger: afterWatermark({ percentile: 0.9 }),
    accumulation: 'accumulating',
  })
  const run = await KeyedOperatorRun.open(
    window(where, aggregateResult('count', count(), []), options),
  )
  const panes = (): string[] =>
    run.take().map(({ value }) => {
      const {
        key,
        window: bounds,
        value: rows,
        pane,
      } = value as WindowResult<string, TimeWindow, number>
      return `${key} ${bounds.startMs} ${rows} ${pane.timing}`
    })
  run.record('quiet', 1, 50)
  // one in twenty is far behind
  for (let i = 60; i < 120; i++) run.record('busy', 1, i % 20 === 0 ? i - 60 : i)
  run.advanceTo(run.nowMs)

  assert.deepEqual(panes().toSorted(), ['busy 0 40 early', 'quiet 0 1 early'])

  run.record('quiet', 1, 20)
  run.watermark(99)
  // the one with 40 came behind the newest that was waited for
  assert.deepEqual(panes().toSorted(), ['busy 0 41 on-time', 'quiet 0 2 on-time'])
  await run.close()
})
