/**
 * What the files that one subtask reads at the same time share: memory for reading ahead, turns at the disk, open files.
 *
 * The engine may open any number of splits at once and reads first from the one that is furthest behind, so each of them must
 * be able to go on whatever the others hold: no file waits for another to be read. The bounds therefore grow small with the number
 * of splits instead of closing.
 *
 * Invariants
 *  - All read-ahead together takes `readAheadBytes` at most, while there are no more splits than `readAheadBytes` holds twice
 *    `CHUNK_BYTES_MIN`; beyond that, `CHUNK_BYTES_MIN` for each split.
 *  - No more than `READS_IN_FLIGHT_MAX` reads are under way, so that a thousand files do not fill the process's queue for
 *    the disk, in which the state backend waits as well. Turns are given in the order they were asked for.
 */

/** One read: large enough that its cost is lost in decoding, small enough for the processor's cache. */
export const CHUNK_BYTES_MAX: number = 256 * 1024
export const CHUNK_BYTES_MIN: number = 16 * 1024
/** As many as the threads that Node reads files with, if not told otherwise. */
export const READS_IN_FLIGHT_MAX = 4
/** With more splits than this, a file is opened for each chunk and closed again. */
export const FILES_OPEN_MAX = 256

export class ReadBudget {
  readonly #readAheadBytes: number
  readonly #waiting: (() => void)[] = []
  #inFlight = 0
  #splitCount = 0

  constructor(readAheadBytes: number) {
    this.#readAheadBytes = readAheadBytes
  }

  /** A split begins to be read. */
  enter(): void {
    this.#splitCount += 1
  }

  /** A split is read no more. */
  leave(): void {
    this.#splitCount -= 1
  }

  /** How large the next chunk of a split may be. */
  chunkBytes(): number {
    const share = Math.floor(this.#readAheadBytes / (2 * Math.max(1, this.#splitCount)))
    return Math.max(CHUNK_BYTES_MIN, Math.min(CHUNK_BYTES_MAX, share))
  }

  /** How many chunks a split may have ready. */
  chunksMax(): number {
    return 2 * CHUNK_BYTES_MIN * this.#splitCount <= this.#readAheadBytes ? 2 : 1
  }

  /** Whether a split may keep its file open between two chunks. */
  keepsFilesOpen(): boolean {
    return this.#splitCount <= FILES_OPEN_MAX
  }

  /** Settles when it is the caller's turn to read. Ends with `release`. */
  async acquire(): Promise<void> {
    if (this.#inFlight < READS_IN_FLIGHT_MAX) {
      this.#inFlight += 1
      return
    }
    // whoever releases hands its turn over
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  release(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#inFlight -= 1
    else next()
  }
}
