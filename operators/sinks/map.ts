/** A table in a Map of the caller, for tests and embedding. */
import type { Sink } from '../../src/contract/sink.ts'
import type { ChangeKind } from '../../src/core/change.ts'
import type { Key } from '../../src/core/key.ts'
import { copyValue } from '../../src/core/value.ts'
import { textOfValue } from '../../src/core/value-text.ts'

/**
 * A table in a Map of the caller: the last row of each key; a row that is taken back is gone, unless another took its place. Only with
 * `run(job)`, where the job shares the caller's thread. Rows appear when the checkpoint they belong to is complete, each once, or at
 * once in a job without checkpoints.
 *
 * @example
 * const perUser = new Map<string, KeyedResult<string, number>>()
 * views.asTable().keyBy((view) => view.user).count('per-user').to('table', mapSink(perUser, (row) => row.key))
 */
export function mapSink<T, K extends Key>(
  target: Map<K, T>,
  key: (value: T) => K,
): Sink<T, ChangeKind> {
  const table = tableOf(target)
  return {
    type: 'map',
    needsCallingThread: true,
    takesRetractions: true,
    open({ attempt, operatorUid, subtaskIndex, isCheckpointed, mayRetract }) {
      const apply = ([row, kind]: RowChange): void => {
        if (mayRetract === true) table.change(key(row as T), row as T, kind)
        else table.put(key(row as T), row as T)
      }
      let changes: RowChange[] = []
      return {
        write(value, _timestampMs, kind = 'insert') {
          if (isCheckpointed) changes.push([copyValue(value), kind])
          else apply([copyValue(value), kind])
        },
        prepare(checkpointId) {
          if (changes.length === 0) return {}
          // several sinks may write to one table
          const id = `${attempt}/${operatorUid}/${subtaskIndex}/${checkpointId}`
          const epoch: Epoch = { id, changes }
          changes = []
          return { committable: epoch }
        },
        async commit({ data }) {
          const epoch = data as Epoch
          if (table.done.has(epoch.id)) return
          table.done.add(epoch.id)
          for (const change of epoch.changes) apply(change)
        },
      }
    },
  }
}

type RowChange = readonly [row: unknown, kind: ChangeKind]

interface Epoch {
  readonly id: string
  readonly changes: readonly RowChange[]
}

/** The rows of one key, by their text and in the order they came last, with how many there are of each. */
interface RowsOfKey<K, T> {
  readonly key: K
  readonly rows: Map<string, { readonly row: T; count: number }>
}

/**
 * What a Map of the caller holds beyond what can be seen: all rows of each key that are there. Rows of one key may come from several
 * subtasks, so the new row of a key may come before the former is taken back, and a retraction before its row.
 */
class Table<K, T> {
  /** Epochs that it has, whichever subtask, attempt, job or sink put them in: a savepoint hands its pending ones on. */
  readonly done = new Set<string>()
  readonly #target: Map<K, T>
  /** By the text of the key: tuples are equal by what they hold. */
  readonly #keys = new Map<string, RowsOfKey<K, T>>()

  constructor(target: Map<K, T>) {
    this.#target = target
  }

  put(key: K, row: T): void {
    this.#target.set(this.#of(key).key, row)
  }

  change(key: K, row: T, kind: ChangeKind): void {
    const own = this.#of(key)
    const text = textOfValue(row)
    const before = own.rows.get(text)?.count ?? 0
    const count = before + (kind === 'insert' ? 1 : -1)
    if (kind === 'insert' || count === 0) own.rows.delete(text)
    if (count !== 0) own.rows.set(text, { row, count })
    const shown = [...own.rows.values()].findLast((each) => each.count > 0)
    if (shown !== undefined) this.#target.set(own.key, shown.row)
    else this.#target.delete(own.key)
    if (own.rows.size === 0) this.#keys.delete(textOfValue(key))
  }

  #of(key: K): RowsOfKey<K, T> {
    const text = textOfValue(key)
    let own = this.#keys.get(text)
    if (own === undefined) {
      own = { key, rows: new Map() }
      this.#keys.set(text, own)
    }
    return own
  }
}

const tables = new WeakMap<object, Table<unknown, unknown>>()

function tableOf<K, T>(target: Map<K, T>): Table<K, T> {
  let table = tables.get(target) as Table<K, T> | undefined
  if (table === undefined) {
    table = new Table(target)
    tables.set(target, table as unknown as Table<unknown, unknown>)
  }
  return table
}
