/**
 * The aggregators of the engine. Each is a few lines over the public contract; users write their own the same way.
 *
 * Accumulators that keep whole rows own them: rows come from records that others may hold too, so they are copied when they
 * are taken in.
 * So none of them pins a frame (`keepsValues`).
 */
import type { Aggregator } from '../src/contract/aggregator.ts'
import { keepValue } from '../src/core/value.ts'

/**
 * Writes an aggregator with its types inferred.
 *
 * @example
 * const longest = aggregator({
 *   create: () => 0,
 *   add: (length, word: string) => Math.max(length, word.length),
 *   merge: Math.max,
 *   result: (length) => length,
 * })
 */
export function aggregator<T, A, R>(parts: Aggregator<T, A, R>): Aggregator<T, A, R> {
  return parts
}

/** How many rows. */
export function count(): Aggregator<unknown, number, number> {
  return {
    create: () => 0,
    add: (total) => total + 1,
    merge: (a, b) => a + b,
    subtract: (total) => total - 1,
    result: (total) => total,
    isExact: true,
    keepsValues: false,
  }
}

/** The sum; 64-bit floating point, so exact for integers up to 2^53. */
export function sum<T>(select: (value: T) => number): Aggregator<T, number, number> {
  return {
    create: () => 0,
    add: (total, value) => total + select(value),
    merge: (a, b) => a + b,
    subtract: (total, value) => total - select(value),
    result: (total) => total,
    keepsValues: false,
  }
}

/** The lowest number. */
export function min<T>(select: (value: T) => number): Aggregator<T, number | null, number> {
  const lower = (a: number | null, b: number | null): number | null =>
    a === null ? b : b === null ? a : Math.min(a, b)
  return {
    create: () => null,
    add: (lowest, value) => lower(lowest, select(value)),
    merge: lower,
    result: (lowest) => lowest ?? NaN,
    isExact: true,
    keepsValues: false,
  }
}

/** The highest number. */
export function max<T>(select: (value: T) => number): Aggregator<T, number | null, number> {
  const higher = (a: number | null, b: number | null): number | null =>
    a === null ? b : b === null ? a : Math.max(a, b)
  return {
    create: () => null,
    add: (highest, value) => higher(highest, select(value)),
    merge: higher,
    result: (highest) => highest ?? NaN,
    isExact: true,
    keepsValues: false,
  }
}

/** The arithmetic mean. */
export function average<T>(
  select: (value: T) => number,
): Aggregator<T, [total: number, rows: number], number> {
  return {
    create: () => [0, 0],
    add: (accumulator, value) => {
      accumulator[0] += select(value)
      accumulator[1] += 1
      return accumulator
    },
    merge: (into, from) => {
      into[0] += from[0]
      into[1] += from[1]
      return into
    },
    subtract: (accumulator, value) => {
      accumulator[0] -= select(value)
      accumulator[1] -= 1
      return accumulator
    },
    result: ([total, rows]) => total / rows,
    keepsValues: false,
  }
}

/** The rows with the highest number, all of them on a tie. Rows whose number is NaN count only where there is no other. */
export function maxBy<T>(select: (value: T) => number): Aggregator<T, T[], readonly T[]> {
  return extremeBy(select, (a, b) => a > b)
}

/** The rows with the lowest number, all of them on a tie. Rows whose number is NaN count only where there is no other. */
export function minBy<T>(select: (value: T) => number): Aggregator<T, T[], readonly T[]> {
  return extremeBy(select, (a, b) => a < b)
}

/** The `count` rows with the highest number, best first; of equal ones those that came first. */
export function top<T>(
  rowCount: number,
  select: (value: T) => number,
): Aggregator<T, T[], readonly T[]> {
  const insert = (rows: T[], row: T): T[] => {
    const score = select(row)
    let at = rows.length
    while (at > 0 && select(rows[at - 1] as T) < score) at -= 1
    if (at < rowCount) {
      rows.splice(at, 0, row)
      if (rows.length > rowCount) rows.pop()
    }
    return rows
  }
  return {
    create: () => [],
    add: (rows, row) => insert(rows, keepValue(row)),
    merge: (into, from) => from.reduce(insert, into),
    result: (rows) => rows,
    keepsValues: false,
  }
}

/** Every row, in the order they came: state grows with the window. */
export function collect<T>(): Aggregator<T, T[], readonly T[]> {
  return {
    create: () => [],
    add: (rows, row) => {
      rows.push(keepValue(row))
      return rows
    },
    merge: (into, from) => {
      for (const row of from) into.push(row)
      return into
    },
    result: (rows) => rows,
    keepsValues: false,
  }
}

/**
 * Several aggregates in one pass, by name.
 *
 * @example
 * combine({ views: count(), total: sum((view: View) => view.amount) })
 */
export function combine<
  T,
  const P extends { readonly [name: string]: Aggregator<T, any, unknown> },
>(
  parts: P & { readonly [name: string]: Aggregator<T, any, unknown> },
): Aggregator<
  T,
  unknown[],
  { readonly [N in keyof P]: P[N] extends Aggregator<any, any, infer R> ? R : never }
> {
  type Result = { readonly [N in keyof P]: P[N] extends Aggregator<any, any, infer R> ? R : never }
  const names = Object.keys(parts)
  const list = Object.values(parts) as readonly Aggregator<T, unknown, unknown>[]
  const subtract = list.every((part) => part.subtract !== undefined)
    ? {
        subtract: (accumulators: unknown[], value: T) => {
          list.forEach((part, i) => (accumulators[i] = part.subtract?.(accumulators[i], value)))
          return accumulators
        },
      }
    : {}
  return {
    create: () => list.map((part) => part.create()),
    add: (accumulators, value) => {
      for (let i = 0; i < list.length; i++) {
        accumulators[i] = (list[i] as Aggregator<T, unknown, unknown>).add(accumulators[i], value)
      }
      return accumulators
    },
    merge: (into, from) => {
      list.forEach((part, i) => (into[i] = part.merge(into[i], from[i])))
      return into
    },
    result: (accumulators) =>
      Object.fromEntries(
        names.map((name, i) => [name, list[i]?.result(accumulators[i])]),
      ) as Result,
    isExact: list.every((part) => part.isExact === true),
    keepsValues: list.some((part) => part.keepsValues !== false),
    ...subtract,
  }
}

function extremeBy<T>(
  select: (value: T) => number,
  isBetter: (a: number, b: number) => boolean,
): Aggregator<T, T[], readonly T[]> {
  const offer = (best: T[], row: T, score: number, own: (row: T) => T): T[] => {
    const [leader] = best
    const leading = leader === undefined ? undefined : select(leader)
    if (leading === undefined || isBetter(score, leading)) return [own(row)]
    if (Number.isNaN(leading) && !Number.isNaN(score)) return [own(row)]
    if (leading === score) best.push(own(row))
    return best
  }
  const asItIs = (row: T): T => row
  return {
    create: () => [],
    add: (best, row) => offer(best, row, select(row), keepValue),
    merge: (into, from) => from.reduce((best, row) => offer(best, row, select(row), asItIs), into),
    result: (best) => best,
    isExact: true,
    keepsValues: false,
  }
}
