import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  CHUNK_BYTES_MAX,
  CHUNK_BYTES_MIN,
  FILES_OPEN_MAX,
  READS_IN_FLIGHT_MAX,
  ReadBudget,
} from '../../../../operators/files/read-budget.ts'

test('all read-ahead together stays within the bound while splits get more than the least chunk', () => {
  const readAheadBytes = 8 * 1024 * 1024
  const budget = new ReadBudget(readAheadBytes)
  for (let splits = 1; splits <= 2000; splits++) {
    budget.enter()
    const total = splits * budget.chunksMax() * budget.chunkBytes()
    assert.ok(
      total <= Math.max(readAheadBytes, splits * CHUNK_BYTES_MIN),
      `${splits} splits may hold ${total} bytes`,
    )
    assert.ok(budget.chunkBytes() >= CHUNK_BYTES_MIN && budget.chunkBytes() <= CHUNK_BYTES_MAX)
  }
  for (let splits = 2000; splits > 1; splits--) budget.leave()
  assert.equal(budget.chunkBytes(), CHUNK_BYTES_MAX)
  assert.equal(budget.chunksMax(), 2)
})

test('files are closed between chunks when there are many', () => {
  const budget = new ReadBudget(1)
  for (let splits = 0; splits < FILES_OPEN_MAX; splits++) budget.enter()
  assert.equal(budget.keepsFilesOpen(), true)
  budget.enter()
  assert.equal(budget.keepsFilesOpen(), false)
})

test('turns are bounded, and given in the order they were asked for', async () => {
  const budget = new ReadBudget(1)
  const started: number[] = []
  const ask = async (n: number): Promise<void> => {
    await budget.acquire()
    started.push(n)
  }
  const settled = new Promise((resolve) => setImmediate(resolve))

  const asked = Array.from({ length: READS_IN_FLIGHT_MAX + 3 }, (_, n) => ask(n))
  await settled
  assert.deepEqual(started, [0, 1, 2, 3])

  for (const _ of asked) {
    budget.release()
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.deepEqual(started, [0, 1, 2, 3, 4, 5, 6])
  await Promise.all(asked)

  // all turns are back: as many as before can be taken again
  await Promise.all(Array.from({ length: READS_IN_FLIGHT_MAX }, () => budget.acquire()))
})
