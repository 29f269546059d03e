/**
 * How long to wait between attempts, and when to give up. Pure: the clock's reading is handed in.
 *
 * Invariants
 *  - Delays double from BACK_OFF_MS_FIRST to BACK_OFF_MS_MAX; one success begins anew.
 *  - Bounds are on time, not on attempts, so they do not depend on how long an attempt takes: each kind of error has its own
 *    patience, counted from when it came first in a row, and all together have RETRY_MS_MAX.
 */
import type { EngineError } from '../../src/core/errors.ts'
import { patienceMs, RETRY_MS_MAX } from './kafka-errors.ts'

/** The delay after a first failure. */
export const BACK_OFF_MS_FIRST = 20
/** The longest delay. */
export const BACK_OFF_MS_MAX = 1000

export class BackOff {
  #failingSinceMs = NaN
  #code = ''
  #codeSinceMs = NaN
  #delayMs = BACK_OFF_MS_FIRST
  #failureCount = 0

  /** The delay before the next attempt; undefined where there should be none. */
  failed(elapsedMs: number, error: EngineError): number | undefined {
    if (this.#failureCount++ === 0) this.#failingSinceMs = elapsedMs
    if (this.#code !== error.code) {
      this.#code = error.code
      this.#codeSinceMs = elapsedMs
    }
    if (elapsedMs - this.#codeSinceMs >= patienceMs(error)) return undefined
    if (elapsedMs - this.#failingSinceMs >= RETRY_MS_MAX) return undefined
    const delayMs = this.#delayMs
    this.#delayMs = Math.min(delayMs * 2, BACK_OFF_MS_MAX)
    return delayMs
  }

  succeeded(): void {
    if (this.#failureCount === 0) return
    this.#failureCount = 0
    this.#code = ''
    this.#delayMs = BACK_OFF_MS_FIRST
  }

  /** Whether the last failure is one to be logged: the 1st, 2nd, 4th, 8th, ... */
  get isNoteworthy(): boolean {
    return (this.#failureCount & (this.#failureCount - 1)) === 0
  }
}
