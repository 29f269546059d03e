import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { arraySink, fromArray, job } from '../../../src/index.ts'
import type { Env } from '../../../src/index.ts'
import type { GraphEdge, JobGraph } from '../../../src/plan/job-graph.ts'
import { validateGraph } from '../../../src/plan/validate.ts'

const scale = { parallelism: 2, maxParallelism: 128 }

function graphOf(build: (env: Env) => void): JobGraph {
  return job('shop', build).build(undefined)
}

const good = graphOf((env) => {
  env
    .from('in', fromArray([1]))
    .map((value) => value)
    .keyBy((value) => value)
    .count('counts')
    .to('out', arraySink<unknown>([]))
})

function withEdges(
  graph: JobGraph,
  change: (edges: readonly GraphEdge[]) => GraphEdge[],
): JobGraph {
  return { ...graph, edges: change(graph.edges) }
}

describe('a graph', () => {
  test('without mistakes passes, whatever the parallelism up to the number of key groups', () => {
    for (const parallelism of [1, 2, 127, 128]) {
      validateGraph(good, { parallelism, maxParallelism: 128 })
    }
  })

  test('one mistake has its own code and names the job', () => {
    const twice = graphOf((env) => env.from('a', fromArray([1])).to('a', arraySink<unknown>([])))
    assert.throws(() => validateGraph(twice, scale), {
      code: 'UID_TWICE',
      job: 'shop',
      operatorUid: 'a',
      message: /^Job 'shop': two operators have the uid 'a'/,
    })
  })

  test('several mistakes are listed, each with its code, and told once each', () => {
    const bad = graphOf((env) => {
      env.from('not a uid', fromArray([1])).to('x', arraySink<unknown>([]))
      env.from('x', fromArray([1])).to('y', arraySink<unknown>([]))
    })
    assert.throws(() => validateGraph(bad, scale), {
      code: 'JOB_INVALID',
      message:
        /^Job 'shop' has 2 mistakes:\n {2}UID_INVALID: 'not a uid'.*\n {2}UID_TWICE: .*'x'.*$/,
    })
  })

  test('operators without state need no uid', () => {
    const names = good.nodes.map(({ uid }) => uid)
    assert.ok(names.includes(undefined))
  })

  test('parallelism that is no whole number from 1, or above the key groups, is told with the operator', () => {
    const withParallelism = (parallelism: number): JobGraph =>
      graphOf((env) => {
        env.from('in', fromArray([1]), { parallelism }).to('out', arraySink<unknown>([]))
      })
    for (const parallelism of [0, -1, 1.5, NaN]) {
      assert.throws(() => validateGraph(withParallelism(parallelism), scale), {
        code: 'PARALLELISM_INVALID',
        message: /operator 'in': parallelism must be a whole number from 1/,
      })
    }
    assert.throws(() => validateGraph(withParallelism(129), scale), {
      code: 'PARALLELISM_ABOVE_MAX',
      message: /operator 'in': parallelism 129 is above maxParallelism 128/,
    })
  })

  test('forward between different parallelisms is told with both', () => {
    const bad = graphOf((env) => {
      env
        .from('in', fromArray([1]), { parallelism: 3 })
        .forward()
        .to('out', arraySink<unknown>([]))
    })
    assert.throws(() => validateGraph(bad, scale), {
      code: 'FORWARD_PARALLELISM',
      message:
        /operator 'in' \(parallelism 3\) to operator 'out' \(parallelism 2\).*use rebalance\(\)/,
    })
  })

  test('an input that nothing leads to is told', () => {
    const bad = withEdges(good, (edges) => edges.slice(0, -1))
    assert.throws(() => validateGraph(bad, scale), {
      code: 'JOB_INVALID',
      message: /operator 'out': nothing leads to its input 0/,
    })
  })

  test('a circle is told with its operators in order', () => {
    const counts = good.nodes.find(({ uid }) => uid === 'counts')
    const map = good.nodes.find(({ uid }) => uid === undefined)
    assert.ok(counts !== undefined && map !== undefined)
    const bad = withEdges(good, ([first, ...others]) => {
      assert.ok(first !== undefined)
      return [first, ...others, { ...first, from: counts.id, to: map.id }]
    })
    assert.throws(() => validateGraph(bad, scale), {
      code: 'GRAPH_CYCLE',
      message: /the operators map -> counts -> map feed each other in a circle/,
    })
  })
})
