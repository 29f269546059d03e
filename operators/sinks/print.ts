/** Lines on standard output. */
import type { ChangeKind } from '../../src/core/change.ts'
import type { Sink } from '../../src/contract/sink.ts'

/** Lines on standard output: text as it is, anything else as JSON (bigints as text with an n). At least once. */
export function printSink(): Sink<unknown, ChangeKind> {
  return {
    type: 'print',
    open: () => ({
      write(value) {
        console.log(typeof value === 'string' ? value : JSON.stringify(value, plain))
      },
    }),
  }
}

function plain(_name: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`
  if (value instanceof Map) return Object.fromEntries(value)
  return value instanceof Set ? [...value] : value
}
