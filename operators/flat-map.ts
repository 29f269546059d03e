/**
 * Any number of values for each value, read piece by piece: what the function returns is iterated only while the outputs have room,
 * so a million values a record need no more memory than a few.
 *
 * Invariant: values leave in order, with the timestamp and as the kind of the record they were made from, whenever they leave. They are
 * no halves of an update any more, since there may be several for each half.
 */
import type {
  OperatorContext,
  OperatorDescription,
  OperatorInstance,
} from '../src/contract/operator.ts'
import { EngineError } from '../src/core/errors.ts'
import { isPromiseLike, refusePromise } from './async-result.ts'

export function flatMap<T, R>(f: (value: T) => Iterable<R>): OperatorDescription {
  return {
    type: 'flatMap',
    inputCount: 1,
    isKeyed: false,
    emits: 'user',
    takesRetractions: true,
    emitsRetractions: 'passed',
    functions: [f],
    open: (context) => new FlatMapInstance(context, f as (value: unknown) => unknown),
  }
}

/** What is left of one record's values. */
interface Rest {
  readonly iterator: Iterator<unknown>
  readonly timestampMs: number
  readonly isRetraction: boolean
}

class FlatMapInstance implements OperatorInstance {
  readonly #context: OperatorContext
  readonly #f: (value: unknown) => unknown
  /** Unfinished records; more than one only if an operator before emitted on although the gate was closed. */
  readonly #rests: Rest[] = []

  constructor(context: OperatorContext, f: (value: unknown) => unknown) {
    this.#context = context
    this.#f = f
  }

  process(value: unknown): void {
    const values = this.#f(value)
    const { output, gate, time } = this.#context
    const { timestampMs, isRetraction, update } = time
    if (this.#rests.length === 0 && Array.isArray(values)) {
      let index = 0
      time.update = 0
      while (index < values.length && !gate.isClosed) output.emit(values[index++])
      time.update = update
      if (index === values.length) return
      this.#rests.push({ iterator: values.slice(index).values(), timestampMs, isRetraction })
      return
    }
    if (isPromiseLike(values)) refusePromise('flatMap')
    this.#rests.push({ iterator: iteratorOf(values), timestampMs, isRetraction })
    if (this.#rests.length === 1) this.resume()
  }

  resume(): boolean {
    return this.#context.time.keeping(this.#goOn)
  }

  readonly #goOn = (): boolean => {
    const { output, gate, time } = this.#context
    for (let rest = this.#rests[0]; rest !== undefined; rest = this.#rests[0]) {
      time.timestampMs = rest.timestampMs
      time.isRetraction = rest.isRetraction
      for (;;) {
        if (gate.isClosed) return false
        const next = rest.iterator.next()
        if (next.done === true) break
        output.emit(next.value)
      }
      this.#rests.shift()
    }
    return true
  }
}

function iteratorOf(values: unknown): Iterator<unknown> {
  if (values !== null && values !== undefined) {
    const iterate = (values as Partial<Iterable<unknown>>)[Symbol.iterator]
    if (typeof iterate === 'function') return (values as Iterable<unknown>)[Symbol.iterator]()
  }
  throw new EngineError(
    'USER_FUNCTION_FAILED',
    `The function of this flatMap returned ${String(values)}; it must return an array or another iterable`,
  )
}
