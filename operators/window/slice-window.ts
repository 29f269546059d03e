/**
 * Windows that are the same for every key: tumbling and sliding, in event or processing time.
 *
 * Time is cut into slices, the largest pieces no window ends within; a record changes one accumulator, that of its key in its
 * slice, however many windows it is in. A window that ends merges its slices (Flink SQL's slice windows; "panes" of Li et
 * al., No pane, no gain).
 *
 * Invariants
 *  - `#firedMs`: windows ending at or before it have fired or were empty, and slices no later window needs are gone.
 *  - A record is late when every window it is in has fired, or it is in none; it goes to the side output `late` and is counted. One
 *    whose first windows have fired still counts for the others. So no slice is kept that no window will take.
 *  - A window's keys come from its oldest slice first; a key is fired at the oldest slice that holds it, so once.
 *  - Between two windows, and only there, firing leaves state that a snapshot may see.
 */
import type { WindowFunction, AlignedWindows, Window } from '../../src/contract/window.ts'
import type {
  OperatorContext,
  OperatorDescription,
  OperatorInstance,
  Output,
} from '../../src/contract/operator.ts'
import type { SliceCells, SliceCursor } from '../../src/contract/state-backend.ts'
import type { Counter } from '../../src/core/metrics.ts'
import { copyValue } from '../../src/core/value.ts'
import { ONLY_PANE } from './pane-output.ts'
import type { PaneOutput, WindowResult } from './pane-output.ts'
import { partialSlices } from './partial-slices.ts'
import type { PartialSlice } from './partial-slices.ts'
import { firstEndAfter, lastWindowEnd, sliceMsOf, sliceStart } from './slices.ts'

const STATE = 'slices'

export function sliceWindow<T, A>(
  windows: WindowFunction<T, Window>,
  aligned: AlignedWindows,
  result: WindowResult<T, A>,
): OperatorDescription {
  const clock = windows.clock ?? 'event'
  const { aggregator } = result
  const details = { windows: windows.name, result: result.kind, clock }
  const whole: OperatorDescription = {
    type: 'window',
    inputCount: 1,
    isKeyed: true,
    emits: result.emits,
    keepsValues: aggregator.keepsValues !== false,
    functions: result.functions,
    sides: ['late', ...(result.sides ?? [])],
    states: [{ name: STATE, kind: `window ${result.kind}`, layout: 'slice' }],
    details,
    open: (context) =>
      new SliceWindowInstance(context, { aligned, clock, result, takesPartials: false }),
  }
  // what an accumulator keeps of a value could pin the frame that the value came in
  const isCut = clock === 'event' && aggregator.isExact === true && aggregator.keepsValues === false
  if (!isCut) return whole
  const behind: OperatorDescription = {
    ...whole,
    keepsValues: true,
    details: { ...details, takes: 'partial results' },
    open: (context) =>
      new SliceWindowInstance(context, { aligned, clock, result, takesPartials: true }),
  }
  return {
    ...whole,
    preAggregation: {
      before: (select) => partialSlices(select, aligned, aggregator, details),
      behind,
      select: (partial) => (partial as PartialSlice<A>).key,
      wholeSides: ['late'],
    },
  }
}

/** A window being fired. */
interface Firing {
  readonly window: Window
  readonly slices: readonly number[]
  /** Which slice's keys are being visited. */
  sliceIndex: number
  cursor: SliceCursor
}

interface SliceWindowOptions<T, A> {
  readonly aligned: AlignedWindows
  readonly clock: 'event' | 'processing'
  readonly result: WindowResult<T, A>
  /** Whether its records are partial results (partial-slices.ts). */
  readonly takesPartials: boolean
}

class SliceWindowInstance<T, A> implements OperatorInstance {
  readonly #context: OperatorContext
  readonly #options: SliceWindowOptions<T, A>
  readonly #output: PaneOutput<A>
  readonly #late: Output
  readonly #lateRecords: Counter
  readonly #cells: SliceCells<A>
  readonly #sliceMs: number
  #firedMs: number
  /** Windows ending at or before this are due. */
  #dueMs: number
  #firing: Firing | undefined
  // the slice of the last record: most records are in the same one
  #sliceStart = NaN
  #sliceEnd = NaN
  #lastWindowEnd = NaN

  constructor(context: OperatorContext, options: SliceWindowOptions<T, A>) {
    this.#context = context
    this.#options = options
    this.#output = options.result.open(context)
    this.#late = context.side('late')
    this.#lateRecords = context.metrics.counter('lateRecords')
    this.#cells = context.keyed.slices(STATE)
    this.#sliceMs = sliceMsOf(options.aligned)
    // windows that end at the watermark plus one have fired before the restart
    this.#firedMs = options.clock === 'event' ? context.watermarkMs() + 1 : -Infinity
    this.#dueMs = this.#firedMs
    if (options.clock === 'processing') this.#wakeForNext()
  }

  process(value: unknown): void {
    if (this.#options.takesPartials) return this.#merge(value as PartialSlice<A>)
    const isEventTime = this.#options.clock === 'event'
    const timeMs = isEventTime ? this.#context.time.timestampMs : this.#context.clock.now()
    if (!(timeMs >= this.#sliceStart && timeMs < this.#sliceEnd)) this.#enterSlice(timeMs)
    if (this.#isOver()) {
      this.#lateRecords.add()
      this.#late.emit(value)
      return
    }
    const { aggregator } = this.#options.result
    const slice = this.#sliceStart
    const before = this.#cells.edit(slice)
    this.#cells.put(
      slice,
      aggregator.add(before === undefined ? aggregator.create() : before, value as T),
    )
  }

  onWatermark(watermarkMs: number): boolean {
    if (this.#options.clock === 'processing') return true
    this.#dueMs = watermarkMs + 1
    return this.resume()
  }

  onWake(nowMs: number): boolean {
    this.#dueMs = nowMs
    const isDone = this.resume()
    this.#wakeForNext()
    return isDone
  }

  resume(): boolean {
    for (;;) {
      if (this.#firing !== undefined) {
        if (!this.#fireOn(this.#firing)) return false
        this.#endFiring(this.#firing.window)
      }
      const endMs = this.#nextWindowEnd()
      if (endMs === Infinity || endMs > this.#dueMs) {
        if (this.#dueMs > this.#firedMs) this.#firedMs = this.#dueMs
        return true
      }
      if (this.#context.gate.isClosed) return false
      this.#startFiring(endMs)
    }
  }

  onEnd(): boolean {
    if (this.#options.clock === 'processing') {
      const open = this.#cells.slices().length
      if (open > 0) this.#context.metrics.counter('processingTimeWindowsDropped').add(open)
    }
    return true
  }

  close(): void {
    this.#output.close?.()
  }

  #merge({ slice, accumulator, valueCount }: PartialSlice<A>): void {
    if (slice !== this.#sliceStart) this.#enterSlice(slice)
    if (this.#isOver()) return this.#lateRecords.add(valueCount)
    const before = this.#cells.edit(slice)
    const { aggregator } = this.#options.result
    this.#cells.put(
      slice,
      before === undefined ? accumulator : aggregator.merge(before, accumulator),
    )
  }

  #enterSlice(timeMs: number): void {
    const { aligned, clock } = this.#options
    const start = sliceStart(timeMs, this.#sliceMs, aligned)
    const lastEnd = lastWindowEnd(start, aligned)
    this.#sliceStart = start
    this.#sliceEnd = start + this.#sliceMs
    // a slice between two windows is in none
    this.#lastWindowEnd = lastEnd <= start ? -Infinity : lastEnd
    if (clock === 'processing' && !this.#isOver()) {
      this.#context.wakeAt(this.#nextWindowEnd(start))
    }
  }

  /** Whether no window is left that would take the slice of the last record. */
  #isOver(): boolean {
    return this.#lastWindowEnd <= this.#firedMs
  }

  /** The end of the earliest window that has not fired and holds something; Infinity if there is none. */
  #nextWindowEnd(furtherSlice?: number): number {
    const { aligned } = this.#options
    let next = Infinity
    const slices = this.#cells.slices()
    const all = furtherSlice === undefined ? slices : [...slices, furtherSlice]
    for (const slice of all) {
      const endMs = firstEndAfter(this.#firedMs, slice, this.#sliceMs, aligned)
      if (endMs <= lastWindowEnd(slice, aligned) && endMs < next) next = endMs
    }
    return next
  }

  #startFiring(endMs: number): void {
    const startMs = endMs - this.#options.aligned.sizeMs
    const slices = this.#cells.slices().filter((slice) => slice >= startMs && slice < endMs)
    this.#firing = {
      window: Object.freeze({ startMs, endMs }),
      slices,
      sliceIndex: 0,
      cursor: this.#cells.keys(slices[0] as number),
    }
  }

  #fireOn(firing: Firing): boolean {
    const { gate, time } = this.#context
    const { slices, window } = firing
    const timestampMs = time.timestampMs
    time.timestampMs = window.endMs - 1
    for (; firing.sliceIndex < slices.length; this.#nextSlice(firing)) {
      while (!gate.isClosed && firing.cursor.next()) {
        if (this.#isInOlder(firing)) continue
        this.#firePane(firing)
      }
      if (gate.isClosed) break
    }
    time.timestampMs = timestampMs
    return firing.sliceIndex === slices.length
  }

  #nextSlice(firing: Firing): void {
    firing.sliceIndex += 1
    const slice = firing.slices[firing.sliceIndex]
    if (slice !== undefined) firing.cursor = this.#cells.keys(slice)
  }

  #isInOlder({ slices, sliceIndex }: Firing): boolean {
    for (let i = 0; i < sliceIndex; i++) {
      if (this.#cells.get(slices[i] as number) !== undefined) return true
    }
    return false
  }

  /** Fires the key at hand. What is given away is not in state any more, or a copy. */
  #firePane({ window, slices, sliceIndex }: Firing): void {
    const { aggregator } = this.#options.result
    const key = this.#context.keyed.key()
    const slice = slices[sliceIndex] as number
    if (this.#options.aligned.sizeMs === this.#sliceMs) {
      // the slice is dropped when all keys have fired; a running snapshot keeps its own copy of what is edited
      return this.#output.fire(key, window, this.#cells.edit(slice) as A, false, ONLY_PANE)
    }
    const own = this.#cells.get(slice) as A
    let merged: A | undefined
    for (let i = sliceIndex + 1; i < slices.length; i++) {
      const further = this.#cells.get(slices[i] as number)
      if (further === undefined) continue
      merged = aggregator.merge(merged ?? ownCopy(own), ownCopy(further))
    }
    this.#output.fire(key, window, merged ?? own, merged === undefined, ONLY_PANE)
  }

  #endFiring({ endMs }: Window): void {
    this.#firing = undefined
    this.#firedMs = endMs
    for (const slice of this.#cells.slices()) {
      if (lastWindowEnd(slice, this.#options.aligned) <= endMs) this.#cells.drop(slice)
    }
  }

  #wakeForNext(): void {
    const endMs = this.#nextWindowEnd()
    if (endMs !== Infinity) this.#context.wakeAt(endMs)
  }
}

/** Merging may change or hand back either argument, and slices are merged again for the next window. */
function ownCopy<A>(accumulator: A): A {
  return typeof accumulator === 'object' ? copyValue(accumulator) : accumulator
}
