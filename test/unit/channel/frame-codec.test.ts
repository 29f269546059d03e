import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { StreamElement } from '../../../src/channel/channel.ts'
import {
  FrameDecoder,
  FrameEncoder,
  ShapeBook,
  decodeControl,
  holdsRecords,
} from '../../../src/channel/frame-codec.ts'
import { RecordBatch } from '../../../src/core/record-batch.ts'
import { anyString, anyValue, assertSameValue } from '../../support/values.ts'

interface Row {
  readonly value: unknown
  readonly timestampMs: number
  readonly hash: number
}

function batchOf(rows: readonly Row[], watermarkMs = -Infinity): RecordBatch {
  const batch = new RecordBatch(Math.max(1, rows.length))
  rows.forEach(({ value, timestampMs, hash }, row) => {
    batch.values[row] = value
    batch.timestamps[row] = timestampMs
    batch.hashes[row] = hash
  })
  batch.count = rows.length
  batch.watermarkMs = watermarkMs
  return batch
}

/** One end and the other of a channel. */
class Wire {
  readonly #encoder: FrameEncoder
  readonly #decoder: FrameDecoder

  constructor(options: { readonly isKeyed?: boolean; readonly keepsStrings?: boolean } = {}) {
    this.#encoder = new FrameEncoder(new ShapeBook(), options.isKeyed ?? false)
    this.#decoder = new FrameDecoder({ keepsStrings: options.keepsStrings ?? false })
  }

  records(batch: RecordBatch): RecordBatch {
    const frame = Uint8Array.from(this.#encoder.encode(batch))
    assert.ok(holdsRecords(frame.buffer, 0))
    assert.equal(frame.length % 8, 0)
    const into = new RecordBatch(batch.values.length)
    return this.#decoder.records(frame.buffer, 0, frame.length, into)
  }

  carries(values: readonly unknown[]): void {
    const rows = values.map((value, row) => ({ value, timestampMs: row, hash: 0 }))
    const { count, values: read } = this.records(batchOf(rows))
    assert.equal(count, values.length)
    values.forEach((value, row) => assertSameValue(read[row], value))
  }

  control(element: Exclude<StreamElement, RecordBatch>): StreamElement {
    const frame = Uint8Array.from(this.#encoder.encode(element))
    assert.equal(holdsRecords(frame.buffer, 0), false)
    return decodeControl(frame.buffer, 0)
  }
}

/** Records of one type, as jobs have them: the same fields, of the same kinds mostly. */
const likeRecords = fc.array(
  fc.record({
    id: fc.oneof(fc.integer(), fc.double()),
    name: anyString,
    isNew: fc.boolean(),
    nested: fc.record({ at: fc.double(), tag: fc.oneof(fc.constant(null), anyString) }),
    more: fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, anyValue),
  }),
  { maxLength: 40 },
)

describe('frames', () => {
  test('carry any value of the model exactly', () => {
    fc.assert(
      fc.property(fc.array(anyValue, { maxLength: 20 }), (values) => new Wire().carries(values)),
    )
  })

  test('carry records of one type exactly, frame after frame', () => {
    fc.assert(
      fc.property(fc.array(likeRecords, { maxLength: 4 }), fc.boolean(), (frames, keepsStrings) => {
        const wire = new Wire({ keepsStrings })
        for (const values of frames) wire.carries(values)
      }),
    )
  })

  test('carry what leaves a learned shape: another order, another field, another kind', () => {
    const wire = new Wire()
    wire.carries([{ a: 1, b: 'x' }])
    wire.carries([
      { b: 'x', a: 1 },
      { a: 1, b: 'x', c: 2 },
      { a: 1 },
      { a: 1n, b: null },
      { a: -0, b: 'x' },
      { a: 2 ** 31, b: 'x' },
      { a: NaN, b: 'x' },
      [],
      'text',
      new Map([['a', 1]]),
      Object.assign(Object.create(null) as object, {}),
      { a: 1, b: 'x' },
    ])
  })

  test('carry field names that mean something to JavaScript', () => {
    new Wire().carries([
      { constructor: 1, toString: 'x', hasOwnProperty: true },
      { constructor: 2, toString: 'y', hasOwnProperty: false },
      { 'a"b': 1, 'c\\d': 2, '\ud800': 3, '': 4, '${x}': 5, '*/': 6 },
    ])
  })

  test('carry texts narrow and wide, side by side in one heap', () => {
    new Wire().carries([
      { a: 'abc', b: '' },
      { a: 'ÿé', b: 'x' },
      { a: '日本', b: '\ud800' },
      { a: 'x'.repeat(100_000), b: '\uffff' },
    ])
  })

  test('carry timestamps, hashes and the watermark', () => {
    const rows = [
      { value: 1, timestampMs: 5.5, hash: -1 },
      { value: 2, timestampMs: -1e15, hash: 2 ** 31 - 1 },
      { value: 3, timestampMs: 0, hash: 7 },
    ]

    const batch = new Wire({ isKeyed: true }).records(batchOf(rows, 1234))

    assert.deepEqual([...batch.timestamps.subarray(0, 3)], [5.5, -1e15, 0])
    assert.deepEqual([...batch.hashes.subarray(0, 3)], [-1, 2 ** 31 - 1, 7])
    assert.equal(batch.watermarkMs, 1234)
  })

  test('carry which records are taken back, frame after frame', () => {
    const rows = fc.array(fc.record({ value: anyValue, isRetraction: fc.boolean() }), {
      maxLength: 20,
    })
    fc.assert(
      fc.property(fc.array(rows, { maxLength: 4 }), fc.boolean(), (frames, isKeyed) => {
        const wire = new Wire({ isKeyed })
        for (const frame of frames) {
          const batch = batchOf(
            frame.map(({ value }, row) => ({ value, timestampMs: row, hash: row * 7 })),
          )
          frame.forEach(({ isRetraction }, row) => isRetraction && batch.markRetraction(row))

          const read = wire.records(batch)

          assert.equal(read.count, frame.length)
          assert.equal(read.retractionCount, batch.retractionCount)
          frame.forEach(({ value, isRetraction }, row) => {
            assertSameValue(read.values[row], value)
            assert.equal(read.timestamps[row], row)
            assert.equal(read.retractions[row], isRetraction ? 1 : 0)
            if (isKeyed) assert.equal(read.hashes[row], row * 7)
          })
        }
      }),
    )
  })

  test('of inserts have nothing about retractions', () => {
    const encoder = new FrameEncoder(new ShapeBook(), false)
    const rows = Array.from({ length: 9 }, (_, row) => ({ value: row, timestampMs: row, hash: 0 }))
    const inserts = encoder.encode(batchOf(rows)).length
    const batch = batchOf(rows)
    batch.markRetraction(8)

    assert.equal(encoder.encode(batch).length, inserts + 16)
  })

  test('a batch that had retractions is one of inserts when it is filled again', () => {
    const batch = batchOf([{ value: 1, timestampMs: 0, hash: 0 }])
    batch.markRetraction(0)

    batch.reset()

    assert.deepEqual([batch.retractionCount, batch.retractions[0]], [0, 0])
  })

  test('carry a watermark alone, also the last one', () => {
    const batch = new Wire().records(batchOf([], Infinity))
    assert.equal(batch.count, 0)
    assert.equal(batch.watermarkMs, Infinity)
  })

  test('carry barriers, idleness and the end', () => {
    const wire = new Wire()
    const elements = [
      { kind: 'barrier', checkpointId: 2 ** 40, checkpointKind: 'checkpoint' },
      { kind: 'barrier', checkpointId: 1, checkpointKind: 'savepoint' },
      { kind: 'idle', isIdle: true },
      { kind: 'idle', isIdle: false },
      { kind: 'end' },
    ] as const
    for (const element of elements) assert.deepEqual(wire.control(element), element)
  })

  test('refuse what is no value, with its path', () => {
    const encoder = new FrameEncoder(new ShapeBook(), false)
    const batch = batchOf([{ value: { a: [1, () => 1] }, timestampMs: 0, hash: 0 }])
    assert.throws(() => encoder.encode(batch), { code: 'VALUE_UNSUPPORTED', message: /a\[1\]/ })
  })

  test('a book shared by channels teaches each of them its shapes', () => {
    const book = new ShapeBook()
    const first = new FrameEncoder(book, false)
    const second = new FrameEncoder(book, false)
    const decoder = new FrameDecoder({ keepsStrings: false })
    const batch = (): RecordBatch => batchOf([{ value: { a: 1, b: 'x' }, timestampMs: 0, hash: 0 }])
    first.encode(batch())

    const frame = Uint8Array.from(second.encode(batch()))

    const read = decoder.records(frame.buffer, 0, frame.length, new RecordBatch(1))
    assert.deepEqual(read.values[0], { a: 1, b: 'x' })
  })
})
