/**
 * Looks on from outside whether the engine keeps its bounds: the elements in each channel, and what it opened and did not close.
 *
 * Invariants that are held against the engine, in every run
 *  - No channel, within a slot or between two, ever holds more elements than `framesInFlightMax`.
 *  - A job that ended in good order, in a process that lost no slot, has closed every reader, split, sink and table.
 */
import { LocalChannel } from '../../src/channel/local-channel.ts'
import type { StreamElement } from '../../src/channel/channel.ts'

// words of a ring's control block: see channel/ring.ts
const FRAMES_WRITTEN = 1
const FRAMES_READ = 17

/** Elements in each channel within a slot, counted where they go in and come out. */
const waiting = new WeakMap<LocalChannel, number>()
let highestWaiting = 0

// oxlint-disable-next-line typescript/unbound-method -- called below with the channel they belong to
const { offer, poll } = LocalChannel.prototype

LocalChannel.prototype.offer = function (this: LocalChannel, element: StreamElement): boolean {
  const isTaken = offer.call(this, element)
  if (isTaken) {
    const count = (waiting.get(this) ?? 0) + 1
    waiting.set(this, count)
    if (count > highestWaiting) highestWaiting = count
  }
  return isTaken
}

LocalChannel.prototype.poll = function (this: LocalChannel): StreamElement | undefined {
  const element = poll.call(this)
  if (element !== undefined) waiting.set(this, (waiting.get(this) ?? 0) - 1)
  return element
}

export class BoundsWatch {
  #framesMax = 0
  #rings: readonly Int32Array[] = []

  constructor() {
    highestWaiting = 0
  }

  /** A process begins, with channels of this size. */
  begin(framesMax: number): void {
    this.#framesMax = Math.max(this.#framesMax, framesMax)
    this.#rings = []
  }

  /** The rings of an attempt. */
  watch(rings: ReadonlyMap<string, SharedArrayBuffer>): void {
    this.#rings = [...rings.values()].map((memory) => new Int32Array(memory, 0, FRAMES_READ + 1))
  }

  /** What is beyond its bound; undefined if nothing is. */
  broken(): string | undefined {
    if (highestWaiting > this.#framesMax) {
      return `A channel held ${highestWaiting} elements, ${this.#framesMax} are allowed`
    }
    for (const ring of this.#rings) {
      const count = ((ring[FRAMES_WRITTEN] as number) - (ring[FRAMES_READ] as number)) | 0
      if (count < 0 || count > this.#framesMax) {
        return `A ring held ${count} frames, ${this.#framesMax} are allowed`
      }
    }
    return undefined
  }
}

/** What one process has opened. */
export class OpenResources {
  readonly #counts = new Map<string, number>()

  /** Something of this kind was opened; the answer is to be called when it is closed. */
  open(kind: string): () => void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1)
    let isOpen = true
    return () => {
      if (isOpen) this.#counts.set(kind, (this.#counts.get(kind) ?? 0) - 1)
      isOpen = false
    }
  }

  /** What is still open; undefined if nothing is. */
  left(): string | undefined {
    const left = [...this.#counts].filter(([, count]) => count > 0)
    if (left.length === 0) return undefined
    return left.map(([kind, count]) => `${count} ${kind}(s)`).join(', ')
  }
}
