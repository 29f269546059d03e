/**
 * Jobs that write to Kafka exactly once, in the simulation: the engine and its sink as they are, over the model of the brokers
 * (kafka-model, which test/integration/kafka/model-calibration.test.ts holds against real ones). A seed that fails is had again with
 * `node dist/test/simulation/run.js SEED --kafka --trace`.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FaultTable, KAFKA_FAULTS } from './faults.ts'
import { simulate } from './simulate.ts'

const SEED_COUNT = 500

test(`${SEED_COUNT} seeds with Kafka: readers of committed records see the reference, whatever strikes when`, async (t) => {
  const table = new FaultTable()
  const failures: string[] = []
  let stopCount = 0
  let checkpointCount = 0
  for (let seed = 1; seed <= SEED_COUNT; seed++) {
    const { failure, faults, isStopped, checkpoints } = await simulate(seed, { sink: 'kafka' })
    table.add(faults)
    if (isStopped) stopCount += 1
    checkpointCount += checkpoints
    if (failure === undefined) continue
    failures.push(
      `seed ${seed}: ${failure}\n  again: node dist/test/simulation/run.js ${seed} --kafka --trace`,
    )
  }
  t.diagnostic(`${checkpointCount} checkpoints; faults by what the job was doing`)
  for (const line of table.toString(KAFKA_FAULTS).split('\n')) t.diagnostic(line)
  t.diagnostic(`${stopCount} jobs stopped since output was lost in part`)
  assert.deepEqual(failures, [], failures.join('\n'))
  assert.ok(stopCount < SEED_COUNT / 8, `${stopCount} jobs stopped`)
  assert.deepEqual(
    KAFKA_FAULTS.filter((fault) => table.total(fault) === 0),
    [],
    'every fault strikes',
  )
})

test('a seed with Kafka gives the same run again', async () => {
  for (const seed of [3, 17, 98]) {
    const first = await simulate(seed, { sink: 'kafka' })
    const second = await simulate(seed, { sink: 'kafka' })

    assert.equal(second.traceHash, first.traceHash, `seed ${seed}`)
    assert.deepEqual(second, first)
  }
})
