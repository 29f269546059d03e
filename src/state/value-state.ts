/** One value per key, in one cell. */
import type { KeyedCells } from '../contract/state-backend.ts'
import type { AggregatingState, ValueState } from '../contract/state.ts'
import type { Aggregator } from '../contract/aggregator.ts'
import { copyValue, keepValue } from '../core/value.ts'

export class CellValueState<T> implements ValueState<T, T | undefined> {
  readonly #cells: KeyedCells<T>
  readonly #defaultValue: T | undefined

  constructor(cells: KeyedCells<T>, defaultValue: T | undefined) {
    this.#cells = cells
    this.#defaultValue = defaultValue
  }

  get(): T | undefined {
    const stored = this.#cells.get(0)
    const value = stored === undefined ? this.#defaultValue : stored
    return typeof value === 'object' ? copyValue(value) : value
  }

  set(value: T): void {
    if (value === undefined) this.#cells.remove(0)
    else this.#cells.put(0, typeof value === 'number' ? value : keepValue(value))
  }

  clear(): void {
    this.#cells.remove(0)
  }
}

/** One accumulator per key, changed in place by its aggregator. */
export class CellAggregatingState<T, A, R> implements AggregatingState<T, R> {
  readonly #cells: KeyedCells<A>
  readonly #aggregator: Aggregator<T, A, R>

  constructor(cells: KeyedCells<A>, aggregator: Aggregator<T, A, R>) {
    this.#cells = cells
    this.#aggregator = aggregator
  }

  add(value: T): void {
    const accumulator = this.#cells.edit(0) ?? this.#aggregator.create()
    this.#cells.put(0, this.#aggregator.add(accumulator, keepValue(value)))
  }

  get(): R | undefined {
    const accumulator = this.#cells.get(0)
    return accumulator === undefined ? undefined : copyValue(this.#aggregator.result(accumulator))
  }

  clear(): void {
    this.#cells.remove(0)
  }
}
