/** One value for each value. Stateless. */
import type { OperatorDescription } from '../src/contract/operator.ts'
import { isPromiseLike, refusePromise } from './async-result.ts'

export function map<T, R>(f: (value: T) => R): OperatorDescription {
  const call = f as (value: unknown) => unknown
  const checked = (result: unknown): unknown =>
    isPromiseLike(result) ? refusePromise('map') : result
  return {
    type: 'map',
    inputCount: 1,
    isKeyed: false,
    emits: 'user',
    takesRetractions: true,
    emitsRetractions: 'passed',
    functions: [f],
    fused: {
      bindings: { isPromiseLike, refusePromise },
      source: ([name], emit) => `
        const mapped = ${name}(value)
        if (isPromiseLike(mapped)) refusePromise('map')
        ${emit('mapped')}`,
    },
    open: ({ output }) => ({ process: (value) => output.emit(checked(call(value))) }),
  }
}
