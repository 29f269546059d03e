/**
 * The head of a source's chain: reads the splits that the coordinator has dealt to this subtask, and follows their time.
 *
 * Invariants
 *  - A batch has records of one split. It is handed on whole before the next is read, so between two batches every split's
 *    position tells exactly what has been handed on.
 *  - Of the splits that may have records, the one that is furthest behind in event time is read next: files that cover
 *    different hours are read in the order of time, and none holds more state open than it must.
 *  - Dead letters of a read leave with its batch, before the next read. They tell nothing of time: they move no watermark.
 *  - The watermark is the minimum over splits that have neither ended nor are idle, and only grows.
 */
import type { Mailbox } from '../contract/operator.ts'
import type {
  ReaderContext,
  SourceReader,
  Split,
  SplitReader,
  WatermarkGenerator,
} from '../contract/source.ts'
import type { DeadLetter } from '../core/dead-letter.ts'
import { EngineError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import type { Metrics } from '../core/metrics.ts'
import { RecordBatch } from '../core/record-batch.ts'
import type { Clock } from '../core/time.ts'
import { WATERMARK_MIN } from '../core/time.ts'
import type { SourceNode } from '../plan/job-graph.ts'
import { uidOf } from '../plan/job-graph.ts'

/** A split as it stands in a checkpoint. In the value model. */
export interface SplitState {
  readonly id: string
  readonly data: unknown
  readonly position: unknown
  readonly watermarkMs: number
}

export interface SourceHeadOptions {
  readonly node: SourceNode
  readonly subtaskIndex: number
  readonly parallelism: number
  readonly clock: Clock
  readonly logger: Logger
  readonly signal: AbortSignal
  readonly mailbox: Mailbox
  readonly metrics: Metrics
  readonly wake: () => void
  readonly fail: (error: unknown) => void
  readonly recordsMax: number
}

interface OpenSplit {
  readonly split: Split
  readonly reader: SplitReader
  readonly generator: WatermarkGenerator
  watermarkMs: number
  /** Whether it is worth reading: false after it had nothing, until something says otherwise. */
  mayHaveRecords: boolean
  isIdle: boolean
  /** When it last had a record, or was opened, on the clock that never goes back. */
  activeAtMs: number
}

export class SourceHead {
  readonly batch: RecordBatch
  /** When `read` should be tried again although nothing was said, in processing time. */
  wakeAtMs: number = Infinity
  recordsRead = 0
  /** What the last read could not decode; whoever called it empties the list. */
  readonly letters: DeadLetter[] = []
  readonly #options: SourceHeadOptions
  readonly #reader: SourceReader
  #splits: OpenSplit[] = []
  #watermarkMs: number = WATERMARK_MIN
  #isDealt = false
  #hasAllSplits = false

  private constructor(options: SourceHeadOptions, reader: SourceReader) {
    this.#options = options
    this.#reader = reader
    this.batch = new RecordBatch(options.recordsMax)
  }

  static async open(options: SourceHeadOptions): Promise<SourceHead> {
    let head: SourceHead | undefined
    const { wake } = options
    const context: ReaderContext = {
      operatorUid: uidOf(options.node),
      subtaskIndex: options.subtaskIndex,
      parallelism: options.parallelism,
      clock: options.clock,
      logger: options.logger,
      signal: options.signal,
      mailbox: options.mailbox,
      available() {
        head?.setAvailable()
        wake()
      },
      availableAt(processingTimeMs) {
        if (head !== undefined && processingTimeMs < head.wakeAtMs) head.wakeAtMs = processingTimeMs
      },
      fail: options.fail,
      metrics: options.metrics,
      deadLetter(letter) {
        const { timestampMs } = letter
        head?.letters.push({
          ...letter,
          operatorUid: context.operatorUid,
          timestampMs: Number.isFinite(timestampMs) ? timestampMs : options.clock.now(),
        })
      },
    }
    head = new SourceHead(options, await options.node.source.reader(context))
    return head
  }

  /** Splits that were dealt to this subtask, new or restored. */
  addSplits(splits: readonly (Split | SplitState)[]): void {
    for (const split of splits) {
      this.#splits.push({
        split,
        reader: this.#reader.open(split),
        generator: this.#options.node.watermarks.open(),
        watermarkMs: 'watermarkMs' in split ? split.watermarkMs : WATERMARK_MIN,
        mayHaveRecords: true,
        isIdle: false,
        activeAtMs: this.#options.clock.elapsed(),
      })
    }
  }

  /** The coordinator has dealt; `isLast`: no further splits will come. */
  setDealt(isLast: boolean): void {
    this.#isDealt = true
    this.#hasAllSplits = isLast
  }

  /** Whether everything has been read. */
  get hasEnded(): boolean {
    return this.#hasAllSplits && this.#splits.length === 0
  }

  /** Whether no split can hold the watermark: there is none, or all are idle. */
  get isIdle(): boolean {
    return this.#isDealt && !this.hasEnded && this.#splits.every(({ isIdle }) => isIdle)
  }

  setAvailable(): void {
    for (const split of this.#splits) split.mayHaveRecords = true
  }

  /** Reads a batch of some split, with event times filled in; it is empty where there were dead letters only. False if there is nothing now. */
  read(nowMs: number): boolean {
    if (nowMs >= this.wakeAtMs) {
      this.wakeAtMs = Infinity
      this.setAvailable()
    }
    for (let next = this.#furthestBehind(); next !== undefined; next = this.#furthestBehind()) {
      this.batch.reset()
      const status = next.reader.read(this.batch, this.#options.recordsMax)
      if (status === 'records') {
        this.#take(next, nowMs)
        return true
      }
      next.mayHaveRecords = false
      if (status === 'ended') this.#endSplit(next)
      if (this.letters.length > 0) return true
    }
    this.#findIdle()
    return false
  }

  /** The watermark after the batch that `read` filled has been handed on. */
  watermark(): number {
    let lowest = Infinity
    for (const { isIdle, watermarkMs } of this.#splits) {
      if (!isIdle && watermarkMs < lowest) lowest = watermarkMs
    }
    if (lowest !== Infinity && lowest > this.#watermarkMs) this.#watermarkMs = lowest
    return this.#watermarkMs
  }

  /** Positions between two batches, for a snapshot. */
  snapshot(): SplitState[] {
    return this.#splits.map(({ split, reader, watermarkMs }) => ({
      id: split.id,
      data: split.data,
      position: reader.position(),
      watermarkMs,
    }))
  }

  async close(): Promise<void> {
    const splits = this.#splits
    this.#splits = []
    for (const { reader } of splits) await reader.close?.()
    await this.#reader.close?.()
  }

  #furthestBehind(): OpenSplit | undefined {
    let chosen: OpenSplit | undefined
    for (const split of this.#splits) {
      if (!split.mayHaveRecords) continue
      if (chosen === undefined || split.watermarkMs < chosen.watermarkMs) chosen = split
    }
    return chosen
  }

  #take(split: OpenSplit, nowMs: number): void {
    const { batch } = this
    this.recordsRead += batch.count
    this.#fillTimes(nowMs)
    const watermarkMs = split.generator.advance(batch)
    if (watermarkMs > split.watermarkMs) split.watermarkMs = watermarkMs
    split.isIdle = false
    if (this.#options.node.idleAfterMs !== undefined) {
      split.activeAtMs = this.#options.clock.elapsed()
    }
  }

  #fillTimes(nowMs: number): void {
    const { values, timestamps, count } = this.batch
    const { timestampMs } = this.#options.node
    for (let row = 0; row < count; row++) {
      const own = timestampMs === undefined ? (timestamps[row] as number) : timestampMs(values[row])
      if (own - own === 0) {
        timestamps[row] = own
      } else if (timestampMs === undefined && Number.isNaN(own)) {
        timestamps[row] = nowMs
      } else {
        throw new EngineError(
          'TIMESTAMP_INVALID',
          `The timestamp of a record is ${String(own)}; it must be a finite number of milliseconds since 1970: see timestampMs of the source`,
        )
      }
    }
  }

  #findIdle(): void {
    const { idleAfterMs } = this.#options.node
    if (idleAfterMs === undefined) return
    const elapsedMs = this.#options.clock.elapsed()
    let nextMs = Infinity
    for (const split of this.#splits) {
      if (split.isIdle) continue
      const leftMs = split.activeAtMs + idleAfterMs - elapsedMs
      if (leftMs <= 0) split.isIdle = true
      else nextMs = Math.min(nextMs, leftMs)
    }
    if (nextMs !== Infinity) {
      this.wakeAtMs = Math.min(this.wakeAtMs, this.#options.clock.now() + nextMs)
    }
  }

  #endSplit(ended: OpenSplit): void {
    this.#splits = this.#splits.filter((split) => split !== ended)
    // a split that has been read to its end holds nothing that could be lost by closing it badly
    Promise.resolve(ended.reader.close?.()).catch(() => {})
  }
}
