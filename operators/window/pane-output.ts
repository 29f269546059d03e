/** What a window emits when it fires. */
import type { Aggregator } from '../../src/contract/aggregator.ts'
import type { OperatorContext } from '../../src/contract/operator.ts'
import type { Pane, PaneOf, Window } from '../../src/contract/window.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { copyValue } from '../../src/core/value.ts'

/** Turns the accumulator of a pane into what is emitted. Made once per subtask. */
export interface PaneOutput<A> {
  /** `isShared`: the accumulator lives on, so nothing of it may be given away. */
  fire(key: AnyKey, window: Window, accumulator: A, isShared: boolean, pane: Pane): void
  close?(): void
}

/** A kind of result: an aggregate, or a function of all rows. */
export interface WindowResult<T, A> {
  /** What the operator is called, and its state in savepoints. */
  readonly kind: string
  readonly aggregator: Aggregator<T, A, unknown>
  readonly emits: 'engine' | 'user'
  /** Whether a pane is emitted as `{ key, value, window, pane }`, so that it can be compared and taken back. */
  readonly isValue: boolean
  readonly sides?: readonly string[]
  readonly functions: readonly ((...args: never[]) => unknown)[]
  open(context: OperatorContext): PaneOutput<A>
}

/** The only pane of a window that fires once. Frozen, since all results share it. */
export const ONLY_PANE: Pane = Object.freeze({
  timing: 'on-time',
  index: 0,
  onTimeIndex: 0,
  isFirst: true,
  isLast: true,
})

/** Emits the result of an aggregator as `{ key, value, window, pane }`. */
export function aggregateResult<T, A, R>(
  kind: string,
  aggregator: Aggregator<T, A, R>,
  functions: WindowResult<T, A>['functions'],
): WindowResult<T, A> {
  return {
    kind,
    aggregator,
    emits: 'engine',
    isValue: true,
    functions,
    open: ({ output }) => ({
      fire(key, window, accumulator, isShared, pane) {
        const result = aggregator.result(accumulator)
        const value = isShared && typeof result === 'object' ? copyValue(result) : result
        output.emit({ key, value, window, pane })
      },
    }),
  }
}

/** Gives the rows of a pane to a function. `rows` come as a copy where the accumulator lives on. */
export function rowsResult<T>(
  aggregator: Aggregator<T, T[], readonly T[]>,
  options: {
    readonly sides: readonly string[]
    readonly functions: WindowResult<T, T[]>['functions']
    readonly open: (context: OperatorContext) => {
      onPane(rows: Iterable<T>, at: PaneOf<AnyKey, Window>): void
      close?(): void
    }
  },
): WindowResult<T, T[]> {
  return {
    kind: 'rows',
    aggregator,
    emits: 'user',
    isValue: false,
    sides: options.sides,
    functions: options.functions,
    open(context) {
      const handlers = options.open(context)
      return {
        fire(key, window, rows, isShared, pane) {
          handlers.onPane(isShared ? copyValue(rows) : rows, { key, window, pane })
        },
        ...(handlers.close === undefined ? {} : { close: () => handlers.close?.() }),
      }
    },
  }
}
