/**
 * Records on their way from one subtask to the next: values, timestamps and key hashes side by side.
 *
 * Invariants
 *  - Rows 0 to `count - 1` are filled; `hashes` is filled on keyed edges only.
 *  - A batch has one owner. Handing it to a channel hands it over; the one who has consumed it may use it again.
 *  - `watermarkMs` holds after the last of its records; NaN says nothing.
 *  - `retractions` is 1 for the rows that are taken back and 0 for all others, also for those from `count` on; `retractionCount` is how
 *    many there are. While it is 0 nobody needs to look at them.
 */

/** Records in a full batch: enough to pay for the hand-over, few enough to stay in the cache. */
export const BATCH_RECORDS_MAX = 512

export class RecordBatch {
  readonly kind = 'records'
  readonly values: unknown[]
  readonly timestamps: Float64Array
  readonly hashes: Int32Array
  readonly retractions: Uint8Array
  retractionCount = 0
  count = 0
  watermarkMs: number = NaN

  constructor(recordsMax: number = BATCH_RECORDS_MAX) {
    this.values = new Array<unknown>(recordsMax).fill(undefined)
    this.timestamps = new Float64Array(recordsMax)
    this.hashes = new Int32Array(recordsMax)
    this.retractions = new Uint8Array(recordsMax)
  }

  /** Says that a row is taken back. At most once a row. */
  markRetraction(row: number): void {
    this.retractions[row] = 1
    this.retractionCount += 1
  }

  /** Ready to be filled again. Lets go of its records: a batch that waits to be used again would make each scavenge copy them. */
  reset(): void {
    const { values, count } = this
    for (let row = 0; row < count; row++) values[row] = undefined
    if (this.retractionCount > 0) {
      this.retractions.fill(0, 0, count)
      this.retractionCount = 0
    }
    this.count = 0
    this.watermarkMs = NaN
  }
}
