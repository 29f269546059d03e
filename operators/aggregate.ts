/**
 * A running aggregate per key: the new result for every record.
 *
 * Invariant: what is emitted is not part of the accumulator: a result that is an object is copied.
 */
import type { Aggregator } from '../src/contract/aggregator.ts'
import type { OperatorDescription } from '../src/contract/operator.ts'
import { copyValue } from '../src/core/value.ts'

const ACCUMULATOR = 'accumulator'

/** `kind` is what the state is called in savepoints: `'count'`, `'sum'`, `'reduce'`, `'aggregate'`. */
export function runningAggregate<T, A, R>(
  kind: string,
  aggregator: Aggregator<T, A, R>,
): OperatorDescription {
  return {
    type: kind,
    inputCount: 1,
    isKeyed: true,
    emits: 'engine',
    keepsValues: aggregator.keepsValues !== false,
    functions: aggregatorFunctions(aggregator),
    states: [{ name: ACCUMULATOR, kind, layout: 'key' }],
    details: { grows: true },
    open({ keyed, output }) {
      const cells = keyed.cells<A>(ACCUMULATOR)
      return {
        process(value) {
          const before = cells.edit(0)
          const after = aggregator.add(
            before === undefined ? aggregator.create() : before,
            value as T,
          )
          cells.put(0, after)
          const result = aggregator.result(after)
          output.emit({
            key: keyed.key(),
            value: typeof result === 'object' ? copyValue(result) : result,
          })
        },
      }
    },
  }
}

/** The functions of an aggregator, for the comparison of graphs between threads. */
export function aggregatorFunctions<T, A, R>(
  aggregator: Aggregator<T, A, R>,
): NonNullable<OperatorDescription['functions']> {
  // oxlint-disable-next-line typescript/unbound-method -- compared by their texts, and never called without their object
  const { create, add, merge, result, subtract } = aggregator
  return [create, add, merge, result, ...(subtract === undefined ? [] : [subtract])]
}
