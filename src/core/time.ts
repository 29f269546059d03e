/** Event time: points in it, and the timestamp that travels beside a value. */

/** Before every timestamp: the watermark of an input that has said nothing yet. */
export const WATERMARK_MIN: number = -Infinity

/** After every timestamp: the watermark of an input that has ended. */
export const WATERMARK_MAX: number = Infinity

/**
 * The event time of the record at hand. One per subtask: whoever hands a record on sets it, whoever needs it reads it, and
 * `process` leaves it as it was found. So no wrapper object is made per record, and operators that do not care pay nothing.
 */
export class RecordTime {
  /** Milliseconds since 1970. */
  timestampMs: number = NaN
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
