/** How a snapshot in memory spreads its work over its steps. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SnapshotWriter, StatePage } from '../../../../src/contract/snapshot-storage.ts'
import { hashKey } from '../../../../src/core/key-hash.ts'
import { memory } from '../../../../state-backends/memory/index.ts'

test('no step encodes the pages of all key groups at once, also not the last', async () => {
  const maxParallelism = 128
  const store = await memory.open({
    operatorUid: 'sums',
    subtaskIndex: 0,
    keyGroups: { start: 0, end: maxParallelism },
    maxParallelism,
    states: [{ name: 'sum', kind: 'value', layout: 'key' }],
    restore: [],
    workDirectory: () => assert.fail('memory needs no files'),
    wake() {},
    fail: (error) => assert.fail(String(error)),
  } as Parameters<typeof memory.open>[0])
  const cells = store.cells<number>('sum')
  const keyCount = 160_000
  for (let key = 0; key < keyCount; key++) {
    store.useKey(key, hashKey(key))
    cells.put(0, key)
  }
  const pages: StatePage[] = []
  const writer: SnapshotWriter = {
    isFull: false,
    page: (page) => pages.push(page),
    file: () => assert.fail('memory has pages only'),
    close: async (format) => ({ format, keyGroups: { start: 0, end: maxParallelism }, files: [] }),
    abort: async () => {},
  }

  const snapshot = store.snapshot({ checkpointId: 1, kind: 'checkpoint', writer })
  let most = 0
  for (let status = 'more'; status === 'more';) {
    const before = pages.length
    status = snapshot.step(1000)
    const written = pages.slice(before).reduce((sum, { keys }) => sum + keys.length, 0)
    most = Math.max(most, written)
  }

  assert.equal(
    pages.reduce((sum, { keys }) => sum + keys.length, 0),
    keyCount,
  )
  assert.ok(pages.length >= 2 * maxParallelism, 'some are full, some are not')
  assert.ok(most <= 2048, `one step encoded ${most} entries`)
})
