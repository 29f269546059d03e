/**
 * The changes of a stream as records: what was taken back and what was added, and both in one where they are the halves of one update.
 *
 * Invariants
 *  - Every change leaves, in the order they came. A retraction waits for the other half of its update, which comes next if it comes at
 *    all; nothing overtakes it: no record, no watermark, no snapshot, and no pause of the input.
 *  - What is emitted are inserts.
 */
import type {
  OperatorContext,
  OperatorDescription,
  OperatorInstance,
} from '../src/contract/operator.ts'
import type { Change } from '../src/core/change.ts'
import { copyValue } from '../src/core/value.ts'

/** Before every point of processing time that a clock can show: as soon as possible. */
const NOW = 0

export function changes(): OperatorDescription {
  return {
    type: 'changes',
    inputCount: 1,
    isKeyed: false,
    emits: 'user',
    takesRetractions: true,
    open: (context) => new ChangesInstance(context),
  }
}

interface Held {
  readonly value: unknown
  readonly timestampMs: number
  readonly update: number
}

class ChangesInstance implements OperatorInstance {
  readonly #context: OperatorContext
  #held: Held | undefined

  constructor(context: OperatorContext) {
    this.#context = context
  }

  process(value: unknown): void {
    const { time } = this.#context
    const { timestampMs, update, isRetraction } = time
    const held = this.#held
    if (!isRetraction && held !== undefined && held.update === update) {
      this.#held = undefined
      this.#context.wakeAt(Infinity)
      return this.#emit({ kind: 'update', previous: held.value, value })
    }
    this.#letGo()
    if (!isRetraction) return this.#emit({ kind: 'insert', value })
    if (update === 0) return this.#emit({ kind: 'retract', value })
    this.#held = { value: copyValue(value), timestampMs, update }
    // its other half may have been filtered out
    this.#context.wakeAt(NOW)
  }

  onWake(): boolean {
    return this.#letGo()
  }

  onWatermark(): boolean {
    return this.#letGo()
  }

  handOn(): boolean {
    return this.#letGo()
  }

  onEnd(): boolean {
    return this.#letGo()
  }

  #letGo(): boolean {
    const held = this.#held
    if (held === undefined) return true
    this.#held = undefined
    const { time } = this.#context
    const { timestampMs } = time
    time.timestampMs = held.timestampMs
    this.#emit({ kind: 'retract', value: held.value })
    time.timestampMs = timestampMs
    return true
  }

  #emit(change: Change<unknown>): void {
    this.#context.time.emitInsert(this.#context.output, change)
  }
}
