/**
 * The store outside of the machine: takes whole epochs by name, each once, as a transactional sink's does.
 *
 * Invariant: under exactly-once it holds at no time a row that the reference does not have, nor one more often than the reference
 * has it. Under at-least-once rows may be there more often.
 */
import type { OutputRow } from './workload.ts'

/** Rows that became visible at once. */
export interface VisibleEpoch {
  readonly checkpointId: number
  readonly rows: readonly OutputRow[]
}

export class OutputStore<E extends VisibleEpoch = VisibleEpoch> {
  readonly #expected: ReadonlyMap<OutputRow, number>
  #exactlyOnce: boolean
  /** Rows that may be missing. */
  readonly #excused = new Map<OutputRow, number>()
  readonly #epochs = new Map<string, E>()
  readonly #counts = new Map<OutputRow, number>()
  rowCount = 0
  /** The first thing that was wrong. */
  wrong: string | undefined

  constructor(expected: readonly OutputRow[], options: { readonly exactlyOnce: boolean }) {
    this.#expected = countRows(expected)
    this.#exactlyOnce = options.exactlyOnce
  }

  apply(name: string, epoch: E): void {
    if (this.#epochs.has(name)) return
    this.#epochs.set(name, epoch)
    this.rowCount += epoch.rows.length
    for (const row of epoch.rows) this.#add(row)
  }

  /** Forgets epochs: their rows may come again. */
  forget(isForgotten: (epoch: E) => boolean): void {
    for (const [name, epoch] of this.#epochs) {
      if (!isForgotten(epoch)) continue
      this.#epochs.delete(name)
      this.rowCount -= epoch.rows.length
      for (const row of epoch.rows) this.#counts.set(row, (this.#counts.get(row) ?? 0) - 1)
    }
  }

  /** From now on rows may come more often than the reference has them. */
  allowDuplicates(): void {
    this.#exactlyOnce = false
  }

  /** These may be missing, each once for each time it is named. */
  excuse(rows: readonly OutputRow[]): void {
    for (const row of rows) this.#excused.set(row, (this.#excused.get(row) ?? 0) + 1)
  }

  /** What is not there; undefined if everything is. */
  missing(): string | undefined {
    for (const [row, count] of this.#expected) {
      const excused = this.#excused.get(row) ?? 0
      if ((this.#counts.get(row) ?? 0) + excused < count) return `The output lacks '${row}'`
    }
    return undefined
  }

  #add(row: OutputRow): void {
    const count = (this.#counts.get(row) ?? 0) + 1
    this.#counts.set(row, count)
    if (!this.#exactlyOnce) return
    const allowed = this.#expected.get(row) ?? 0
    if (count <= allowed) return
    this.wrong ??=
      allowed === 0
        ? `The output has '${row}', which is wrong`
        : `The output has '${row}' ${count} times`
  }
}

function countRows(rows: readonly OutputRow[]): Map<OutputRow, number> {
  const counts = new Map<OutputRow, number>()
  for (const row of rows) counts.set(row, (counts.get(row) ?? 0) + 1)
  return counts
}
