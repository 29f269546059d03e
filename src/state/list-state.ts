/**
 * A list per key: a head in cell 0 and segments of values in cells numbered upwards.
 *
 * Invariants
 *  - There is a head exactly when the list is not empty; segments `first` to `last` are there and none is empty.
 *  - Adding touches the last segment only, and the head once a segment.
 */
import type { KeyedCells } from '../contract/state-backend.ts'
import type { ListState } from '../contract/state.ts'
import { copyValue, keepValue } from '../core/value.ts'

const SEGMENT_VALUES_MAX = 64
const FIRST_SEGMENT = 1

interface ListHead {
  readonly last: number
}

export class CellListState<T> implements ListState<T> {
  readonly #cells: KeyedCells<ListHead | T[]>

  constructor(cells: KeyedCells<ListHead | T[]>) {
    this.#cells = cells
  }

  add(value: T): void {
    const last = this.#lastSegment()
    const segment = last === 0 ? undefined : (this.#cells.edit(last) as T[])
    if (segment === undefined || segment.length === SEGMENT_VALUES_MAX) {
      this.#cells.put(last + 1, [keepValue(value)])
      this.#cells.put(0, { last: last + 1 })
    } else {
      segment.push(keepValue(value))
      this.#cells.put(last, segment)
    }
  }

  set(values: Iterable<T>): void {
    const list = [...values]
    this.clear()
    for (const value of list) this.add(value)
  }

  *values(): Iterable<T> {
    const last = this.#lastSegment()
    for (let segment = FIRST_SEGMENT; segment <= last; segment++) {
      yield* copyValue((this.#cells.get(segment) ?? []) as T[])
    }
  }

  isEmpty(): boolean {
    return this.#lastSegment() === 0
  }

  clear(): void {
    const last = this.#lastSegment()
    for (let segment = FIRST_SEGMENT; segment <= last; segment++) this.#cells.remove(segment)
    this.#cells.remove(0)
  }

  /** 0 where the list is empty. */
  #lastSegment(): number {
    return (this.#cells.get(0) as ListHead | undefined)?.last ?? 0
  }
}
