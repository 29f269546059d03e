/** How a worker sleeps: on its doorbell. */
import type { Doorbell } from '../channel/doorbell.ts'
import type { Sleeper } from '../runtime/slot-loop.ts'

/**
 * First the thread blocks for a moment, since most pauses end within microseconds and this wakes fastest; I/O is held up by that much
 * at the most. Then it sleeps in the event loop.
 */
const BLOCKING_MS_MAX = 0.5

export class WorkerSleeper implements Sleeper {
  readonly #bell: Doorbell

  constructor(bell: Doorbell) {
    this.#bell = bell
  }

  count(): number {
    return this.#bell.count()
  }

  async sleep(seenCount: number, timeoutMs: number): Promise<void> {
    if (timeoutMs > 0) this.#bell.wait(seenCount, Math.min(timeoutMs, BLOCKING_MS_MAX))
    // the host has its turn in any case
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
    if (timeoutMs > BLOCKING_MS_MAX) await this.#bell.sleep(seenCount, timeoutMs - BLOCKING_MS_MAX)
  }
}
