/**
 * A channel within one thread: a bounded queue of references. Nothing is encoded and nothing is copied.
 *
 * Invariants
 *  - Between 0 and `framesInFlightMax` elements wait, and together they have about `bytesInFlightMax` bytes at the most
 *    (one element is always let in, so that a large one does not stand for ever).
 *  - Batches go round between producer and consumer: after a while none is allocated.
 */
import { BATCH_RECORDS_MAX, RecordBatch } from '../core/record-batch.ts'
import { approximateBytes } from '../core/value-size.ts'
import type { ChannelBounds, ChannelReader, ChannelWriter, StreamElement } from './channel.ts'
import { CHANNEL_BOUNDS_DEFAULT } from './channel.ts'

/** A batch costs so much beside its values. */
const BATCH_OVERHEAD_BYTES = 64

export class LocalChannel implements ChannelWriter, ChannelReader {
  readonly #elements: (StreamElement | undefined)[]
  readonly #bytes: number[]
  readonly #bytesMax: number
  readonly #spare: RecordBatch[] = []
  #head = 0
  #count = 0
  #bytesWaiting = 0

  constructor(bounds: ChannelBounds = CHANNEL_BOUNDS_DEFAULT) {
    this.#elements = new Array<StreamElement | undefined>(bounds.framesInFlightMax).fill(undefined)
    this.#bytes = new Array<number>(bounds.framesInFlightMax).fill(0)
    this.#bytesMax = bounds.bytesInFlightMax
  }

  takeBatch(): RecordBatch {
    return this.#spare.pop() ?? new RecordBatch(BATCH_RECORDS_MAX)
  }

  offer(element: StreamElement): boolean {
    const elements = this.#elements
    if (this.#count === elements.length) return false
    const bytes = element.kind === 'records' ? batchBytes(element) : BATCH_OVERHEAD_BYTES
    if (this.#count > 0 && this.#bytesWaiting + bytes > this.#bytesMax) return false
    const tail = (this.#head + this.#count) % elements.length
    elements[tail] = element
    this.#bytes[tail] = bytes
    this.#bytesWaiting += bytes
    this.#count += 1
    return true
  }

  pump(): boolean {
    return true
  }

  poll(): StreamElement | undefined {
    if (this.#count === 0) return undefined
    const head = this.#head
    const element = this.#elements[head]
    this.#elements[head] = undefined
    this.#bytesWaiting -= this.#bytes[head] as number
    this.#head = (head + 1) % this.#elements.length
    this.#count -= 1
    return element
  }

  recycle(batch: RecordBatch): void {
    batch.reset()
    if (this.#spare.length < this.#elements.length) this.#spare.push(batch)
  }
}

/** The size of a batch, from its first record. */
function batchBytes(batch: RecordBatch): number {
  return BATCH_OVERHEAD_BYTES + batch.count * approximateBytes(batch.values[0])
}
