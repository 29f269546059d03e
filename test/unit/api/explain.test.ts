import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  arraySink,
  fromArray,
  isEngineError,
  job,
  listState,
  mapState,
  outOfOrder,
  sliding,
  tumbling,
  type,
} from 'millrace'
import type { DataStream, Job } from 'millrace'

/** A source, a chain, two branches, a side output and a second input. */
const branched = job('branched', (env) => {
  const numbers = env.from('numbers', fromArray([1, 2, 3]), {
    watermarks: outOfOrder({ delay: '1s' }),
    parallelism: 1,
  })
  const odd = numbers.filter((n) => n % 2 === 1, { name: 'odd "ones"' }).map((n) => n + 1)
  const windows = odd
    .keyBy((n) => n)
    .window(sliding({ size: '10s', every: '2s' }))
    .count('per-number', { parallelism: 3 })
  windows.side.late.to('late', arraySink<number>([]))
  windows
    .keyBy(({ key }) => key)
    .process(
      'both',
      {
        emits: type<number>(),
        state: { list: listState<number>() },
        inputs: { rules: numbers.broadcast() },
        broadcastState: { rules: mapState<string, number>() },
      },
      () => ({ onRecord() {}, inputs: { rules() {} } }),
    )
    .windowAll(tumbling({ size: '1s', clock: 'processing' }))
    .sum('total', (n) => n)
    .to('out', arraySink<unknown>([]))
  numbers
    .keyBy((n) => n)
    .count('ever')
    .to('ever-out', arraySink<unknown>([]))
})

test('the plan as text names tasks, uids, options, state, and how records are divided', () => {
  assert.equal(
    branched.explain({ parallelism: 2, maxParallelism: 64 }),
    `job branched, 64 key groups

task 0: numbers, parallelism 1
  source array 'numbers'  count=3 watermarks=outOfOrder 1s
  => rebalance to task 1 (odd "ones" -> map)
  => broadcast to task 4 (both)
  => hash to task 7 (ever -> ever-out)

task 1: odd "ones" -> map, parallelism 2
  filter
  map
  => hash to task 2 (per-number)

task 2: per-number, parallelism 3
  window 'per-number'  windows=sliding 10s every 2s result=count clock=event  state: window count slices
  => side 'late', rebalance to task 3 (late)
  => hash to task 4 (both)

task 3: late, parallelism 2
  sink array 'late'

task 4: both, parallelism 2
  process 'both'  state: list list
  => hash to task 5 (total)

task 5: total, parallelism 1
  window 'total'  windows=tumbling 1s result=sum clock=processing  state: window sum slices
  => rebalance to task 6 (out)

task 6: out, parallelism 2
  sink array 'out'

task 7: ever -> ever-out, parallelism 2
  count 'ever'  grows=true  state: count accumulator
  sink array 'ever-out'

note: 'total' works in processing time: a replay after a failure may divide records differently

note: 'ever' keeps state for every key it has ever seen
`,
  )
})

test('the plan as JSON has the same operators and exchanges', () => {
  const plan = JSON.parse(branched.explain({ format: 'json' })) as {
    readonly job: string
    readonly tasks: readonly {
      readonly operators: readonly { readonly uid?: string; readonly name: string }[]
    }[]
    readonly exchanges: readonly { readonly partitioning: string; readonly side?: string }[]
    readonly notes: readonly string[]
  }

  const operators = plan.tasks.flatMap((task) => task.operators)
  assert.equal(plan.job, 'branched')
  assert.deepEqual(
    operators.flatMap(({ uid }) => uid ?? []),
    ['numbers', 'per-number', 'late', 'both', 'total', 'out', 'ever', 'ever-out'],
  )
  assert.ok(operators.some(({ name }) => name === 'odd "ones"'))
  assert.deepEqual(
    plan.exchanges.map(({ side, partitioning }) => side ?? partitioning).toSorted(),
    ['broadcast', 'hash', 'hash', 'hash', 'hash', 'late'],
  )
  assert.equal(plan.notes.length, 2)
})

test('the plan as Mermaid has a node for each operator and an arrow for each edge', () => {
  const lines = branched.explain({ format: 'mermaid' }).trim().split('\n')

  assert.equal(lines[0], 'flowchart LR')
  assert.equal(lines.filter((line) => /^ {4}n\d+\["/.test(line)).length, 10)
  assert.equal(lines.filter((line) => line.includes('-->')).length, 10)
  assert.ok(lines.some((line) => line.includes('odd #quot;ones#quot;: filter')))
})

test('explaining twice, and with other parameters, describes the graph anew', () => {
  const built: number[] = []
  const counting: Job<{ readonly n: number }> = job(
    'counting',
    { params: type<{ readonly n: number }>() },
    (env) => {
      built.push(env.params.n)
      env.from('n', fromArray([env.params.n])).to('out', arraySink<number>([]))
    },
  )

  const first = counting.explain({ params: { n: 1 } })
  assert.equal(counting.explain({ params: { n: 2 } }), first)
  assert.deepEqual(built, [1, 2])
})

test('all mistakes of a graph are told at once', () => {
  const mistaken = job('mistaken', (env) => {
    const numbers = env.from('same', fromArray([1]))
    numbers
      .keyBy((n) => n)
      .count(undefined as unknown as string)
      .to('same', arraySink<unknown>([]))
    numbers.map((n) => n, { parallelism: 1000 }).to('no uid!', arraySink<number>([]))
  })

  assert.throws(
    () => mistaken.explain(),
    (error) => {
      assert.ok(isEngineError(error))
      assert.equal(error.code, 'JOB_INVALID')
      for (const code of ['UID_MISSING', 'UID_TWICE', 'UID_INVALID', 'PARALLELISM_ABOVE_MAX']) {
        assert.ok(error.message.includes(code), error.message)
      }
      return true
    },
  )
})

test('a stream that is used after its job was described is refused', () => {
  let kept: DataStream<number> | undefined
  const leaking = job('leaking', (env) => {
    kept = env.from('n', fromArray([1]))
    kept.to('out', arraySink<number>([]))
  })
  leaking.explain()

  assert.throws(() => kept?.to('again', arraySink<number>([])), { code: 'JOB_INVALID' })
})

test('a job without a source, without a sink, or without a name', () => {
  assert.throws(() => job('empty', () => {}).explain(), { code: 'GRAPH_NO_SOURCE' })
  const noSink = job('no-sink', (env) => void env.from('n', fromArray([1])).map((n) => n))
  assert.throws(() => noSink.explain(), { code: 'GRAPH_NO_SINK' })
  assert.throws(() => job('no name!', () => {}), { code: 'OPTION_INVALID' })
  assert.throws(() => job('no-build', undefined as never), { code: 'OPTION_INVALID' })
})
