/** Whatever operators hand on, and however little channels hold: the job ends, its memory stays flat, barriers get through. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { flood } from '../../support/floods.ts'

describe(
  'with channels of one frame, three exchanges in a row and barriers every 50 ms',
  {
    timeout: 600_000,
  },
  () => {
    for (const parallelism of [2, 4]) {
      test(`at parallelism ${parallelism} a flatMap of 1,000,000 for each of 3 records ends, in flat memory`, async (t) => {
        const figures = await flood({
          kind: 'flat-map',
          count: 3,
          width: 1_000_000,
          parallelism,
          threads: 2,
        })

        t.diagnostic(JSON.stringify(figures))
        // one got through on the way, one is the last: a barrier waits for the record before it
        assert.ok(figures.checkpoints >= 2)
        // the rows together take 500 MB as objects, beside what two workers take
        assert.ok(figures.grownMb < 450, `it grew by ${figures.grownMb} MB`)
      })
    }

    test('1,000,000 timers that are due at once are fired, each once', async (t) => {
      const figures = await flood({
        kind: 'timers',
        count: 1_000_000,
        width: 1,
        parallelism: 2,
        threads: 2,
      })

      t.diagnostic(JSON.stringify(figures))
      assert.ok(figures.checkpoints >= 3)
    })
  },
)
