/** What happens after a failure. Pure: failures and times go in, a decision comes out. */
import { ms } from '../core/duration.ts'
import { unreachable } from '../core/errors.ts'
import type { RestartOptions } from '../plan/job-definition.ts'

/** Either go on after some time, or give up and say why. */
export type RestartDecision =
  | { readonly kind: 'restart'; readonly delayMs: number }
  | { readonly kind: 'give-up'; readonly reason: string }

export class RestartPolicy {
  readonly #strategy: RestartOptions
  /** When the job failed, oldest first. */
  #failuresMs: number[] = []
  #exponent = 0

  constructor(strategy: RestartOptions) {
    this.#strategy = strategy
  }

  /** The job has failed at `nowMs`, on a clock that never goes back. */
  onFailure(nowMs: number): RestartDecision {
    const strategy = this.#strategy
    const lastMs = this.#failuresMs.at(-1) ?? -Infinity
    this.#failuresMs.push(nowMs)
    switch (strategy.kind) {
      case 'none':
        return { kind: 'give-up', reason: 'the restart strategy is none' }
      case 'fixed':
        return this.#failuresMs.length > strategy.attemptsMax
          ? {
              kind: 'give-up',
              reason: `it was restarted ${strategy.attemptsMax} times, as often as allowed`,
            }
          : { kind: 'restart', delayMs: ms(strategy.delay) }
      case 'exponential': {
        const maxMs = ms(strategy.delayMax)
        const resetMs = strategy.resetAfter === undefined ? maxMs * 10 : ms(strategy.resetAfter)
        if (nowMs - lastMs > resetMs) this.#exponent = 0
        const delayMs = Math.min(maxMs, ms(strategy.delay) * 2 ** this.#exponent)
        this.#exponent += 1
        // only the last failure matters, so the list stays short
        this.#failuresMs = [nowMs]
        return { kind: 'restart', delayMs }
      }
      case 'failure-rate': {
        const withinMs = ms(strategy.within)
        this.#failuresMs = this.#failuresMs.filter((failureMs) => nowMs - failureMs < withinMs)
        return this.#failuresMs.length > strategy.failuresMax
          ? {
              kind: 'give-up',
              reason: `it failed ${this.#failuresMs.length} times within ${strategy.within}`,
            }
          : { kind: 'restart', delayMs: ms(strategy.delay) }
      }
      default:
        return unreachable(strategy)
    }
  }
}
