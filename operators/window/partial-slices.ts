/**
 * The part of a slice window before its exchange: gathers the values of a key and slice in one accumulator and sends that. The part
 * behind (slice-window.ts) merges what comes of each key and slice.
 *
 * Invariants
 *  - What is held of a slice leaves before any watermark that lets a window with that slice fire. So the part behind gets
 *    it in time exactly if it would have got each value in time, and what is late is late as a whole: windows take
 *    slices whole.
 *  - A value that is late here already leaves before the next watermark, like a record.
 *  - Nothing is held over a snapshot, over the end, or while the stream is idle; at most `ENTRIES_MAX` accumulators are held.
 *  - As long as gathering saves little, values go on one by one (gathering.ts).
 */
import type { Aggregator } from '../../src/contract/aggregator.ts'
import type {
  OperatorContext,
  OperatorDescription,
  OperatorInstance,
} from '../../src/contract/operator.ts'
import type { AlignedWindows } from '../../src/contract/window.ts'
import { hashSelected } from '../../src/core/key-hash.ts'
import { KeyIndex } from '../../src/core/key-index.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { keepValue } from '../../src/core/value.ts'
import { ENTRIES_MAX, Gathering } from './gathering.ts'
import { firstEndAfter, sliceMsOf, sliceStart } from './slices.ts'

/** What travels instead of values. */
export interface PartialSlice<A> {
  readonly key: AnyKey
  readonly slice: number
  /** How many values it stands for. */
  readonly valueCount: number
  readonly accumulator: A
}

export function partialSlices<T, A>(
  select: (value: unknown) => unknown,
  aligned: AlignedWindows,
  aggregator: Aggregator<T, A, unknown>,
  details: NonNullable<OperatorDescription['details']>,
): OperatorDescription {
  return {
    type: 'partial window',
    inputCount: 1,
    isKeyed: false,
    emits: 'engine',
    functions: [select],
    details,
    open: (context) => new PartialSlicesInstance<T, A>(context, { select, aligned, aggregator }),
  }
}

/** The accumulators of one slice. */
interface SliceTable<A> {
  readonly slice: number
  readonly index: KeyIndex
  readonly accumulators: A[]
  readonly valueCounts: number[]
}

interface PartialSlicesOptions<T, A> {
  readonly select: (value: unknown) => unknown
  readonly aligned: AlignedWindows
  readonly aggregator: Aggregator<T, A, unknown>
}

class PartialSlicesInstance<T, A> implements OperatorInstance {
  readonly #context: OperatorContext
  readonly #options: PartialSlicesOptions<T, A>
  readonly #sliceMs: number
  readonly #tables = new Map<number, SliceTable<A>>()
  #entryCount = 0
  #valueCount = 0
  readonly #gathering = new Gathering()
  /** What is held leaves before a watermark that lets windows ending at or before this fire. */
  #deadlineMs = Infinity
  // what is leaving
  #leaving: SliceTable<A>[] = []
  #leavingEntry = 0
  // the slice of the last value: most are in the same one
  #sliceStart = NaN
  #sliceEnd = NaN
  #table: SliceTable<A> | undefined

  constructor(context: OperatorContext, options: PartialSlicesOptions<T, A>) {
    this.#context = context
    this.#options = options
    this.#sliceMs = sliceMsOf(options.aligned)
  }

  process(value: unknown): void {
    const { select, aggregator } = this.#options
    const timeMs = this.#context.time.timestampMs
    let key = select(value) as AnyKey
    if (key === 0) key = 0
    const hash = hashSelected(key)
    if (this.#gathering.passing > 0) return this.#pass(key, timeMs, value as T)
    if (!(timeMs >= this.#sliceStart && timeMs < this.#sliceEnd)) this.#enterSlice(timeMs)
    const { index, accumulators, valueCounts } = this.#table as SliceTable<A>
    const entry = index.find(key, hash, 0)
    this.#valueCount += 1
    if (entry >= 0) {
      accumulators[entry] = aggregator.add(accumulators[entry] as A, value as T)
      valueCounts[entry] = (valueCounts[entry] as number) + 1
      return
    }
    const own = typeof key === 'number' ? key : keepValue(key)
    const made = index.insert(own, hash, 0)
    accumulators[made] = aggregator.add(aggregator.create(), value as T)
    valueCounts[made] = 1
    this.#entryCount += 1
    if (this.#entryCount === ENTRIES_MAX) this.handOn()
  }

  onWatermark(watermarkMs: number): boolean {
    return watermarkMs + 1 < this.#deadlineMs || this.handOn()
  }

  onEnd(): boolean {
    return this.handOn()
  }

  handOn(): boolean {
    // what was on its way when the outputs were full goes first, and is little
    this.#leave(false)
    this.#gathering.judge(this.#entryCount, this.#valueCount)
    this.#leaving = [...this.#tables.values()]
    this.#leavingEntry = 0
    this.#tables.clear()
    this.#entryCount = 0
    this.#valueCount = 0
    this.#deadlineMs = Infinity
    this.#sliceStart = NaN
    return this.#leave(true)
  }

  resume(): boolean {
    return this.#leave(true)
  }

  /** Emits what is leaving; stops when the outputs are full, if `heedsGate`. */
  #leave(heedsGate: boolean): boolean {
    const { gate, output, time } = this.#context
    const timestampMs = time.timestampMs
    for (let table = this.#leaving[0]; table !== undefined; table = this.#leaving[0]) {
      const { slice, index, accumulators, valueCounts } = table
      time.timestampMs = slice + this.#sliceMs - 1
      while (this.#leavingEntry < accumulators.length && !(heedsGate && gate.isClosed)) {
        const entry = this.#leavingEntry++
        output.emit({
          key: index.key(entry),
          slice,
          valueCount: valueCounts[entry],
          accumulator: accumulators[entry],
        })
      }
      if (this.#leavingEntry < accumulators.length) break
      this.#leaving.shift()
      this.#leavingEntry = 0
    }
    time.timestampMs = timestampMs
    return this.#leaving.length === 0
  }

  /** One value as a partial result of its own. */
  #pass(key: AnyKey, timeMs: number, value: T): void {
    this.#gathering.passing -= 1
    const { aggregator, aligned } = this.#options
    this.#context.output.emit({
      key: typeof key === 'object' ? keepValue(key) : key,
      slice: sliceStart(timeMs, this.#sliceMs, aligned),
      valueCount: 1,
      accumulator: aggregator.add(aggregator.create(), value),
    })
  }

  #enterSlice(timeMs: number): void {
    const { aligned } = this.#options
    const slice = sliceStart(timeMs, this.#sliceMs, aligned)
    this.#sliceStart = slice
    this.#sliceEnd = slice + this.#sliceMs
    let table = this.#tables.get(slice)
    if (table === undefined) {
      table = { slice, index: new KeyIndex(false), accumulators: [], valueCounts: [] }
      this.#tables.set(slice, table)
      this.#deadlineMs = Math.min(this.#deadlineMs, this.#deadlineOf(slice))
    }
    this.#table = table
  }

  /** The end of the first window with the slice; at once where that has passed the watermark already. */
  #deadlineOf(slice: number): number {
    const { aligned } = this.#options
    const passedMs = this.#context.watermarkMs() + 1
    const firstEnd = firstEndAfter(-Infinity, slice, this.#sliceMs, aligned)
    return firstEnd > passedMs ? firstEnd : -Infinity
  }
}
