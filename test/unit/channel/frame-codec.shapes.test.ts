import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { FrameDecoder, FrameEncoder, ShapeBook } from '../../../src/channel/frame-codec.ts'
import { RecordBatch } from '../../../src/core/record-batch.ts'

function batchOf(values: readonly unknown[]): RecordBatch {
  const batch = new RecordBatch(Math.max(1, values.length))
  values.forEach((value, row) => {
    batch.values[row] = value
    batch.timestamps[row] = row
  })
  batch.count = values.length
  return batch
}

/** Encodes and decodes; answers the values and how many bytes the frame had. */
function carry(book: ShapeBook, rounds: readonly (readonly unknown[])[]): [unknown[][], number[]] {
  const encoder = new FrameEncoder(book, false)
  const decoder = new FrameDecoder({ keepsStrings: false })
  const bytes: number[] = []
  const values = rounds.map((round) => {
    const frame = Uint8Array.from(encoder.encode(batchOf(round)))
    bytes.push(frame.length)
    const batch = decoder.records(frame.buffer, 0, frame.length, new RecordBatch(round.length))
    return batch.values.slice(0, batch.count)
  })
  return [values, bytes]
}

describe('shapes of frames', () => {
  test('a field that holds objects of several types has a shape for each', () => {
    const book = new ShapeBook()
    const round = [
      { key: 1, event: { kind: 0, name: 'Ann' } },
      { key: 2, event: { kind: 1, price: 2.5, seller: 7 } },
      { key: 3, event: { kind: 0, name: 'Bo' } },
    ]

    const [values] = carry(book, [round, round])

    assert.deepEqual(values, [round, round])
    assert.deepEqual(
      book.shapes.map(({ shape }) => shape.kinds[1]),
      [
        { names: ['kind', 'name'], kinds: ['int', 'string'] },
        { names: ['kind', 'price', 'seller'], kinds: ['int', 'double', 'int'] },
      ],
    )
  })

  test('a field with ever other objects ends in the canonical encoding, and loses nothing', () => {
    const book = new ShapeBook()
    const round = Array.from({ length: 100 }, (_, n) => ({ key: n, event: { [`f${n}`]: n } }))

    const [values] = carry(book, [round, round])

    assert.deepEqual(values, [round, round])
    assert.ok(book.shapes.length <= 8, `${book.shapes.length} shapes`)
    assert.ok(book.shapes.some(({ shape }) => shape.kinds[1] === 'any'))
  })

  test('a field that is wider than before widens its shape instead of making another', () => {
    const book = new ShapeBook()
    const round = [
      { key: 1, at: { n: 1 } },
      { key: 2, at: { n: 0.5 } },
      { key: 3, at: { n: 'x' } },
    ]

    const [values] = carry(book, [round])

    assert.deepEqual(values, [round])
    assert.equal(book.shapes.length, 1)
  })
})
