import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { generate } from '../../../operators/sources/generate.ts'
import { printSink } from '../../../operators/sinks/print.ts'
import { job } from '../../../src/api/job.ts'
import { decideRun } from '../../../src/cli/run-decisions.ts'
import type { RunDecisions } from '../../../src/cli/run-decisions.ts'
import type { Configuration } from '../../../src/cli/settings.ts'

const graphOf = (count?: number) =>
  job('orders', (env) => {
    env
      .from('in', generate({ ...(count === undefined ? {} : { count }), record: (n) => n }))
      .to('out', printSink())
  }).build(undefined)
const unbounded = graphOf()
const bounded = graphOf(10)

const decide = (configuration: Configuration, graph = unbounded, cores = 4): RunDecisions =>
  decideRun(configuration, { graph, cores })

test('a job without end takes checkpoints by itself, one that ends does not', () => {
  const directory = resolve('.millrace/checkpoints/orders')

  assert.deepEqual(decide({}).run.checkpoints, { directory })
  assert.equal(decide({}).checkpointIntervalMs, 10_000)
  assert.equal(decide({}, bounded).run.checkpoints, undefined)
  assert.equal(decide({}, bounded).checkpointIntervalMs, undefined)
})

test('whoever says anything of checkpoints, or begins with one, takes some', () => {
  const directory = resolve('.millrace/checkpoints/orders')

  assert.deepEqual(decide({ checkpoints: { interval: '1s' } }, bounded).run.checkpoints, {
    directory,
    interval: '1s',
  })
  assert.deepEqual(decide({ from: 'sp/1' }, bounded).run.checkpoints, { directory })
  assert.equal(decide({ from: 'none' }, bounded).run.checkpoints, undefined)
  assert.deepEqual(decide({ checkpoints: { directory: '/ck' } }, bounded).run.checkpoints, {
    directory: '/ck',
  })
})

test("'none' turns checkpoints off", () => {
  assert.equal(decide({ checkpoints: { directory: 'none' } }).run.checkpoints, undefined)
})

test('threads are the cores, but not more than subtasks of an operator', () => {
  const scaleOf = ({ threads, parallelism }: RunDecisions): object => ({ threads, parallelism })

  assert.deepEqual(scaleOf(decide({})), { threads: 4, parallelism: 4 })
  assert.deepEqual(scaleOf(decide({ parallelism: 2 })), { threads: 2, parallelism: 2 })
  assert.deepEqual(scaleOf(decide({ parallelism: 8 })), { threads: 4, parallelism: 8 })
  assert.deepEqual(scaleOf(decide({ threads: 0 })), { threads: 0, parallelism: 1 })
  assert.deepEqual(scaleOf(decide({ threads: 3, parallelism: 1 })), { threads: 3, parallelism: 1 })
  assert.deepEqual(scaleOf(decide({ maxParallelism: 2 })), { threads: 4, parallelism: 2 })
})

test('a restart strategy is completed by its defaults', () => {
  assert.equal(decide({}).run.restart, undefined)
  assert.deepEqual(decide({ restart: { kind: 'none' } }).run.restart, { kind: 'none' })
  assert.deepEqual(decide({ restart: { kind: 'fixed', delay: '2s' } }).run.restart, {
    kind: 'fixed',
    delay: '2s',
    attemptsMax: 10,
  })
  assert.deepEqual(decide({ restart: { kind: 'exponential' } }).run.restart, {
    kind: 'exponential',
    delay: '1s',
    delayMax: '1min',
  })
})

test('the control port is any, the one given, or none', () => {
  assert.equal(decide({}).controlPort, 0)
  assert.equal(decide({ control: 8091 }).controlPort, 8091)
  assert.equal(decide({ control: 'off' }).controlPort, undefined)
})
