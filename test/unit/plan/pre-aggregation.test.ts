import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { count, generate, job, printSink, sliding, sum, tumbling } from 'millrace'
import type { DataStream, Env, Job } from 'millrace'

interface Hit {
  readonly page: number
  readonly ms: number
}

function hits(env: Env<unknown>): DataStream<Hit> {
  const record = (index: number): Hit => ({ page: index % 7, ms: index })
  return env.from('hits', generate({ count: 10, record }), { timestampMs: ({ ms }) => ms })
}

function counting(): Job {
  return job('counting', (env) => {
    hits(env)
      .keyBy(({ page }) => page)
      .window(tumbling({ size: '1s' }))
      .count('hits-per-page')
      .to('out', printSink())
  })
}

const partial = /partial window/

describe('pre-aggregation in the plan', () => {
  test('a window with an exact aggregate is cut around its exchange', () => {
    assert.equal(
      counting().explain({ parallelism: 2 }),
      `job counting, 128 key groups

task 0: hits -> partial hits-per-page, parallelism 2
  source generate 'hits'  count=10 watermarks=monotonous
  partial window  windows=tumbling 1s result=count clock=event
  => hash to task 1 (hits-per-page -> out)

task 1: hits-per-page -> out, parallelism 2
  window 'hits-per-page'  windows=tumbling 1s result=count clock=event takes=partial results  state: window count slices
  sink print 'out'
`,
    )
  })

  test('rows that may be taken back are not combined before the exchange', () => {
    const changing = job('changing', (env) => {
      hits(env)
        .asTable()
        .keyBy(({ page }) => page)
        .window(tumbling({ size: '1s' }))
        .count('hits-per-page')
        .to('out', printSink())
    })
    assert.doesNotMatch(changing.explain({ parallelism: 2 }), partial)
    assert.match(changing.explain({ parallelism: 2 }), /=> hash, rows may be taken back, to task 1/)
  })

  test('where one subtask feeds one, nothing would be saved', () => {
    assert.doesNotMatch(counting().explain({ parallelism: 1 }), partial)
  })

  test('it can be switched off, by the job and by whoever runs it', () => {
    assert.doesNotMatch(counting().explain({ parallelism: 2, preAggregate: false }), partial)

    const switched = job('switched', { preAggregate: false }, (env) => {
      hits(env)
        .windowAll(tumbling({ size: '1s' }))
        .count('all')
        .to('out', printSink())
    })
    assert.doesNotMatch(switched.explain({ parallelism: 2 }), partial)
    assert.match(switched.explain({ parallelism: 2, preAggregate: true }), partial)
  })

  test('each stream of a union gathers for itself', () => {
    const tested = job('union', (env) => {
      const all = hits(env)
      all
        .filter(({ page }) => page > 3)
        .union(all.filter(({ page }) => page < 3).rebalance())
        .keyBy(({ page }) => page)
        .window(sliding({ size: '10s', every: '2s' }))
        .aggregate('hits-per-page', count())
        .to('out', printSink())
    })

    assert.equal(tested.explain({ parallelism: 3 }).match(/  partial window/g)?.length, 2)
  })

  test('an aggregate that is not exact, one in processing time, and one whose late records are read stay whole', () => {
    const tested = job('whole', (env) => {
      const keyed = hits(env).keyBy(({ page }) => page)
      keyed
        .window(tumbling({ size: '1s' }))
        .aggregate(
          'inexact',
          sum(({ ms }: Hit) => ms),
        )
        .to('out-1', printSink())
      keyed
        .window(tumbling({ size: '1s', clock: 'processing' }))
        .count('processing')
        .to('out-2', printSink())
      const counted = keyed.window(tumbling({ size: '1s' })).count('read-late')
      counted.to('out-3', printSink())
      counted.side.late.to('late', printSink())
    })

    assert.doesNotMatch(tested.explain({ parallelism: 2 }), partial)
  })
})
