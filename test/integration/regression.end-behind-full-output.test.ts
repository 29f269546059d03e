/**
 * A source's task whose last operators still had values to hand on when the end of the input came, and whose outputs were full just
 * then: the end was handled in a later step, nobody was told, and the job never finished.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { arraySink, generate, job, run, type } from 'millrace'

const VALUES = 50_000

test('a job finishes although the end of its input met full outputs', async () => {
  const out: number[] = []
  const tested = job('full-at-the-end', (env) => {
    env
      .from('one', generate({ count: 1, record: (index) => index }))
      .process('last', { emits: type<number>() }, ({ emit }) => ({
        onRecord() {},
        onEnd: () => emit(VALUES),
      }))
      .flatMap((count) => Array.from({ length: count }, (_, n) => n))
      .rebalance()
      .map((n) => n)
      .to('out', arraySink(out), { parallelism: 1 })
  })

  const result = await run(tested, { channels: { framesInFlightMax: 1 } })

  assert.equal(result.status, 'finished')
  assert.equal(out.length, VALUES)
})
