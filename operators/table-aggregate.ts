/**
 * An aggregate per key over rows that may be taken back: for each change of its rows it takes back the result it gave before and
 * gives the new one.
 *
 * Invariants
 *  - Added up, what was emitted for a key is at every point its present result, or nothing where it has no rows.
 *  - A key has state exactly while it has rows.
 *  - A result has the latest time of the rows that ever went into it, and is taken back with that time.
 *  - What is emitted is not part of the accumulator.
 */
import type { Aggregator } from '../src/contract/aggregator.ts'
import type { OperatorContext, OperatorDescription } from '../src/contract/operator.ts'
import type { KeyedCells } from '../src/contract/state-backend.ts'
import { EngineError } from '../src/core/errors.ts'
import { copyValue } from '../src/core/value.ts'
import { previewOf } from '../src/core/value-text.ts'
import { aggregatorFunctions } from './aggregate.ts'
import { canSubtract, subtracting, unknownRow } from './kept-rows.ts'
import type { Subtracting } from './kept-rows.ts'

const ACCUMULATOR = 'accumulator'

/** What is known of a key: how many rows it has, the time of the result that was given last, and their accumulator. */
type Cell<A> = [rowCount: number, resultMs: number, accumulator: A]

/** `kind` is what the state is called in savepoints, behind `table`: an aggregate of rows that stay has another state. */
export function tableAggregate<T, A, R>(
  kind: string,
  aggregator: Aggregator<T, A, R>,
): OperatorDescription {
  const inverse = subtracting(aggregator) as Subtracting<T, unknown, R>
  return {
    type: kind,
    inputCount: 1,
    isKeyed: true,
    emits: 'engine',
    takesRetractions: true,
    emitsRetractions: true,
    keepsValues: inverse.keepsValues !== false,
    functions: aggregatorFunctions(aggregator),
    states: [{ name: ACCUMULATOR, kind: `table ${kind}`, layout: 'key' }],
    details: { rows: canSubtract(aggregator) ? 'counted' : 'kept' },
    open: (context) => new TableAggregate(context, inverse),
  }
}

class TableAggregate<T, A, R> {
  readonly #context: OperatorContext
  readonly #aggregator: Subtracting<T, A, R>
  readonly #cells: KeyedCells<Cell<A>>

  constructor(context: OperatorContext, aggregator: Subtracting<T, A, R>) {
    this.#context = context
    this.#aggregator = aggregator
    this.#cells = context.keyed.cells<Cell<A>>(ACCUMULATOR)
  }

  process(value: unknown): void {
    if (this.#context.time.isRetraction) this.#subtract(value as T)
    else this.#add(value as T)
  }

  #add(value: T): void {
    const { time, output } = this.#context
    const aggregator = this.#aggregator
    const cell = this.#cells.edit(0)
    if (cell === undefined) {
      const accumulator = aggregator.add(aggregator.create(), value)
      this.#cells.put(0, [1, time.timestampMs, accumulator])
      time.emitInsert(output, this.#row(accumulator))
      return
    }
    const before = this.#row(cell[2])
    cell[0] += 1
    cell[2] = aggregator.add(cell[2], value)
    this.#replace(before, cell)
  }

  #subtract(value: T): void {
    const { time, output, keyed } = this.#context
    const cell = this.#cells.edit(0)
    if (cell === undefined) throw unknownRow(value, `of key ${previewOf(keyed.key())}`)
    const before = this.#row(cell[2])
    try {
      cell[2] = this.#aggregator.subtract(cell[2], value)
    } catch (error) {
      throw error instanceof EngineError && error.code === 'RETRACTION_UNKNOWN'
        ? unknownRow(value, `of key ${previewOf(keyed.key())}`)
        : error
    }
    cell[0] -= 1
    if (cell[0] > 0) return this.#replace(before, cell)
    this.#cells.remove(0)
    time.emitRetraction(output, before, cell[1])
  }

  /** Keeps a changed cell and emits the update of its result. */
  #replace(before: unknown, cell: Cell<A>): void {
    const { time, output } = this.#context
    const { timestampMs } = time
    const beforeMs = cell[1]
    const resultMs = timestampMs > beforeMs ? timestampMs : beforeMs
    cell[1] = resultMs
    this.#cells.put(0, cell)
    time.timestampMs = resultMs
    time.emitUpdate(output, before, beforeMs, this.#row(cell[2]))
    time.timestampMs = timestampMs
  }

  #row(accumulator: A): unknown {
    const result = this.#aggregator.result(accumulator)
    return {
      key: this.#context.keyed.key(),
      value: typeof result === 'object' ? copyValue(result) : result,
    }
  }
}
