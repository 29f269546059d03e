/**
 * How far behind the newest record others come: the source of watermarks that are right for a given part of the records only.
 *
 * Invariants
 *  - Delays are counted in classes that grow by a tenth, so what is said of them is at most a tenth too high, and never too low.
 *  - Old records count less and less: all counts are halved each time there are `COUNT_MAX`. By records alone, no clock: a replay
 *    finds the same.
 */
const GROWTH = Math.log(1.1)
const COUNT_MAX = 4096
/** Records between two looks at the counts. */
const LOOK_EVERY = 32

/** In the value model. */
export interface DelayEstimateState {
  readonly newestMs: number
  readonly counts: readonly number[]
  readonly watermarkMs: number
  readonly delayMs: number
  readonly untilLook: number
}

export class DelayEstimate {
  /**
   * No more than the rest of the records is expected at or before it. `-Infinity` until enough records were seen to tell: one at least of
   * the rest.
   */
  watermarkMs: number = -Infinity
  readonly #percentile: number
  #newestMs = -Infinity
  #counts: number[] = []
  #total = 0
  #delayMs = Infinity
  #untilLook = 1

  /** `percentile`: the part of the records that is to have come, between 0 and 1. `restored`: of the former subtasks that this one follows. */
  constructor(percentile: number, restored: readonly DelayEstimateState[] = []) {
    this.#percentile = percentile
    const [only, ...others] = restored
    for (const { newestMs, counts } of restored) {
      this.#newestMs = Math.max(this.#newestMs, newestMs)
      counts.forEach((count, index) => this.#add(index, count))
    }
    if (only === undefined) return
    if (others.length > 0) {
      this.#look()
    } else {
      this.watermarkMs = only.watermarkMs
      this.#delayMs = only.delayMs
      this.#untilLook = only.untilLook
    }
  }

  record(timestampMs: number): void {
    this.#newestMs = Math.max(this.#newestMs, timestampMs)
    const delayMs = this.#newestMs - timestampMs
    this.#add(delayMs <= 0 ? 0 : 1 + Math.ceil(Math.log(delayMs) / GROWTH), 1)
    this.#untilLook -= 1
    if (this.#untilLook === 0) this.#look()
    this.watermarkMs = Math.max(this.watermarkMs, this.#newestMs - this.#delayMs)
  }

  state(): DelayEstimateState {
    return {
      newestMs: this.#newestMs,
      counts: [...this.#counts],
      watermarkMs: this.watermarkMs,
      delayMs: this.#delayMs,
      untilLook: this.#untilLook,
    }
  }

  #add(index: number, count: number): void {
    while (this.#counts.length <= index) this.#counts.push(0)
    this.#counts[index] = (this.#counts[index] as number) + count
    this.#total += count
  }

  #look(): void {
    this.#untilLook = this.#total < LOOK_EVERY ? 1 : LOOK_EVERY
    if (this.#total >= COUNT_MAX) {
      this.#counts = this.#counts.map((count) => Math.floor(count / 2))
      this.#total = this.#counts.reduce((sum, count) => sum + count, 0)
    }
    // 1 - 0.9 is a little less than a tenth
    if (this.#total * (1 - this.#percentile) < 1 - 1e-9) return
    let seen = 0
    const index = this.#counts.findIndex(
      (count) => (seen += count) >= this.#total * this.#percentile,
    )
    this.#delayMs = index === 0 ? 0 : Math.ceil(Math.exp((index - 1) * GROWTH))
    this.watermarkMs = Math.max(this.watermarkMs, this.#newestMs - this.#delayMs)
  }
}
