/** What an operator is given when it opens: the contract's `OperatorContext`, filled for one operator of one subtask. */
import type { Gate, KeyedContext, Mailbox, OperatorContext, Output } from '../contract/operator.ts'
import type { KeyedCells, KeyedStore, SliceCells, TimerIndex } from '../contract/state-backend.ts'
import { EngineError } from '../core/errors.ts'
import type { AnyKey } from '../core/key.ts'
import type { Logger } from '../core/log.ts'
import type { Metrics } from '../core/metrics.ts'
import type { Clock, RecordTime } from '../core/time.ts'
import type { OperatorNode } from './operator-node.ts'

export interface OperatorContextOptions {
  readonly jobName: string
  readonly operatorUid: string
  readonly subtaskIndex: number
  readonly parallelism: number
  readonly maxParallelism: number
  readonly node: OperatorNode
  readonly output: Output
  readonly sides: ReadonlyMap<string, Output>
  readonly time: RecordTime
  readonly gate: Gate
  readonly mailbox: Mailbox
  readonly clock: Clock
  readonly keyed: StoreContext | undefined
  readonly metrics: Metrics
  readonly logger: Logger
  readonly signal: AbortSignal
  readonly restoredItems: readonly unknown[]
}

const nowhere: Output = { emit() {} }

export function operatorContext(options: OperatorContextOptions): OperatorContext {
  const { node, sides, keyed, operatorUid, ...rest } = options
  return {
    ...rest,
    operatorUid,
    side: (name) => sides.get(name) ?? nowhere,
    watermarkMs: () => node.watermarkMs,
    emitWatermark: (watermarkMs) => node.forward(watermarkMs),
    wakeAt(processingTimeMs) {
      node.wakeAtMs = processingTimeMs
    },
    get keyed() {
      if (keyed !== undefined) return keyed
      throw new EngineError('STATE_NO_KEY', 'This operator is not keyed; call keyBy before it', {
        operatorUid,
      })
    },
  }
}

/** The keyed side of a context: the store, and whether a key is at hand. */
export class StoreContext implements KeyedContext {
  /** Set by the subtask: true while records and timers are handled. */
  hasKey = false
  readonly #store: KeyedStore

  constructor(store: KeyedStore) {
    this.#store = store
  }

  key(): AnyKey {
    if (this.hasKey) return this.#store.key
    throw new EngineError(
      'STATE_NO_KEY',
      'State, timers and key() were used where no key is at hand: while opening, at the end, or in a callback; use them in the handlers of records and timers',
    )
  }

  cells<V>(state: string): KeyedCells<V> {
    return this.#store.cells(state)
  }

  slices<V>(state: string): SliceCells<V> {
    return this.#store.slices(state)
  }

  timers(state: string): TimerIndex {
    return this.#store.timers(state)
  }
}
