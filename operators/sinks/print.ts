/** Lines on standard output. */
import type { ChangeKind } from '../../src/core/change.ts'
import type { Sink } from '../../src/contract/sink.ts'

/**
 * Lines on standard output: text as it is, anything else as JSON (bigints as text with an n). Where rows may be taken back each line
 * begins with `+` for a row that is added or `-` for one that is taken back. At least once.
 */
export function printSink(): Sink<unknown, ChangeKind> {
  return {
    type: 'print',
    takesRetractions: true,
    open: ({ mayRetract }) => ({
      write(value, _timestampMs, kind) {
        const text = typeof value === 'string' ? value : JSON.stringify(value, plain)
        console.log(mayRetract === true ? `${kind === 'retract' ? '-' : '+'} ${text}` : text)
      },
    }),
  }
}

function plain(_name: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`
  if (value instanceof Map) return Object.fromEntries(value)
  return value instanceof Set ? [...value] : value
}
