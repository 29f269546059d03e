/**
 * The whole engine in one thread, hit by faults: 500 seeds, each compared with its sequential reference. A seed that fails is
 * had again with `node dist/test/simulation/run.js SEED --trace`.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FAULTS, FaultTable, PHASES } from './faults.ts'
import type { Fault, Phase } from './faults.ts'
import { simulate } from './simulate.ts'

const SEED_COUNT = 500
/** The rarest faults may take some more. */
const SEED_COUNT_MAX = 800

/** Where a fault can't strike: no user code runs while subtasks are opened, nothing is committed before it is published, and
 * hardly ever does a run that has a savepoint restore something else. */
const NOT_EXPECTED: Partial<Record<Fault, readonly Phase[]>> = {
  'user error': ['restoring'],
  savepoint: ['restoring'],
  'savepoint restored': ['restoring'],
  'commit error': ['running', 'aligning', 'snapshotting', 'publishing', 'ending'],
}

test(`${SEED_COUNT} seeds: the output is the reference's, whatever strikes when`, async (t) => {
  const table = new FaultTable()
  const failures: string[] = []
  let seed = 0
  while (seed < SEED_COUNT || (seed < SEED_COUNT_MAX && emptyCells(table).length > 0)) {
    seed += 1
    const { failure, checkpoints, faults } = await simulate(seed)
    table.add(faults)
    const wrong =
      failure ??
      (checkpoints < 3 ? `only ${checkpoints} checkpoints` : undefined) ??
      (faults.length === 0 ? 'no fault struck' : undefined)
    if (wrong === undefined) continue
    failures.push(
      `seed ${seed}: ${wrong}\n  again: node dist/test/simulation/run.js ${seed} --trace`,
    )
  }
  t.diagnostic(`faults by what the job was doing, over ${seed} seeds`)
  for (const line of table.toString().split('\n')) t.diagnostic(line)
  assert.deepEqual(failures, [], failures.join('\n'))
  assert.deepEqual(emptyCells(table), [], 'every fault strikes in every phase')
})

function emptyCells(table: FaultTable): string[] {
  return FAULTS.flatMap((fault) =>
    PHASES.filter(
      (phase) => table.count(fault, phase) === 0 && NOT_EXPECTED[fault]?.includes(phase) !== true,
    ).map((phase) => `${fault} while ${phase}`),
  )
}

test('a seed gives the same run again', async () => {
  for (const seed of [3, 17, 171, 1234]) {
    const first = await simulate(seed)
    const second = await simulate(seed)

    assert.equal(second.traceHash, first.traceHash, `seed ${seed}`)
    assert.deepEqual(second, first)
  }
})
