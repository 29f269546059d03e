import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { RingReader, RingWriter, allocateRing, frameBytesMax } from '../../../src/channel/ring.ts'
import type { RingOptions } from '../../../src/channel/ring.ts'

const small: RingOptions = { capacityBytes: 256, framesInFlightMax: 4 }

function makeRing(options: RingOptions): { writer: RingWriter; reader: RingReader } {
  const memory = allocateRing(options)
  return { writer: new RingWriter(memory, options), reader: new RingReader(memory, options) }
}

/** A frame whose bytes tell which it is. */
function frame(id: number, bytes: number): Uint8Array {
  return new Uint8Array(bytes).fill(id)
}

function read(reader: RingReader): Uint8Array | undefined {
  if (!reader.next()) return undefined
  const bytes = Uint8Array.from(
    new Uint8Array(reader.memory, reader.frameOffset, reader.frameBytes),
  )
  reader.release()
  return bytes
}

describe('a ring', () => {
  test('gives frames out whole and in order', () => {
    const { writer, reader } = makeRing(small)
    assert.ok(writer.tryWrite(frame(1, 16)))
    assert.ok(writer.tryWrite(frame(2, 40)))

    assert.deepEqual(read(reader), frame(1, 16))
    assert.deepEqual(read(reader), frame(2, 40))
    assert.equal(read(reader), undefined)
  })

  test('holds no more frames than it may, however small', () => {
    const { writer, reader } = makeRing(small)
    for (let id = 0; id < 4; id++) assert.ok(writer.tryWrite(frame(id, 8)))

    assert.equal(writer.hasSlot(), false)
    assert.equal(writer.tryWrite(frame(4, 8)), false)
    read(reader)
    assert.ok(writer.tryWrite(frame(4, 8)))
  })

  test('holds no more bytes than it has', () => {
    const { writer, reader } = makeRing(small)
    assert.ok(writer.tryWrite(frame(1, 120)))
    assert.ok(writer.tryWrite(frame(2, 120)))

    assert.equal(writer.tryWrite(frame(3, 8)), false)
    read(reader)
    assert.ok(writer.tryWrite(frame(3, 8)))
  })

  test('takes the largest frame wherever its head stands, once it is empty', () => {
    const largest = frameBytesMax(small)
    for (let before = 8; before <= largest; before += 8) {
      const { writer, reader } = makeRing(small)
      writer.tryWrite(frame(1, before))
      read(reader)
      assert.ok(writer.tryWrite(frame(2, largest)), `after a frame of ${before} bytes`)
      assert.deepEqual(read(reader), frame(2, largest))
    }
  })

  test('a frame that is being read is not written over', () => {
    const { writer, reader } = makeRing(small)
    writer.tryWrite(frame(1, 120))
    reader.next()
    const held = new Uint8Array(reader.memory, reader.frameOffset, reader.frameBytes)

    let written = 0
    while (writer.tryWrite(frame(2, 48))) written += 1

    assert.ok(written > 0)
    assert.deepEqual(Uint8Array.from(held), frame(1, 120))
  })

  test('whatever is written and read when: nothing is lost, changed or overtaken', () => {
    const action = fc.oneof(
      fc.record({ write: fc.integer({ min: 1, max: 15 }) }),
      fc.constant('read' as const),
    )
    fc.assert(
      fc.property(fc.array(action, { maxLength: 300 }), (actions) => {
        const { writer, reader } = makeRing(small)
        const waiting: Uint8Array[] = []
        let id = 0
        for (const next of actions) {
          if (next === 'read') {
            assert.deepEqual(read(reader), waiting.shift())
            continue
          }
          const written = frame(id++ % 256, next.write * 8)
          const isTaken = writer.tryWrite(written)
          if (isTaken) waiting.push(written)
          assert.ok(waiting.length <= small.framesInFlightMax)
          assert.ok(isTaken || waiting.length > 0, 'an empty ring takes any frame')
        }
        for (const left of waiting) assert.deepEqual(read(reader), left)
        assert.equal(read(reader), undefined)
      }),
    )
  })
})
