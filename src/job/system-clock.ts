/** The machine's clock. Only the edge (job, cli) names it. */
import type { Clock } from '../core/time.ts'

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
}
