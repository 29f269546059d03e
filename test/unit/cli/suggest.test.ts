import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nearest } from '../../../src/cli/suggest.ts'

test('the nearest name is found: letters added, dropped, replaced or swapped, dashes and case', () => {
  const names = ['parallelism', 'maxParallelism', 'state', 'checkpoints.interval']

  for (const [word, name] of [
    ['paralelism', 'parallelism'],
    ['parallellism', 'parallelism'],
    ['parallelizm', 'parallelism'],
    ['staet', 'state'],
    ['MAX_PARALLELISM', 'maxParallelism'],
    ['checkpoint-interval', 'checkpoints.interval'],
  ] as const) {
    assert.equal(nearest(word, names), name)
  }
})

test('what is near nothing has no suggestion', () => {
  assert.equal(nearest('zzzz', ['state', 'threads']), undefined)
  assert.equal(nearest('', []), undefined)
})
