/** A sink into an array of the caller, for tests and embedding. */
import type { Sink } from '../../src/contract/sink.ts'
import { copyValue } from '../../src/core/value.ts'

/**
 * Appends to an array of the caller. Only with `run(job)`, where the job shares the caller's thread. Rows appear exactly once:
 * when the checkpoint they belong to is complete, or at once in a job without checkpoints.
 *
 * @example
 * const rows: number[] = []
 * await run(job('ten', (env) => env.from('n', fromArray([1, 2])).to('rows', arraySink(rows))))
 */
export function arraySink<T>(target: T[]): Sink<T> {
  const done = appendedTo(target)
  return {
    type: 'array',
    needsCallingThread: true,
    open({ attempt, operatorUid, subtaskIndex, isCheckpointed }) {
      let rows: T[] = []
      if (!isCheckpointed) return { write: (value) => target.push(copyValue(value) as T) }
      return {
        write: (value) => rows.push(copyValue(value) as T),
        prepare(checkpointId) {
          if (rows.length === 0) return {}
          // several sinks may append to one array
          const id = `${attempt}/${operatorUid}/${subtaskIndex}/${checkpointId}`
          const epoch: Epoch = { id, rows }
          rows = []
          return { committable: epoch }
        },
        async commit({ data }) {
          const epoch = data as Epoch
          if (done.has(epoch.id)) return
          done.add(epoch.id)
          for (const row of epoch.rows) target.push(row as T)
        },
      }
    },
  }
}

/** The epochs that an array has, whichever subtask, attempt, job or sink appended them: a savepoint hands its pending ones on. */
const appended = new WeakMap<unknown[], Set<string>>()

function appendedTo(target: unknown[]): Set<string> {
  let epochs = appended.get(target)
  if (epochs === undefined) {
    epochs = new Set()
    appended.set(target, epochs)
  }
  return epochs
}

interface Epoch {
  readonly id: string
  readonly rows: readonly unknown[]
}
