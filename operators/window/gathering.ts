/**
 * When gathering before an exchange pays, and how much is gathered.
 *
 * Keys that hardly ever come again pay twice for being gathered. So each table that is handed on is judged by how many values an
 * accumulator stood for; if it saved little, values pass one by one for a while, then it is tried again. By values alone, no
 * clock: a replay decides alike.
 */

/** Accumulators held at the most: a few megabytes, and no longer to hand on than a batch takes. */
export const ENTRIES_MAX = 16_384
/** A table with fewer entries says nothing about how often keys come again. */
const JUDGED_ENTRIES_MIN = 1024
/** Values an accumulator must stand for, on average, to be worth making. */
const VALUES_PER_ENTRY_MIN = 1.5
/** Values that pass one by one before it is tried again. */
const PASSED_VALUES = 65_536

export class Gathering {
  /** Values that still pass one by one. */
  passing = 0

  /** A table of so many entries, which took so many values, is handed on. */
  judge(entryCount: number, valueCount: number): void {
    if (entryCount < JUDGED_ENTRIES_MIN) return
    if (valueCount < entryCount * VALUES_PER_ENTRY_MIN) this.passing = PASSED_VALUES
  }
}
