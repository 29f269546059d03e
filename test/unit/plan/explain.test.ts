import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { arraySink, fromArray, generate, job, tumbling } from '../../../src/index.ts'

const shop = job('shop', (env) => {
  const counts = env
    .from('orders', generate({ count: 10, record: (index) => ({ city: 'x', at: index }) }), {
      timestampMs: (order) => order.at,
    })
    .filter((order) => order.city !== '', { name: 'in a "city"|town' })
    .keyBy((order) => order.city)
    .window(tumbling({ size: '1min' }))
    .count('per-city')
  counts.to('out', arraySink<unknown>([]))
  counts.side.late.to('late', arraySink<unknown>([]))
})

interface PlanData {
  readonly job: string
  readonly tasks: readonly {
    readonly operators: readonly { readonly uid?: string; readonly states: readonly unknown[] }[]
  }[]
  readonly exchanges: readonly { readonly partitioning: string }[]
  readonly notes: readonly string[]
}

describe('explain', () => {
  test('as text tells tasks, operators with their options and state, and where records go', () => {
    const text = shop.explain({ parallelism: 2 })

    assert.match(text, /^job shop, 128 key groups\n/)
    assert.match(text, /\ntask 1: per-city .*, parallelism 2\n/)
    assert.match(text, /\n {2}source generate 'orders' {2}count=10 watermarks=monotonous\n/)
    assert.match(text, /\n {2}=> hash to task 1 \(per-city/)
    assert.match(text, /\n {2}window 'per-city' {2}windows=tumbling 1min .*state: window count/)
  })

  test('as JSON has the same, for programs', () => {
    const plan = JSON.parse(shop.explain({ format: 'json' })) as PlanData

    assert.equal(plan.job, 'shop')
    assert.deepEqual(
      plan.tasks.map(({ operators }) => operators.map(({ uid }) => uid ?? '-')),
      [
        ['orders', '-'],
        ['per-city', 'out', 'late'],
      ],
    )
    assert.equal(plan.tasks[1]?.operators[0]?.states.length, 1)
    assert.deepEqual(
      plan.exchanges.map(({ partitioning }) => partitioning),
      ['hash'],
    )
  })

  test('as Mermaid names every operator once, draws every edge, and escapes what names may contain', () => {
    const lines = shop.explain({ format: 'mermaid' }).trimEnd().split('\n')

    assert.equal(lines[0], 'flowchart LR')
    assert.deepEqual(
      lines.flatMap((line) => /^ +(n\d)\["/.exec(line)?.[1] ?? []),
      ['n0', 'n1', 'n2', 'n3', 'n4'],
    )
    const edges = lines.flatMap((line) => /n\d -->.*/.exec(line)?.[0] ?? [])
    assert.deepEqual(edges.toSorted(), [
      'n0 --> n1',
      'n1 -->|hash| n2',
      'n2 --> n3',
      'n2 -->|late| n4',
    ])
    assert.ok(lines.some((line) => line.includes('in a #quot;city#quot;#124;town: filter')))
  })

  test('says what a reader should know: processing time, and state that only grows', () => {
    const noted = job('noted', (env) => {
      const keyed = env.from('in', fromArray([1])).keyBy((value) => value)
      keyed.count('running').to('a', arraySink<unknown>([]))
      keyed
        .window(tumbling({ size: '1s', clock: 'processing' }))
        .count('windows')
        .to('b', arraySink<unknown>([]))
    })

    const text = noted.explain()

    assert.match(text, /note: 'running' keeps state for every key it has ever seen/)
    assert.match(text, /note: 'windows' works in processing time: a replay/)
  })

  test('of a job with mistakes throws them', () => {
    assert.throws(() => job('bad', () => {}).explain(), { code: 'GRAPH_NO_SOURCE' })
  })
})
