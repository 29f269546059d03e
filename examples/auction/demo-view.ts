/** What the demo shows: a picture that is drawn over on a terminal, lines everywhere else. */
import logUpdate from 'log-update'
import type { RunningJob } from 'millrace'
import { QUERIES } from './demo-job.ts'
import type { LiveRow } from './live-rows.ts'

const ROWS_SHOWN = 4
const DRAW_EVERY_MS = 100
const LINE_EVERY_MS = 1000
/** The rate is that of the last so many milliseconds. */
const RATE_OVER_MS = 2000

export class DemoView {
  readonly #running: RunningJob
  readonly #startedMs = performance.now()
  readonly #isTerminal = process.stdout.isTTY
  readonly #latest = new Map<string, string[]>(QUERIES.map((query) => [query, []]))
  readonly #samples: { readonly atMs: number; readonly recordsRead: number }[] = []
  #timer: NodeJS.Timeout | undefined
  #hasRows = false

  constructor(running: RunningJob) {
    this.#running = running
  }

  /** From now on until `end`; the job has started. */
  begin(): void {
    this.#timer = setInterval(() => this.#show(), this.#isTerminal ? DRAW_EVERY_MS : LINE_EVERY_MS)
  }

  onRow({ query, text }: LiveRow): void {
    const rows = this.#latest.get(query)
    rows?.unshift(text)
    rows?.splice(ROWS_SHOWN)
    if (this.#hasRows) return
    this.#hasRows = true
    if (this.#isTerminal) this.#show()
    else console.log(`first result after ${this.#seconds()} s: ${query}: ${text}`)
  }

  end(): void {
    clearInterval(this.#timer)
    if (this.#isTerminal) {
      this.#show()
      logUpdate.done()
    }
  }

  #show(): void {
    if (this.#isTerminal) logUpdate(this.#picture())
    else console.log(this.#line())
  }

  #picture(): string {
    const lines = [`auction-demo ${this.#running.status}, Ctrl-C stops it`, '', this.#line()]
    for (const [query, rows] of this.#latest) {
      lines.push('', query, ...Array.from({ length: ROWS_SHOWN }, (_, i) => `  ${rows[i] ?? ''}`))
    }
    return lines.join('\n')
  }

  #line(): string {
    const { figures } = this.#running
    const { recordsRead } = figures.totals()
    const watermarkMs = Math.min(...figures.tasks().map((task) => task.watermarkMs))
    const checkpoint = figures.lastCheckpoint
    const parts = [
      `${this.#seconds()} s`,
      `${count(this.#rate(recordsRead))} records/s`,
      `${count(recordsRead)} records`,
      `watermark ${clockTime(watermarkMs)}`,
      checkpoint === undefined
        ? 'no checkpoint yet'
        : `checkpoint ${checkpoint.checkpointId} (${checkpoint.durationMs.toFixed(0)} ms, ${kilobytes(checkpoint.bytes)})`,
    ]
    return parts.join(' | ')
  }

  #rate(recordsRead: number): number {
    const atMs = performance.now()
    this.#samples.push({ atMs, recordsRead })
    while (this.#samples.length > 2 && (this.#samples[1]?.atMs ?? atMs) < atMs - RATE_OVER_MS) {
      this.#samples.shift()
    }
    const first = this.#samples[0] ?? { atMs: this.#startedMs, recordsRead: 0 }
    const since = first.atMs === atMs ? { atMs: this.#startedMs, recordsRead: 0 } : first
    return (1000 * (recordsRead - since.recordsRead)) / Math.max(1, atMs - since.atMs)
  }

  #seconds(): string {
    return ((performance.now() - this.#startedMs) / 1000).toFixed(1)
  }
}

/** A number for people: `1,234,567`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

/** An event time for people. */
export function clockTime(timeMs: number): string {
  return Number.isFinite(timeMs) ? new Date(timeMs).toISOString().slice(11, 19) : '-'
}

function kilobytes(bytes: number): string {
  return `${count(bytes / 1024)} KiB`
}
