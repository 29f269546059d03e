/**
 * Frames between threads, nanoseconds a record: batches of 512 auction events, of events nested in another object, and of partial
 * results.
 *
 *   node dist/bench/channel/frame-codec.bench.js [ms=1000]
 */
import { auctionEvent } from '../../examples/auction/events.ts'
import { FrameDecoder, FrameEncoder, ShapeBook } from '../../src/channel/frame-codec.ts'
import { BATCH_RECORDS_MAX, RecordBatch } from '../../src/core/record-batch.ts'
import { newBench, report } from '../micro/tasks.ts'

const BATCHES = 8

function batchesOf(make: (index: number) => unknown): RecordBatch[] {
  return Array.from({ length: BATCHES }, (_, n) => {
    const batch = new RecordBatch()
    for (let row = 0; row < BATCH_RECORDS_MAX; row++) {
      batch.values[row] = make(n * BATCH_RECORDS_MAX + row)
      batch.timestamps[row] = row
    }
    batch.count = BATCH_RECORDS_MAX
    return batch
  })
}

const bench = newBench()
const kinds: readonly (readonly [string, (index: number) => unknown])[] = [
  ['auction events', auctionEvent],
  ['nested events', (index) => ({ key: index, event: auctionEvent(index) })],
  ['partial results', (index) => ({ key: index, slice: 1.7e12, valueCount: 3, accumulator: 7 })],
]
for (const [name, make] of kinds) {
  const encoder = new FrameEncoder(new ShapeBook(), true)
  const decoder = new FrameDecoder({ keepsStrings: false })
  const into = new RecordBatch()
  // strings made new each time: encoding flattens them
  let batches: RecordBatch[] = []
  const remake = { beforeEach: () => void (batches = batchesOf(make)) }
  // shapes are told in the first frame that has them
  const frames = [...batchesOf(make), ...batchesOf(make)].map((batch) =>
    Uint8Array.from(encoder.encode(batch)),
  )
  for (const frame of frames) decoder.records(frame.buffer, 0, frame.length, into)
  bench
    .add(
      `frame/encode ${name}`,
      () => {
        for (const batch of batches) encoder.encode(batch)
      },
      remake,
    )
    .add(`frame/decode ${name}`, () => {
      for (const frame of frames.slice(BATCHES))
        decoder.records(frame.buffer, 0, frame.length, into)
    })
}
await report(bench, BATCHES * BATCH_RECORDS_MAX, 'a record')
