/**
 * Single-producer single-consumer ring of frames over a SharedArrayBuffer.
 *
 * Layout: a control block, then `capacityBytes` of data. A frame begins at a multiple of 8 with its length in bytes (itself a
 * multiple of 8); a frame that does not fit before the end of the data leaves a skip mark there and begins at 0.
 *
 * Invariants
 *  - Positions only grow (modulo 2^32), and become offsets only when used; `tail - head` is between 0 and `capacityBytes`.
 *  - At most `framesInFlightMax` frames are in the ring; a frame with its length is at most half of the capacity, so that it
 *    fits an empty ring wherever the head stands.
 *  - Only the producer writes the tail, only the consumer the head; both are published after what they stand for.
 *  - Called from exactly two threads; never allocates after it was made.
 */

const SKIP = -1
const FRAME_ALIGNMENT = 8

// words of the control block; producer's and consumer's on cache lines of their own
const TAIL = 0
const FRAMES_WRITTEN = 1
const HEAD = 16
const FRAMES_READ = 17
const CONTROL_BYTES = 128

export interface RingOptions {
  /** A power of two. */
  readonly capacityBytes: number
  readonly framesInFlightMax: number
}

/** Shared memory for a ring; zero-filled memory is an empty ring. */
export function allocateRing({ capacityBytes }: RingOptions): SharedArrayBuffer {
  return new SharedArrayBuffer(CONTROL_BYTES + capacityBytes)
}

/** The length of the largest frame a ring takes. */
export function frameBytesMax({ capacityBytes }: RingOptions): number {
  return capacityBytes / 2 - FRAME_ALIGNMENT
}

/** The producer's end. */
export class RingWriter {
  readonly #control: Int32Array
  readonly #words: Int32Array
  readonly #data: Uint8Array
  readonly #capacity: number
  readonly #framesMax: number
  #tail = 0
  #framesWritten = 0

  constructor(memory: SharedArrayBuffer, options: RingOptions) {
    this.#control = new Int32Array(memory, 0, CONTROL_BYTES / 4)
    this.#words = new Int32Array(memory, CONTROL_BYTES)
    this.#data = new Uint8Array(memory, CONTROL_BYTES)
    this.#capacity = options.capacityBytes
    this.#framesMax = options.framesInFlightMax
  }

  /** Whether a further frame is allowed; how long it may be is another matter. */
  hasSlot(): boolean {
    const framesRead = Atomics.load(this.#control, FRAMES_READ)
    return ((this.#framesWritten - framesRead) | 0) < this.#framesMax
  }

  /** Copies a frame into the ring, or answers false if it has no room now. `frame.length` is a multiple of 8. */
  tryWrite(frame: Uint8Array): boolean {
    if (!this.hasSlot()) return false
    const capacity = this.#capacity
    const needed = frame.length + FRAME_ALIGNMENT
    const used = (this.#tail - Atomics.load(this.#control, HEAD)) >>> 0
    let offset = (this.#tail >>> 0) % capacity
    const toEnd = capacity - offset
    const skipped = toEnd < needed ? toEnd : 0
    if (used + skipped + needed > capacity) return false
    if (skipped > 0) {
      this.#words[offset >> 2] = SKIP
      offset = 0
    }
    this.#words[offset >> 2] = frame.length
    this.#data.set(frame, offset + FRAME_ALIGNMENT)
    this.#tail = (this.#tail + skipped + needed) | 0
    this.#framesWritten = (this.#framesWritten + 1) | 0
    Atomics.store(this.#control, FRAMES_WRITTEN, this.#framesWritten)
    Atomics.store(this.#control, TAIL, this.#tail)
    return true
  }
}

/** The consumer's end. */
export class RingReader {
  readonly #control: Int32Array
  readonly #words: Int32Array
  readonly #memory: SharedArrayBuffer
  readonly #capacity: number
  #head = 0
  #framesRead = 0
  /** Where the present frame begins, counted in the shared memory; valid after `next` until `release`. */
  frameOffset = 0
  frameBytes = 0

  constructor(memory: SharedArrayBuffer, options: RingOptions) {
    this.#control = new Int32Array(memory, 0, CONTROL_BYTES / 4)
    this.#words = new Int32Array(memory, CONTROL_BYTES)
    this.#memory = memory
    this.#capacity = options.capacityBytes
  }

  get memory(): SharedArrayBuffer {
    return this.#memory
  }

  /** Whether there is a frame; then `frameOffset` and `frameBytes` tell where. */
  next(): boolean {
    const tail = Atomics.load(this.#control, TAIL)
    if (tail === this.#head) return false
    let offset = (this.#head >>> 0) % this.#capacity
    let bytes = this.#words[offset >> 2] as number
    if (bytes === SKIP) {
      this.#head = (this.#head + this.#capacity - offset) | 0
      offset = 0
      bytes = this.#words[0] as number
    }
    this.frameOffset = CONTROL_BYTES + offset + FRAME_ALIGNMENT
    this.frameBytes = bytes
    return true
  }

  /** Gives the present frame's room back to the producer. */
  release(): void {
    this.#head = (this.#head + this.frameBytes + FRAME_ALIGNMENT) | 0
    this.#framesRead = (this.#framesRead + 1) | 0
    Atomics.store(this.#control, HEAD, this.#head)
    Atomics.store(this.#control, FRAMES_READ, this.#framesRead)
  }
}
