/** Time that moves only when it is told to: a clock and the timers of whoever waits on it. */
import type { Clock, Scheduler } from '../core/time.ts'

interface Timer {
  readonly atMs: number
  readonly action: () => void
}

export class ManualTime {
  nowMs = 0
  #timers: Timer[] = []

  readonly clock: Clock = { now: () => this.nowMs, elapsed: () => this.nowMs }

  readonly scheduler: Scheduler = {
    after: (delayMs, action) => {
      const timer = { atMs: this.nowMs + Math.max(0, delayMs), action }
      this.#timers.push(timer)
      return () => {
        this.#timers = this.#timers.filter((other) => other !== timer)
      }
    },
  }

  /** When the next timer is due; Infinity if there is none. */
  nextTimerMs(): number {
    return Math.min(...this.#timers.map(({ atMs }) => atMs), Infinity)
  }

  /** Runs the timers that are due, the earliest first; whether there were any. */
  runDue(): boolean {
    const due = this.#timers.filter(({ atMs }) => atMs <= this.nowMs)
    if (due.length === 0) return false
    this.#timers = this.#timers.filter((timer) => !due.includes(timer))
    for (const { action } of due.sort((a, b) => a.atMs - b.atMs)) action()
    return true
  }
}
