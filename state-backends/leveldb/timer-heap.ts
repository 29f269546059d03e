/** Timers in memory by time: a binary heap. */
import type { TimerEntry } from './timer-segment.ts'

export class TimerHeap {
  entries: TimerEntry[] = []

  get count(): number {
    return this.entries.length
  }

  get top(): TimerEntry | undefined {
    return this.entries[0]
  }

  /** Replaces what it holds. A sorted array is a heap. */
  fill(entries: TimerEntry[]): void {
    this.entries = entries.sort((a, b) => a.timestampMs - b.timestampMs || 0)
  }

  push(entry: TimerEntry): void {
    const { entries } = this
    let at = entries.length
    entries.push(entry)
    while (at > 0) {
      const parentAt = (at - 1) >> 1
      const parent = entries[parentAt] as TimerEntry
      if (parent.timestampMs <= entry.timestampMs) break
      entries[at] = parent
      at = parentAt
    }
    entries[at] = entry
  }

  pop(): void {
    const { entries } = this
    const moved = entries.pop()
    if (moved === undefined || entries.length === 0) return
    let at = 0
    for (;;) {
      const left = at * 2 + 1
      if (left >= entries.length) break
      const right = left + 1
      const leftEntry = entries[left] as TimerEntry
      const rightEntry = entries[right]
      const isRight = rightEntry !== undefined && rightEntry.timestampMs < leftEntry.timestampMs
      const child = isRight ? rightEntry : leftEntry
      if (child.timestampMs >= moved.timestampMs) break
      entries[at] = child
      at = isRight ? right : left
    }
    entries[at] = moved
  }
}
