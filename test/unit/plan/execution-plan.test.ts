import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { arraySink, fromArray, job } from '../../../src/index.ts'
import type { DataStream, Env } from '../../../src/index.ts'
import {
  keyGroupsOfSubtask,
  planExecution,
  slotOf,
  taskName,
} from '../../../src/plan/execution-plan.ts'
import type { ExecutionPlan } from '../../../src/plan/execution-plan.ts'

function planOf(build: (env: Env) => void, parallelism = 2): ExecutionPlan {
  return planExecution(job('shop', build).build(undefined), { parallelism, maxParallelism: 128 })
}

const numbers = (env: Env, uid = 'in'): DataStream<number> => env.from(uid, fromArray([1, 2]))
const drop = (stream: DataStream<unknown>, uid = 'out'): void =>
  stream.to(uid, arraySink<unknown>([]))
const tasks = (plan: ExecutionPlan): string[] => plan.tasks.map(taskName)
const ways = (plan: ExecutionPlan): string[] =>
  plan.exchanges.map(
    ({ fromTask, toTask, partitioning }) => `${fromTask} ${partitioning.kind} ${toTask}`,
  )

describe('chaining', () => {
  test('operators of one parallelism become one task, up to the sink', () => {
    const plan = planOf((env) =>
      drop(
        numbers(env)
          .map((n) => n + 1)
          .filter((n) => n > 1),
      ),
    )

    assert.deepEqual(tasks(plan), ['in -> map -> filter -> out'])
    assert.deepEqual(plan.exchanges, [])
    assert.deepEqual(
      plan.tasks[0]?.calls.map(({ from, to }) => [from, to]),
      [
        [0, 1],
        [1, 2],
        [2, 3],
      ],
    )
  })

  test('a keyed operator begins a task, fed by hash', () => {
    const plan = planOf((env) =>
      drop(
        numbers(env)
          .keyBy((n) => n)
          .count('counts'),
      ),
    )

    assert.deepEqual(tasks(plan), ['in', 'counts -> out'])
    assert.deepEqual(ways(plan), ['0 hash 1'])
  })

  test('also with parallelism 1, so that the state of a job does not depend on it', () => {
    const plan = planOf(
      (env) =>
        drop(
          numbers(env)
            .keyBy((n) => n)
            .count('counts'),
        ),
      1,
    )
    assert.deepEqual(tasks(plan), ['in', 'counts -> out'])
  })

  test('where parallelism changes records are dealt out in turn', () => {
    const plan = planOf((env) => drop(numbers(env).map((n) => n, { parallelism: 3 })))

    assert.deepEqual(tasks(plan), ['in', 'map', 'out'])
    assert.deepEqual(ways(plan), ['0 rebalance 1', '1 rebalance 2'])
    assert.deepEqual(
      plan.tasks.map(({ parallelism }) => parallelism),
      [2, 3, 2],
    )
  })

  test('a division that was asked for is kept, and forward is a call', () => {
    const plan = planOf((env) => {
      drop(
        numbers(env, 'a')
          .rebalance()
          .map((n) => n),
        'a-out',
      )
      drop(
        numbers(env, 'b')
          .broadcast()
          .map((n) => n),
        'b-out',
      )
      drop(
        numbers(env, 'c')
          .partition((n) => n % 2)
          .map((n) => n),
        'c-out',
      )
      drop(
        numbers(env, 'd')
          .forward()
          .map((n) => n),
        'd-out',
      )
    })

    assert.deepEqual(
      plan.exchanges.map(({ partitioning }) => partitioning.kind),
      ['rebalance', 'broadcast', 'custom'],
    )
    assert.ok(tasks(plan).includes('d -> map -> d-out'))
  })

  test('the options of an operator begin a chain, or keep it alone', () => {
    const chained = (chain: 'start' | 'alone'): string[] =>
      tasks(
        planOf((env) =>
          drop(
            numbers(env)
              .map((n) => n, { name: 'one' })
              .map((n) => n, { name: 'two', chain })
              .map((n) => n, { name: 'three' }),
          ),
        ),
      )
    assert.deepEqual(chained('start'), ['in -> one', 'two -> three -> out'])
    assert.deepEqual(chained('alone'), ['in -> one', 'two', 'three -> out'])
  })

  test('a union is not chained to what feeds it', () => {
    const plan = planOf((env) =>
      drop(
        numbers(env, 'a')
          .union(numbers(env, 'b'))
          .map((n) => n),
      ),
    )

    assert.deepEqual(tasks(plan), ['a', 'b', 'map -> out'])
    assert.deepEqual(
      plan.tasks[2]?.inputs.map(({ fromTask }) => fromTask),
      [0, 1],
    )
  })

  test('a stream that two read is chained to both', () => {
    const plan = planOf((env) => {
      const shared = numbers(env).map((n) => n)
      drop(shared, 'one')
      drop(shared, 'two')
    })
    assert.equal(plan.tasks.length, 1)
    assert.equal(plan.tasks[0]?.calls.length, 3)
  })
})

describe('regions and slots', () => {
  test('what is connected is one region, what is not fails apart', () => {
    const plan = planOf((env) => {
      drop(
        numbers(env, 'a')
          .keyBy((n) => n)
          .count('a-counts'),
        'a-out',
      )
      drop(numbers(env, 'b'), 'b-out')
    })

    assert.equal(plan.regionCount, 2)
    const regionOf = (uid: string): number | undefined =>
      plan.tasks.find(({ nodes }) => nodes.some((node) => node.uid === uid))?.region
    assert.equal(regionOf('a'), regionOf('a-out'))
    assert.notEqual(regionOf('a'), regionOf('b'))
  })

  test('subtasks of one index lie in one slot', () => {
    assert.deepEqual(
      [0, 1, 2, 3, 4].map((index) => slotOf(index, 2)),
      [0, 1, 0, 1, 0],
    )
  })

  test('the key groups of the subtasks of a task cover all, each once', () => {
    const plan = planOf(
      (env) =>
        drop(
          numbers(env)
            .keyBy((n) => n)
            .count('counts'),
        ),
      3,
    )
    const task = plan.tasks[1]
    assert.ok(task !== undefined)

    const ranges = [0, 1, 2].map((index) => keyGroupsOfSubtask(task, index, 128))

    assert.equal(ranges[0]?.start, 0)
    assert.equal(ranges[1]?.start, ranges[0]?.end)
    assert.equal(ranges[2]?.start, ranges[1]?.end)
    assert.equal(ranges[2]?.end, 128)
  })

  test('the plan of a graph is always the same', () => {
    const build = (env: Env): void =>
      drop(
        numbers(env)
          .keyBy((n) => n)
          .count('counts'),
      )
    assert.equal(JSON.stringify(planOf(build)), JSON.stringify(planOf(build)))
  })
})
