/**
 * Rows of two inputs joined by key, for ever: every pair of rows that are there at the same time, kept up to date by changes. As a
 * join of two tables in SQL.
 *
 * Invariants
 *  - Added up, what was emitted for a key is at every point the join of the rows that are there.
 *  - The rows of each side are a multiset, by value and timestamp. A key has state exactly while it has rows.
 *  - A row stands alone (outer joins) exactly while the other side has no row of its key; it is taken back alone before its first pair
 *    and put back after its last.
 *  - A pair has the later time of its two rows, and is taken back with that time.
 */
import type {
  OperatorContext,
  OperatorDescription,
  OperatorInstance,
} from '../src/contract/operator.ts'
import type { Key } from '../src/core/key.ts'
import { copyValue } from '../src/core/value.ts'
import { previewOf, textOfValue, valueOfText } from '../src/core/value-text.ts'
import { CellMapState } from '../src/state/map-state.ts'
import { isPromiseLike, refusePromise } from './async-result.ts'
import { unknownRow } from './kept-rows.ts'

/** Which rows without a partner are in the result: none, those of the left side, of the right side, of both. */
export type JoinKind = 'inner' | 'left' | 'right' | 'full'

const STATES = ['left rows', 'right rows'] as const

/** `f` makes the joined row; a side without a row is undefined. */
export type JoinFunction = (left: unknown, right: unknown, key: Key) => unknown

export function join(kind: JoinKind, f: JoinFunction): OperatorDescription {
  return {
    type: 'join',
    inputCount: 2,
    isKeyed: true,
    emits: 'user',
    takesRetractions: true,
    emitsRetractions: kind === 'inner' ? 'passed' : true,
    keepsValues: false,
    functions: [f],
    states: STATES.map((name) => ({ name, kind: 'join rows', layout: 'page' })),
    details: { join: kind, rows: 'joined' },
    open: (context) => new JoinInstance(context, kind, f),
  }
}

interface Row {
  readonly value: unknown
  readonly timestampMs: number
}

/** What one change of a row does to the result: pairs with each of `partners`, from `next` on. */
interface Work {
  readonly key: Key
  readonly side: 0 | 1
  readonly row: Row
  readonly isRetraction: boolean
  /** Whether partners stood alone before this row came, or do now that it has gone. */
  readonly partnersAlone: boolean
  readonly partners: readonly Row[]
  next: number
}

class JoinInstance implements OperatorInstance {
  readonly #context: OperatorContext
  readonly #f: JoinFunction
  /** Whether rows of a side are in the result without a partner. */
  readonly #mayStandAlone: readonly [boolean, boolean]
  /** Rows of each side, as text, and how many there are of each. */
  readonly #rows: readonly [CellMapState<string, number>, CellMapState<string, number>]
  /** More than one only if an operator before emitted on although the gate was closed. */
  readonly #works: Work[] = []

  constructor(context: OperatorContext, kind: JoinKind, f: JoinFunction) {
    this.#context = context
    this.#f = f
    this.#mayStandAlone = [kind === 'left' || kind === 'full', kind === 'right' || kind === 'full']
    const [left, right] = STATES
    this.#rows = [
      new CellMapState(context.keyed.cells(left)),
      new CellMapState(context.keyed.cells(right)),
    ]
  }

  process(value: unknown, input: number): void {
    const side = input === 0 ? 0 : 1
    const { time, keyed } = this.#context
    const { timestampMs, isRetraction } = time
    const own = this.#rows[side]
    const text = textOfValue([value, timestampMs])
    const count = own.get(text) ?? 0
    const wasEmpty = own.isEmpty()
    if (!isRetraction) own.set(text, count + 1)
    else if (count === 0) throw unknownRow(value, `of key ${previewOf(keyed.key())}`)
    else if (count > 1) own.set(text, count - 1)
    else own.delete(text)
    this.#works.push({
      key: keyed.key() as Key,
      side,
      // the record's value is not this operator's to keep while the gate is closed
      row: rowOf(text),
      isRetraction,
      partnersAlone: isRetraction ? own.isEmpty() : wasEmpty,
      partners: rowsOf(this.#rows[side === 0 ? 1 : 0]),
      next: 0,
    })
    if (this.#works.length === 1) this.resume()
  }

  resume(): boolean {
    return this.#context.time.keeping(this.#goOn)
  }

  readonly #goOn = (): boolean => {
    const { gate } = this.#context
    for (let work = this.#works[0]; work !== undefined; work = this.#works[0]) {
      if (work.partners.length === 0 && work.next === 0) {
        if (gate.isClosed) return false
        if (this.#mayStandAlone[work.side]) this.#emit(work.isRetraction, this.#alone(work))
      }
      while (work.next < work.partners.length) {
        if (gate.isClosed) return false
        this.#emitPair(work, work.partners[work.next++] as Row)
      }
      this.#works.shift()
    }
    return true
  }

  #emitPair(work: Work, partner: Row): void {
    const { key, side, row, isRetraction, partnersAlone } = work
    const timestampMs =
      row.timestampMs > partner.timestampMs ? row.timestampMs : partner.timestampMs
    // a user function may change what it is given
    const own = work.partners.length > 1 ? copyValue(row.value) : row.value
    const pair = { value: this.#joined(key, side, own, partner.value), timestampMs }
    const otherSide = side === 0 ? 1 : 0
    if (!partnersAlone || !this.#mayStandAlone[otherSide]) return this.#emit(isRetraction, pair)
    const alone = this.#alone({ key, side: otherSide, row: partner })
    this.#emit(true, isRetraction ? pair : alone)
    this.#emit(false, isRetraction ? alone : pair)
  }

  #alone({ key, side, row }: Pick<Work, 'key' | 'side' | 'row'>): Row {
    return {
      value: this.#joined(key, side, copyValue(row.value), undefined),
      timestampMs: row.timestampMs,
    }
  }

  #joined(key: Key, side: 0 | 1, own: unknown, other: unknown): unknown {
    const result = side === 0 ? this.#f(own, other, key) : this.#f(other, own, key)
    return isPromiseLike(result) ? refusePromise('join') : result
  }

  #emit(isRetraction: boolean, { value, timestampMs }: Row): void {
    const { time, output } = this.#context
    time.timestampMs = timestampMs
    time.isRetraction = isRetraction
    output.emit(value)
  }
}

function rowsOf(rows: CellMapState<string, number>): Row[] {
  const all: Row[] = []
  for (const [text, count] of rows.entries()) {
    for (let i = 0; i < count; i++) all.push(rowOf(text))
  }
  return all
}

function rowOf(text: string): Row {
  const [value, timestampMs] = valueOfText(text) as [unknown, number]
  return { value, timestampMs }
}
