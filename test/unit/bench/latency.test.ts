import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { closedMs, dueMs } from '../../../bench/latency/paced-source.ts'
import { percentilesOf } from '../../../bench/latency/percentiles.ts'

describe('when a window is closed', () => {
  const pace = { startMs: 1000, rate: 100, count: 1000 } // one every 10 ms

  test('by the first record at its end or later', () => {
    assert.equal(dueMs(pace, 10), 1100)
    assert.equal(closedMs(pace, 1, 1100), 1100)
    assert.equal(closedMs(pace, 1, 1095), 1100)
    assert.equal(closedMs(pace, 1, 1101), 1110)
  })

  test('by the first one of the last split to come there', () => {
    assert.equal(closedMs(pace, 2, 1100), 1110)
    assert.equal(closedMs(pace, 4, 1100), 1130)
  })

  test('not before the first record', () => {
    assert.equal(closedMs(pace, 1, 900), 1000)
  })
})

describe('percentiles', () => {
  test('are latencies that so many are not above', () => {
    const latencies = Array.from({ length: 1000 }, (_, index) => 1000 - index)

    assert.deepEqual(percentilesOf(latencies), {
      p50Ms: 500,
      p99Ms: 990,
      p999Ms: 999,
      maxMs: 1000,
      results: 1000,
    })
  })

  test('of one latency are that one', () => {
    assert.deepEqual(percentilesOf([3]), { p50Ms: 3, p99Ms: 3, p999Ms: 3, maxMs: 3, results: 1 })
  })
})
