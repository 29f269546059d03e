/**
 * Cuts the chunks of a file into its lines. Pure: it is fed, and asked for the next line.
 *
 * Invariants
 *  - A line ends with `\n` or `\r\n`, which are not part of it; what stands behind the last one is a line too, once `end` was
 *    called. Empty lines are passed over. A byte order mark at the start of the file is no part of its first line.
 *  - `nextOffset` is the place in the file behind the last line cut, its line end included: reading again from there gives the lines
 *    that follow. It does not depend on where chunks begin and end.
 *  - No more than `bytesMax` bytes of an unfinished line, and the chunk that shows it to be too long, are held.
 *
 * A line within one chunk is handed out in place; only the one that crosses a border is put together.
 */

/** `'more'`: feed the next chunk. `'too-long'`: the line at `lineOffset` is longer than `bytesMax`; there is no going on. */
export type CutStep = 'line' | 'more' | 'too-long'

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf])
const empty = Buffer.alloc(0)

export class LineCutter {
  /** The line cut last is `bytes` from `start` to before `end`, until the next call. */
  bytes: Buffer = empty
  start = 0
  end = 0
  /** Where in the file the line cut last begins. */
  lineOffset = 0
  /** Where in the file the next line begins. */
  nextOffset: number
  readonly #bytesMax: number
  #chunk: Buffer = empty
  #cursor = 0
  #unfinished: Buffer[] = []
  #unfinishedBytes = 0
  #isAtEnd = false

  /** `offset`: where in the file the first chunk begins. */
  constructor(offset: number, bytesMax: number) {
    this.nextOffset = offset
    this.#bytesMax = bytesMax
  }

  /** Takes the next chunk. Call after `'more'`. */
  feed(chunk: Buffer): void {
    this.#chunk = chunk
    this.#cursor = 0
  }

  /** Says that no chunk follows. Call after `'more'`. */
  finish(): void {
    this.#isAtEnd = true
  }

  next(): CutStep {
    for (;;) {
      const lineFeed = this.#chunk.indexOf(LINE_FEED, this.#cursor)
      if (lineFeed < 0) return this.#keepRest()
      this.#cut(lineFeed)
      const step = this.#judge()
      if (step !== 'more') return step
    }
  }

  /** The line that ends at `lineFeed`. */
  #cut(lineFeed: number): void {
    if (this.#unfinishedBytes === 0) {
      this.bytes = this.#chunk
      this.start = this.#cursor
      this.end = lineFeed
    } else {
      this.#unfinished.push(this.#chunk.subarray(this.#cursor, lineFeed))
      this.#join()
    }
    this.#cursor = lineFeed + 1
    this.lineOffset = this.nextOffset
    this.nextOffset += this.end - this.start + 1
    if (this.end > this.start && this.bytes[this.end - 1] === CARRIAGE_RETURN) this.end -= 1
  }

  #keepRest(): CutStep {
    if (this.#cursor < this.#chunk.length) {
      const rest = this.#chunk.subarray(this.#cursor)
      this.#unfinished.push(rest)
      this.#unfinishedBytes += rest.length
    }
    this.#chunk = empty
    this.#cursor = 0
    if (this.#isAtEnd) return this.#cutLast()
    // beyond the bound, what stands there may still be a mark and the first half of a line end
    if (this.#unfinishedBytes <= this.#bytesMax + byteOrderMark.length + 1) return 'more'
    this.lineOffset = this.nextOffset
    return 'too-long'
  }

  /** The line that the file ends in. */
  #cutLast(): CutStep {
    if (this.#unfinishedBytes === 0) return 'more'
    this.lineOffset = this.nextOffset
    this.nextOffset += this.#unfinishedBytes
    this.#join()
    return this.#judge()
  }

  /** What the line that was cut is worth: `'more'` for an empty one. */
  #judge(): CutStep {
    if (this.lineOffset === 0) this.#passMark()
    const bytes = this.end - this.start
    if (bytes > this.#bytesMax) return 'too-long'
    return bytes > 0 ? 'line' : 'more'
  }

  #passMark(): void {
    const begin = this.bytes.subarray(this.start, this.end).subarray(0, byteOrderMark.length)
    if (begin.equals(byteOrderMark)) this.start += byteOrderMark.length
  }

  #join(): void {
    this.bytes = Buffer.concat(this.#unfinished)
    this.start = 0
    this.end = this.bytes.length
    this.#unfinished = []
    this.#unfinishedBytes = 0
  }
}
