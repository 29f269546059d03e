/** Every query of the benchmark with every parallelism, state and checkpoints, at two sizes. */
import { describe, test } from 'node:test'
import { allCases, checkBenchRun, nameOfCase } from '../support/bench-run.ts'

for (const events of [100_000, 1_000_000] as const) {
  describe(`${events} events give the reference`, () => {
    for (const each of allCases()) test(nameOfCase(each), () => checkBenchRun(each, events))
  })
}
