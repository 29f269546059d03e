/** Event time: points in it, and the timestamp that travels beside a value. */

/** Before every timestamp: the watermark of an input that has said nothing yet. */
export const WATERMARK_MIN: number = -Infinity

/** After every timestamp: the watermark of an input that has ended. */
export const WATERMARK_MAX: number = Infinity

/**
 * What travels beside the value of the record at hand: its event time, and whether it is a row that is taken back. One per subtask:
 * whoever hands a record on sets it, whoever needs it reads it, and `process` leaves it as it was found. So no wrapper object is made
 * per record, and operators that do not care pay nothing.
 *
 * Invariants
 *  - `isRetraction` is false and `update` is 0 wherever no record is at hand: when a timer fires, a watermark is handed on, `resume`,
 *    `onEnd`, `handOn` or an action of the mailbox runs. The engine sees to it before each such call. After a throw they may be
 *    anything: the subtask has failed and is not run again.
 *  - Whoever emits a retraction sets `isRetraction` before `emit` and back behind it; whoever emits an insert while a retraction is at
 *    hand does the same the other way round.
 *  - A retraction has the value and the timestamp of the row it takes back, so that it finds the window of that row. It comes after
 *    the insert of its row on every way that rows of equal value take, and before what replaces the row.
 */
export class RecordTime {
  /** Milliseconds since 1970. */
  timestampMs: number = NaN
  /** Whether the record takes back a row that was sent before. */
  isRetraction: boolean = false
  /**
   * Of which update the record is one half: the retraction and the insert that replaces it have the same number. 0: of none. Lost
   * where the two halves may part: over exchanges, and where one record becomes several.
   */
  update: number = 0
  #lastUpdate = 0

  /** Sends an update on: takes back `previous`, then adds `next`, as its two halves. `previousMs` is the time of the row taken back. */
  emitUpdate(
    output: { emit(value: unknown): void },
    previous: unknown,
    previousMs: number,
    next: unknown,
  ): void {
    const { timestampMs, isRetraction, update } = this
    this.#lastUpdate = this.#lastUpdate === 0xfffffff ? 1 : this.#lastUpdate + 1
    this.update = this.#lastUpdate
    this.isRetraction = true
    this.timestampMs = previousMs
    output.emit(previous)
    this.timestampMs = timestampMs
    this.isRetraction = false
    output.emit(next)
    this.isRetraction = isRetraction
    this.update = update
  }

  /** Takes back a row, whose time was `timestampMs`. */
  emitRetraction(output: { emit(value: unknown): void }, value: unknown, rowMs: number): void {
    const { timestampMs, isRetraction, update } = this
    this.update = 0
    this.isRetraction = true
    this.timestampMs = rowMs
    output.emit(value)
    this.timestampMs = timestampMs
    this.isRetraction = isRetraction
    this.update = update
  }

  /**
   * For what was left behind of records: runs an action that sets time and kind as it goes on, and puts back those at hand. What it
   * emits is of no update.
   */
  keeping(goOn: () => boolean): boolean {
    const { timestampMs, isRetraction, update } = this
    this.update = 0
    const isDone = goOn()
    this.timestampMs = timestampMs
    this.isRetraction = isRetraction
    this.update = update
    return isDone
  }

  /** Adds a row, whatever the record at hand is. */
  emitInsert(output: { emit(value: unknown): void }, value: unknown): void {
    const { isRetraction, update } = this
    this.update = 0
    this.isRetraction = false
    output.emit(value)
    this.isRetraction = isRetraction
    this.update = update
  }
}

/** The clock of the machine, handed in at the edge so that tests and the simulation may bring their own. */
export interface Clock {
  /** Processing time in milliseconds since 1970; may be set back by whoever runs the machine. */
  now(): number
  /** A point of a clock that never goes back, in milliseconds; for measuring lengths of time only. */
  elapsed(): number
}

/** Timers, handed in like the clock. */
export interface Scheduler {
  /** Runs `action` after `delayMs`; the answer cancels it. */
  after(delayMs: number, action: () => void): () => void
}
