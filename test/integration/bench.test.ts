/** The benchmark's queries give the rows and checksums of the reference, whatever they run on. The whole: bench.full.test.ts. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { allCases, checkBenchRun, nameOfCase, pairwiseCases } from '../support/bench-run.ts'
import type { BenchCase } from '../support/bench-run.ts'

test('the chosen cases have every pair of query, parallelism, state and checkpoints', () => {
  const pairs = (cases: readonly BenchCase[]): string[] => {
    const found = cases.flatMap((each) => {
      const entries = Object.entries(each)
      return entries.flatMap(([a, x]) => entries.map(([b, y]) => `${a}=${x} ${b}=${y}`))
    })
    return [...new Set(found)].sort()
  }

  assert.deepEqual(pairs(pairwiseCases()), pairs(allCases()))
})

describe('100,000 events give the reference', { concurrency: 2 }, () => {
  for (const each of pairwiseCases()) {
    test(nameOfCase(each), () => checkBenchRun(each, 100_000))
  }
})
