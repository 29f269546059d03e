/** Lets some values pass. Stateless. */
import type { OperatorDescription } from '../src/contract/operator.ts'
import { isPromiseLike, refusePromise } from './async-result.ts'

export function filter<T>(f: (value: T) => boolean): OperatorDescription {
  const call = f as (value: unknown) => unknown
  return {
    type: 'filter',
    inputCount: 1,
    isKeyed: false,
    emits: 'input',
    takesRetractions: true,
    emitsRetractions: 'passed',
    functions: [f],
    fused: {
      bindings: { isPromiseLike, refusePromise },
      source: ([name], emit) => `
        const passes = ${name}(value)
        if (typeof passes === 'object' && isPromiseLike(passes)) refusePromise('filter')
        if (passes) { ${emit('value')} }`,
    },
    open: ({ output }) => ({
      process(value) {
        const passes = call(value)
        if (isPromiseLike(passes)) refusePromise('filter')
        if (passes) output.emit(value)
      },
    }),
  }
}
