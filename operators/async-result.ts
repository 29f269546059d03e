/** User functions are synchronous: a promise where a value should be is a mistake that would be noticed late otherwise. */
import { EngineError } from '../src/core/errors.ts'

/** Whether `result` is a promise or the like. Cheap: one property of objects only. */
export function isPromiseLike(result: unknown): boolean {
  return (
    typeof result === 'object' &&
    result !== null &&
    typeof (result as { readonly then?: unknown }).then === 'function'
  )
}

/** Fails with `ASYNC_FUNCTION`. */
export function refusePromise(type: string): never {
  throw new EngineError(
    'ASYNC_FUNCTION',
    `The function of this ${type} returned a promise; user functions are synchronous, since records must keep their order`,
  )
}
