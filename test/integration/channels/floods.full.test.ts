/** The long form of floods.test.ts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flood } from '../../support/floods.ts'

for (const parallelism of [2, 4]) {
  test(`at parallelism ${parallelism} a flatMap of 1,000,000 for each of 10 records ends, in flat memory`, async (t) => {
    const figures = await flood({
      kind: 'flat-map',
      count: 10,
      width: 1_000_000,
      parallelism,
      threads: parallelism,
    })

    t.diagnostic(JSON.stringify(figures))
    // the rows of each half take 850 MB as objects; a heap may still find its size in the second half
    assert.ok(figures.grownLateMb < 300, `it grew by ${figures.grownLateMb} MB in the second half`)
  })

  test(`at parallelism ${parallelism} 1,000,000 timers that are due at once are fired, each once`, async (t) => {
    const figures = await flood({
      kind: 'timers',
      count: 1_000_000,
      width: 1,
      parallelism,
      threads: parallelism,
    })

    t.diagnostic(JSON.stringify(figures))
  })
}
