import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { LocalChannel } from '../../../src/channel/local-channel.ts'
import type { RecordBatch } from '../../../src/core/record-batch.ts'

const bounds = { framesInFlightMax: 3, bytesInFlightMax: 10_000 }

function filled(channel: LocalChannel, ...values: readonly unknown[]): RecordBatch {
  const batch = channel.takeBatch()
  values.forEach((value, row) => {
    batch.values[row] = value
  })
  batch.count = values.length
  return batch
}

describe('a channel within a thread', () => {
  test('gives elements out in order, barriers and the end in their turn', () => {
    const channel = new LocalChannel(bounds)
    const batch = filled(channel, 'a')
    const barrier = { kind: 'barrier', checkpointId: 1, checkpointKind: 'checkpoint' } as const
    channel.offer(batch)
    channel.offer(barrier)
    channel.offer({ kind: 'end' })

    assert.equal(channel.poll(), batch)
    assert.equal(channel.poll(), barrier)
    assert.deepEqual(channel.poll(), { kind: 'end' })
    assert.equal(channel.poll(), undefined)
  })

  test('takes no more elements than it may hold, and keeps nothing of what it refuses', () => {
    const channel = new LocalChannel(bounds)
    for (let i = 0; i < 3; i++) assert.ok(channel.offer({ kind: 'idle', isIdle: i % 2 === 0 }))

    assert.equal(channel.offer({ kind: 'end' }), false)

    channel.poll()
    assert.ok(channel.offer({ kind: 'end' }))
    assert.deepEqual(channel.poll(), { kind: 'idle', isIdle: false })
    assert.deepEqual(channel.poll(), { kind: 'idle', isIdle: true })
    assert.deepEqual(channel.poll(), { kind: 'end' })
  })

  test('takes no more bytes than it may hold, but always one element', () => {
    const channel = new LocalChannel(bounds)
    const large = 'x'.repeat(100_000)

    assert.ok(channel.offer(filled(channel, large)))
    assert.equal(channel.offer(filled(channel, 'small')), false)

    channel.poll()
    assert.ok(channel.offer(filled(channel, 'small')))
  })

  test('batches that are given back are used again, empty', () => {
    const channel = new LocalChannel(bounds)
    const batch = filled(channel, 'a', 'b')
    channel.offer(batch)
    channel.recycle(channel.poll() as RecordBatch)

    const again = channel.takeBatch()
    assert.equal(again, batch)
    assert.equal(again.count, 0)
  })

  test('wraps around for ever', () => {
    const channel = new LocalChannel(bounds)
    for (let i = 0; i < 100; i++) {
      channel.offer(filled(channel, i))
      channel.offer({ kind: 'idle', isIdle: true })
      const batch = channel.poll() as RecordBatch
      assert.equal(batch.values[0], i)
      channel.recycle(batch)
      channel.poll()
    }
  })
})
