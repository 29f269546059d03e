/** A reduce as an aggregator. */
import type { Aggregator } from '../contract/aggregator.ts'
import { keepValue } from '../core/value.ts'

/** Folds values with `f`. The accumulator is a list of no or one value, since undefined would be no accumulator. */
export function reducer<T>(f: (left: T, right: T) => T): Aggregator<T, T[], T> {
  const fold = (values: T[], value: T): T[] => {
    values[0] = values.length === 0 ? value : keepValue(f(values[0] as T, value))
    return values
  }
  return {
    create: () => [],
    add: (values, value) => fold(values, values.length === 0 ? keepValue(value) : value),
    merge: (into, from) => from.reduce(fold, into),
    result: (values) => values[0] as T,
    keepsValues: false,
  }
}
