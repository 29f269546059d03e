/** Sinks into objects of the caller, for tests and embedding. */
import type { Sink } from '../../src/contract/sink.ts'
import type { ChangeKind } from '../../src/core/change.ts'
import type { Key } from '../../src/core/key.ts'
import { copyValue } from '../../src/core/value.ts'

/**
 * Appends to an array of the caller. Only with `run(job)`, where the job shares the caller's thread. Rows appear when the
 * checkpoint they belong to is complete, or at the end of a job without checkpoints: each exactly once.
 *
 * @example
 * const rows: number[] = []
 * await run(job('ten', (env) => env.from('n', fromArray([1, 2])).to('rows', arraySink(rows))))
 */
export function arraySink<T>(target: T[]): Sink<T> {
  return {
    type: 'array',
    needsCallingThread: true,
    open() {
      let rows: T[] = []
      const done = new Set<number>()
      return {
        write: (value) => rows.push(copyValue(value) as T),
        prepare() {
          const committable = rows
          rows = []
          return committable.length === 0 ? {} : { committable }
        },
        async commit({ checkpointId, data }) {
          if (done.has(checkpointId)) return
          done.add(checkpointId)
          for (const row of data as T[]) target.push(row)
        },
      }
    },
  }
}

/** A table in a Map of the caller: the last row of each key. Only with `run(job)`. */
export function mapSink<T, K extends Key>(
  target: Map<K, T>,
  key: (value: T) => K,
): Sink<T, ChangeKind> {
  return {
    type: 'map',
    needsCallingThread: true,
    open: () => ({
      write(value) {
        const row = copyValue(value) as T
        target.set(key(row), row)
      },
    }),
  }
}
