import assert from 'node:assert/strict'
import { test } from 'node:test'
import { expiredCheckpoints } from '../../../src/checkpoint/retention.ts'
import type { RetainedCheckpoint } from '../../../src/checkpoint/retention.ts'

function checkpoints(...words: readonly string[]): RetainedCheckpoint[] {
  return words.map((word) => ({
    checkpointId: Number.parseInt(word, 10),
    isSelfContained: word.endsWith('!'),
  }))
}

test('all but the newest go, whatever their order', () => {
  const list = checkpoints('3', '1!', '2!', '4!')
  assert.deepEqual(expiredCheckpoints(list, { retainCount: 1 }), [3, 2, 1])
  assert.deepEqual(expiredCheckpoints(list, { retainCount: 3 }), [1])
})

test('the newest that shares no file stays, to fall back to when a shared file is damaged', () => {
  const list = checkpoints('1!', '2!', '3', '4', '5')
  assert.deepEqual(expiredCheckpoints(list, { retainCount: 2 }), [3, 1])
})

test('fewer than are to be kept all stay', () => {
  assert.deepEqual(expiredCheckpoints(checkpoints('1', '2'), { retainCount: 5 }), [])
  assert.deepEqual(expiredCheckpoints([], { retainCount: 1 }), [])
})
