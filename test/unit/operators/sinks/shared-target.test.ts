import assert from 'node:assert/strict'
import { test } from 'node:test'
import { arraySink, job, mapSink } from 'millrace'
import { runTest, testSource } from 'millrace/testing'

test('several sinks of a checkpointed job may write to one array, and to one table', async () => {
  const numbers = testSource<number>()
  for (let n = 1; n <= 4; n++) numbers.emit({ value: n, timestampMs: n })
  numbers.end()
  const rows: string[] = []
  const table = new Map<string, string>()
  const tested = job('shared', (env) => {
    const names = env.from('numbers', numbers)
    for (const name of ['left', 'right']) {
      const named = names.map((n) => `${name} ${n}`)
      named.to(`${name}-rows`, arraySink(rows))
      named.to(
        `${name}-table`,
        mapSink(table, (row) => row),
      )
    }
  })

  const { crashes } = await runTest(tested, { crashes: 4, seed: 1 })

  const expected = ['left', 'right'].flatMap((name) => [1, 2, 3, 4].map((n) => `${name} ${n}`))
  assert.equal(crashes, 4)
  assert.deepEqual(rows.toSorted(), expected)
  assert.deepEqual([...table.keys()].toSorted(), expected)
})
