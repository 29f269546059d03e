/**
 * Frames through the ring between two threads, written and read on one: what the ring itself costs, without waking anybody.
 *
 *   node dist/bench/channel/ring.bench.js [ms=1000]
 */
import { RingReader, RingWriter, allocateRing } from '../../src/channel/ring.ts'
import { newBench, report } from '../micro/tasks.ts'

const FRAMES = 1024
const options = { capacityBytes: 1 << 20, framesInFlightMax: 32 }

const bench = newBench()
let sum = 0
for (const [name, bytes] of [
  ['64 B', 64],
  ['1 KiB', 1024],
  ['64 KiB', 65_536],
] as const) {
  const memory = allocateRing(options)
  const writer = new RingWriter(memory, options)
  const reader = new RingReader(memory, options)
  const frame = new Uint8Array(bytes)
  bench.add(`ring/write and read ${name} frames`, () => {
    for (let n = 0; n < FRAMES; n++) {
      if (!writer.tryWrite(frame) || !reader.next()) throw new Error('The ring has room for one')
      sum += reader.frameBytes
      reader.release()
    }
  })
}
await report(bench, FRAMES, 'a frame')
if (sum === 0) throw new Error('No frame was read')
