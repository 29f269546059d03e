/**
 * A bounded way for stream elements from one subtask to another: one producer, one consumer.
 *
 * Invariants
 *  - Elements come out in the order they went in. Barriers, watermarks and end-of-input take their turn like
 *    records.
 *  - `offer` never waits: it answers false when the channel is full, and then keeps nothing.
 *  - A batch that was accepted belongs to the channel, a batch that was polled to the consumer until it is given back.
 */
import type { RecordBatch } from '../core/record-batch.ts'

/** What travels in a channel. Watermarks travel in the header of a batch, which may be empty. */
export type StreamElement = RecordBatch | Barrier | IdleStatus | EndOfInput

/** Records before it belong to the checkpoint, records after it do not. */
export interface Barrier {
  readonly kind: 'barrier'
  readonly checkpointId: number
  readonly checkpointKind: 'checkpoint' | 'savepoint'
}

/** Whether the producer has nothing to say for a while: an idle channel does not hold the watermark back. */
export interface IdleStatus {
  readonly kind: 'idle'
  readonly isIdle: boolean
}

/** Nothing comes after it. */
export interface EndOfInput {
  readonly kind: 'end'
}

/** How much a channel may hold. */
export interface ChannelBounds {
  readonly framesInFlightMax: number
  /** Exact for rings; for references within a thread estimated from samples. */
  readonly bytesInFlightMax: number
}

/** Bounds where nothing else is said: some milliseconds of work, a few megabytes a channel at the most. */
export const CHANNEL_BOUNDS_DEFAULT: ChannelBounds = {
  framesInFlightMax: 16,
  bytesInFlightMax: 1 << 20,
}

/** The producer's end. */
export interface ChannelWriter {
  /** An empty batch to fill: one that came back, or a new one. */
  takeBatch(): RecordBatch
  offer(element: StreamElement): boolean
  /** Hands on what the writer itself still holds of accepted elements; false while something is left. */
  pump(): boolean
}

/** The consumer's end. */
export interface ChannelReader {
  /** The next element, or undefined if there is none now. */
  poll(): StreamElement | undefined
  /** Gives a polled batch back to be filled again. */
  recycle(batch: RecordBatch): void
}
