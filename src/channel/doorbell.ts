/**
 * How one thread wakes another: a counter in shared memory that the sleeper waits on. One bell per slot.
 *
 * Invariants
 *  - Whoever changes something the slot may be waiting for (a frame written, room made, a message posted) rings afterwards.
 *  - A slot reads the count before it looks for work and sleeps only on that count: a ring in between is never lost.
 *  - Nobody notifies a slot that is awake: that costs a flag's read instead of a system call.
 */

const COUNT = 0
const SLEEPING = 1
const WORDS = 2

export class Doorbell {
  readonly #words: Int32Array<SharedArrayBuffer>

  /** Shared memory for one bell. */
  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT)
  }

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory)
  }

  /** Wakes the slot, or keeps it from falling asleep. From any thread. */
  ring(): void {
    Atomics.add(this.#words, COUNT, 1)
    if (Atomics.load(this.#words, SLEEPING) !== 0) Atomics.notify(this.#words, COUNT)
  }

  /** Rings so far; read before looking for work. */
  count(): number {
    return Atomics.load(this.#words, COUNT)
  }

  /** Blocks the thread until it rings or `timeoutMs` are over. Only for short times in a worker. */
  wait(seenCount: number, timeoutMs: number): void {
    Atomics.store(this.#words, SLEEPING, 1)
    Atomics.wait(this.#words, COUNT, seenCount, timeoutMs)
    Atomics.store(this.#words, SLEEPING, 0)
  }

  /**
   * Sleeps until it rings or `timeoutMs` are over, while the event loop goes on. Does not keep the process alive by itself
   * (a pending `waitAsync` never does): the worker's message port does.
   */
  async sleep(seenCount: number, timeoutMs: number): Promise<void> {
    Atomics.store(this.#words, SLEEPING, 1)
    const waiting = Atomics.waitAsync(this.#words, COUNT, seenCount, timeoutMs)
    if (waiting.async) await waiting.value
    Atomics.store(this.#words, SLEEPING, 0)
  }
}
