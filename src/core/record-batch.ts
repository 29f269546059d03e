/**
 * Records on their way from one subtask to the next: values, timestamps and key hashes side by side.
 *
 * Invariants
 *  - Rows 0 to `count - 1` are filled; `hashes` is filled on keyed edges only.
 *  - A batch has one owner. Handing it to a channel hands it over; the one who has consumed it may use it again.
 *  - `watermarkMs` holds after the last of its records; NaN says nothing.
 */

/** Records in a full batch: enough to pay for the hand-over, few enough to stay in the cache. */
export const BATCH_RECORDS_MAX = 512

export class RecordBatch {
  readonly kind = 'records'
  readonly values: unknown[]
  readonly timestamps: Float64Array
  readonly hashes: Int32Array
  count = 0
  watermarkMs: number = NaN

  constructor(recordsMax: number = BATCH_RECORDS_MAX) {
    this.values = new Array<unknown>(recordsMax).fill(undefined)
    this.timestamps = new Float64Array(recordsMax)
    this.hashes = new Int32Array(recordsMax)
  }

  /** Ready to be filled again. The references of the former records are let go when they are overwritten. */
  reset(): void {
    this.count = 0
    this.watermarkMs = NaN
  }
}
