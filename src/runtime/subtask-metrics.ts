/** What a subtask counts. */
import type { Counter, Metrics } from '../core/metrics.ts'

/** The figures of a subtask, as they are told to the coordinator. Plain data. */
export interface SubtaskFigures {
  readonly recordsRead: number
  readonly recordsIn: number
  readonly recordsOut: number
  readonly watermarkMs: number
  readonly stateCells: number
  /** Of its operators that have a uid: those without are maps and filters, which hold nothing back. */
  readonly watermarks: readonly OperatorWatermarks[]
  /** Counters of its operators: `<operator>.<name>`. */
  readonly values: Readonly<Record<string, number>>
  /** Gauges of its operators, by the same names. */
  readonly gauges: Readonly<Record<string, number>>
}

/** How far event time has come at one operator: -Infinity before the first watermark, Infinity at the end. */
export interface OperatorWatermarks {
  readonly operator: string
  /** What it has been told. Of a source: what it has told. */
  readonly inputMs: number
  /** What it has told those behind it. Lower where it holds results back. */
  readonly outputMs: number
}

class CountedValue implements Counter {
  value = 0

  add(count = 1): void {
    this.value += count
  }
}

export class SubtaskMetrics {
  recordsIn = 0
  readonly #counters = new Map<string, CountedValue>()
  readonly #gauges = new Map<string, () => number>()

  /** The metrics of one operator. */
  of(operatorName: string): Metrics {
    return {
      counter: (name) => {
        const path = `${operatorName}.${name}`
        let counter = this.#counters.get(path)
        if (counter === undefined) {
          counter = new CountedValue()
          this.#counters.set(path, counter)
        }
        return counter
      },
      gauge: (name, read) => {
        this.#gauges.set(`${operatorName}.${name}`, read)
      },
    }
  }

  figures(of: Omit<SubtaskFigures, 'recordsIn' | 'values' | 'gauges'>): SubtaskFigures {
    const values: Record<string, number> = {}
    for (const [path, { value }] of this.#counters) values[path] = value
    const gauges: Record<string, number> = {}
    for (const [path, read] of this.#gauges) gauges[path] = read()
    return { ...of, recordsIn: this.recordsIn, values, gauges }
  }
}
