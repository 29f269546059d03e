/** What a subtask counts. */
import type { Counter, Metrics } from '../core/metrics.ts'

/** The figures of a subtask, as they are told to the coordinator. Plain data. */
export interface SubtaskFigures {
  readonly recordsRead: number
  readonly recordsIn: number
  readonly recordsOut: number
  readonly watermarkMs: number
  readonly stateCells: number
  /** Counters and gauges of its operators: `<operator>.<name>`. */
  readonly values: Readonly<Record<string, number>>
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

  figures(of: Omit<SubtaskFigures, 'recordsIn' | 'values'>): SubtaskFigures {
    const values: Record<string, number> = {}
    for (const [path, { value }] of this.#counters) values[path] = value
    for (const [path, read] of this.#gauges) values[path] = read()
    return { ...of, recordsIn: this.recordsIn, values }
  }
}
