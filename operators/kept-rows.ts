/**
 * Aggregators that have no inverse, given one: the rows are kept beside the accumulator, and what is left of them is folded again when
 * one is taken back.
 *
 * Invariants
 *  - Rows are kept as a multiset, in the order in which the first of equal rows came. Each is in one segment, under its text.
 *  - A segment that has its fold has the fold of exactly its rows; `total` is that of all rows. They share nothing.
 *  - No segment is empty, and none has more than `SEGMENT_ROWS_MAX` different rows.
 * So taking a row back folds one segment and merges the others: about n / 64 steps for n different rows, and few for few.
 */
import type { Aggregator } from '../src/contract/aggregator.ts'
import { EngineError } from '../src/core/errors.ts'
import { copyValue } from '../src/core/value.ts'
import { previewOf, textOfValue, valueOfText } from '../src/core/value-text.ts'

const SEGMENT_ROWS_MAX = 64
/** Segments are packed again when they have fewer rows than this on average. */
const SEGMENT_ROWS_MIN = 16
/** Up to so many equal rows are folded one by one. */
const EQUAL_ROWS_SINGLY = 4

/** Rows by their text, and how many there are of each; the fold of them, or null where it has to be made. */
type Segment<A> = [rows: Map<string, number>, fold: [A] | null]

/** In the value model, as an accumulator must be. */
export type KeptRows<A> = [total: A, segments: Segment<A>[]]

/** An aggregator that can take rows back. */
export type Subtracting<T, A, R> = Aggregator<T, A, R> & {
  subtract(accumulator: A, value: T): A
}

/** The aggregator itself where it has an inverse, else one that keeps rows. */
export function subtracting<T, A, R>(
  aggregator: Aggregator<T, A, R>,
): Subtracting<T, A, R> | Subtracting<T, KeptRows<A>, R> {
  return canSubtract(aggregator) ? aggregator : keepingRows(aggregator)
}

export function canSubtract<T, A, R>(
  aggregator: Aggregator<T, A, R>,
): aggregator is Subtracting<T, A, R> {
  return aggregator.subtract !== undefined
}

/** `subtract` fails with `RETRACTION_UNKNOWN` for a row that is not there. */
export function keepingRows<T, A, R>(
  aggregator: Aggregator<T, A, R>,
): Subtracting<T, KeptRows<A>, R> {
  const rowsOf = new RowsOf(aggregator)
  return {
    create: () => [aggregator.create(), []],
    add(kept, value) {
      kept[0] = aggregator.add(kept[0], value)
      rowsOf.put(kept, textOfValue(value), 1)
      return kept
    },
    merge(into, from) {
      into[0] = aggregator.merge(into[0], copyValue(from[0]))
      for (const [rows] of from[1]) {
        for (const [text, count] of rows) rowsOf.put(into, text, count)
      }
      return into
    },
    subtract(kept, value) {
      rowsOf.take(kept, value)
      kept[0] = rowsOf.total(kept)
      return kept
    },
    result: ([total]) => aggregator.result(total),
    isExact: aggregator.isExact === true,
    keepsValues: aggregator.keepsValues !== false,
  }
}

/** What is done with the rows of an accumulator. */
class RowsOf<T, A, R> {
  readonly #aggregator: Aggregator<T, A, R>

  constructor(aggregator: Aggregator<T, A, R>) {
    this.#aggregator = aggregator
  }

  put([, segments]: KeptRows<A>, text: string, count: number): void {
    const holder = segments.find(([rows]) => rows.has(text))
    if (holder !== undefined) {
      holder[0].set(text, (holder[0].get(text) as number) + count)
      holder[1] = null
      return
    }
    const last = segments.at(-1)
    if (last === undefined || last[0].size === SEGMENT_ROWS_MAX) {
      segments.push([new Map([[text, count]]), null])
    } else {
      last[0].set(text, count)
      last[1] = null
    }
  }

  take([, segments]: KeptRows<A>, value: T): void {
    const text = textOfValue(value)
    const index = segments.findIndex(([rows]) => rows.has(text))
    const segment = segments[index]
    if (segment === undefined) throw unknownRow(value)
    const [rows] = segment
    const count = rows.get(text) as number
    segment[1] = null
    if (count > 1) return void rows.set(text, count - 1)
    rows.delete(text)
    if (rows.size === 0) segments.splice(index, 1)
    else if (segments.length > 1) packed(segments)
  }

  total([, segments]: KeptRows<A>): A {
    const [first] = segments
    if (first === undefined) return this.#aggregator.create()
    // few rows need no folds of parts
    if (segments.length === 1) return this.#fold(first[0])
    let total = this.#aggregator.create()
    for (const segment of segments) {
      segment[1] ??= [this.#fold(segment[0])]
      total = this.#aggregator.merge(total, copyValue(segment[1][0]))
    }
    return total
  }

  #fold(rows: ReadonlyMap<string, number>): A {
    let fold = this.#aggregator.create()
    for (const [text, count] of rows) {
      if (count > EQUAL_ROWS_SINGLY) {
        fold = this.#aggregator.merge(fold, this.#foldOfEqual(text, count))
        continue
      }
      for (let i = 0; i < count; i++) fold = this.#aggregator.add(fold, valueOfText(text) as T)
    }
    return fold
  }

  /** By doubling: a million equal rows are folded in twenty steps. */
  #foldOfEqual(text: string, count: number): A {
    const aggregator = this.#aggregator
    let power = aggregator.add(aggregator.create(), valueOfText(text) as T)
    let fold = aggregator.create()
    for (let left = count; ; left = Math.floor(left / 2)) {
      if (left % 2 === 1) fold = aggregator.merge(fold, copyValue(power))
      if (left <= 1) return fold
      power = aggregator.merge(power, copyValue(power))
    }
  }
}

/** Puts the rows of segments that have become small together. */
function packed<A>(segments: Segment<A>[]): void {
  const count = segments.reduce((sum, [rows]) => sum + rows.size, 0)
  if (count >= segments.length * SEGMENT_ROWS_MIN) return
  const all = segments.flatMap(([rows]) => [...rows])
  segments.length = 0
  for (let from = 0; from < all.length; from += SEGMENT_ROWS_MAX) {
    segments.push([new Map(all.slice(from, from + SEGMENT_ROWS_MAX)), null])
  }
}

/** `of`: whose row it should have been, in words: `of key 'x'`. */
export function unknownRow(value: unknown, of: string = ''): EngineError {
  return new EngineError(
    'RETRACTION_UNKNOWN',
    `A row ${of === '' ? '' : `${of} `}is taken back that is not there: ${previewOf(value)}; the functions between where rows are taken ` +
      `back and here must return the same for the same row: no clock, no random number, nothing that changes between two runs or versions of the job`,
  )
}
