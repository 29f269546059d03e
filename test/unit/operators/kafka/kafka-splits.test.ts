import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeValue, encodeValue } from '../../../../src/core/value-codec.ts'
import type { Split } from '../../../../src/contract/source.ts'
import { fromSplit, parsePartitionId, toSplit } from '../../../../operators/kafka/kafka-splits.ts'

test('a split survives a checkpoint', () => {
  for (const endOffset of [undefined, 0, 2 ** 40]) {
    const split = { topic: 'a-b', partition: 3, offset: 2 ** 40 + 1, endOffset }

    const restored = decodeValue(encodeValue(toSplit(split))) as Split

    assert.equal(restored.id, 'a-b-3')
    assert.deepEqual(fromSplit(restored), split)
  }
})

test('a split of something else is refused', () => {
  assert.throws(() => fromSplit({ id: 'x', data: { path: 'x' }, position: 0n }), {
    code: 'INVARIANT_BROKEN',
  })
  assert.throws(() => fromSplit({ id: 'x', data: { topic: 'x', partition: 0 } }), /'x'/)
})

test('the number after the last hyphen of an id is the partition', () => {
  assert.deepEqual(parsePartitionId('a-1-20'), { topic: 'a-1', partition: 20 })
  for (const id of ['a', 'a-', '-1', 'a-x', 'a-1.5']) {
    assert.throws(() => parsePartitionId(id), { code: 'OPTION_INVALID' })
  }
})
