import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Doorbell } from '../../../src/channel/doorbell.ts'
import { ShapeBook } from '../../../src/channel/frame-codec.ts'
import { RingChannelReader, RingChannelWriter } from '../../../src/channel/ring-channel.ts'
import { allocateRing } from '../../../src/channel/ring.ts'
import type { RecordBatch } from '../../../src/core/record-batch.ts'

const options = { capacityBytes: 1024, framesInFlightMax: 2 }

function makeChannel(): {
  writer: RingChannelWriter
  reader: RingChannelReader
  consumer: Doorbell
  producer: Doorbell
} {
  const memory = allocateRing(options)
  const consumer = new Doorbell(Doorbell.allocate())
  const producer = new Doorbell(Doorbell.allocate())
  return {
    writer: new RingChannelWriter(memory, {
      ...options,
      book: new ShapeBook(),
      isKeyed: false,
      bell: consumer,
    }),
    reader: new RingChannelReader(memory, { ...options, bell: producer, keepsStrings: false }),
    consumer,
    producer,
  }
}

function filled(writer: RingChannelWriter, ...values: readonly unknown[]): RecordBatch {
  const batch = writer.takeBatch()
  values.forEach((value, row) => {
    batch.values[row] = value
    batch.timestamps[row] = row
  })
  batch.count = values.length
  return batch
}

describe('a channel between threads', () => {
  test('rings the consumer for what was written, and the producer for room', () => {
    const { writer, reader, consumer, producer } = makeChannel()
    const [written, room] = [consumer.count(), producer.count()]

    writer.offer(filled(writer, 'a'))
    assert.ok(consumer.count() > written)
    assert.equal(producer.count(), room)
    reader.poll()
    assert.ok(producer.count() > room)
  })

  test('holds one element beside what is in the ring, and then takes nothing more', () => {
    const { writer, reader } = makeChannel()
    assert.ok(writer.offer({ kind: 'idle', isIdle: true }))
    assert.ok(writer.offer({ kind: 'idle', isIdle: false }))
    assert.equal(writer.offer({ kind: 'end' }), false)

    assert.deepEqual(reader.poll(), { kind: 'idle', isIdle: true })
    assert.ok(writer.offer({ kind: 'end' }))
    assert.deepEqual(reader.poll(), { kind: 'idle', isIdle: false })
    assert.deepEqual(reader.poll(), { kind: 'end' })
    assert.equal(reader.poll(), undefined)
  })

  test('a batch larger than the ring goes through in pieces, and what follows waits for it', () => {
    const { writer, reader } = makeChannel()
    const large = 'abc'.repeat(5000)
    assert.ok(writer.offer(filled(writer, large, 'after')))
    assert.equal(writer.offer({ kind: 'end' }), false)

    let element = reader.poll()
    for (let turns = 0; element === undefined; turns++) {
      assert.ok(turns < 1000)
      writer.pump()
      element = reader.poll()
    }

    assert.equal(element.kind, 'records')
    assert.deepEqual((element as RecordBatch).values.slice(0, 2), [large, 'after'])
    assert.ok(writer.pump())
    assert.ok(writer.offer({ kind: 'end' }))
    assert.deepEqual(reader.poll(), { kind: 'end' })
  })

  test('batches go round at both ends', () => {
    const { writer, reader } = makeChannel()
    const sent = filled(writer, 1)
    writer.offer(sent)
    assert.equal(writer.takeBatch(), sent)

    const got = reader.poll() as RecordBatch
    reader.recycle(got)
    writer.offer(filled(writer, 2))
    assert.equal(reader.poll(), got)
  })
})
