/** The machine's clock and timers. Only the edge (job, cli) names it. */
import type { Clock, Scheduler } from '../core/time.ts'

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
}

/** Node's timers take no longer delay: they fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1

export const systemScheduler: Scheduler = {
  after(delayMs, action) {
    let timer: NodeJS.Timeout
    const wait = (leftMs: number): void => {
      timer =
        leftMs > TIMER_MS_MAX
          ? setTimeout(() => wait(leftMs - TIMER_MS_MAX), TIMER_MS_MAX)
          : setTimeout(action, leftMs)
    }
    wait(delayMs)
    return () => clearTimeout(timer)
  },
}
