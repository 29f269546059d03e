/**
 * Windows of each key's own: sessions, and whatever a user's window function assigns.
 *
 * A key's windows lie in one cell, ordered by start. Each has one live entry in the timer index, at or before the end it has now: a
 * session that grows keeps its entry, and when that comes up too early a new one is made. So a record that prolongs a
 * session costs no timer.
 *
 * Invariants
 *  - Windows of a cell are in order, no two alike, and (if overlapping ones merge) none overlaps another. No cell is empty.
 *  - `timerMs` of a window is the time of its live entry and not after `endMs - 1`; other entries for the key are out of date.
 *  - A record is late when its window, merged with those it joins, has passed. What was there is not changed by it.
 */
import type {
  OperatorContext,
  OperatorDescription,
  OperatorInstance,
  Output,
  Timer,
} from '../../src/contract/operator.ts'
import { EVENT_TIMERS, PROCESSING_TIMERS } from '../../src/contract/operator.ts'
import type { KeyedCells, TimerIndex } from '../../src/contract/state-backend.ts'
import type { Window, WindowFunction } from '../../src/contract/window.ts'
import type { AnyKey } from '../../src/core/key.ts'
import type { Counter } from '../../src/core/metrics.ts'
import { ONLY_PANE } from './pane-output.ts'
import type { PaneOutput, WindowResult } from './pane-output.ts'
import { partialSessions } from './partial-sessions.ts'
import type { PartialSession } from './partial-sessions.ts'

const STATE = 'windows'

/** A window of a key with what it holds. */
interface OpenWindow<A> {
  startMs: number
  endMs: number
  timerMs: number
  accumulator: A
}

export function keyWindow<T, A>(
  windows: WindowFunction<T, Window>,
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
    // oxlint-disable-next-line typescript/unbound-method -- compared by its text only
    functions: [windows.assign, ...result.functions],
    sides: ['late', ...(result.sides ?? [])],
    states: [
      { name: STATE, kind: `window ${result.kind}`, layout: 'key' },
      {
        name: clock === 'event' ? EVENT_TIMERS : PROCESSING_TIMERS,
        kind: 'timers',
        layout: 'timers',
      },
    ],
    details,
    open: (context) =>
      new KeyWindowInstance(context, windows, result, wholeValues(windows, result)),
  }
  const isSession = windows.mergesOverlapping !== undefined && windows.assignsOne === true
  // what an accumulator keeps of a value could pin the frame that the value came in
  const isGathered = aggregator.isExact === true && aggregator.keepsValues === false
  if (!isSession || !isGathered || clock !== 'event') return whole
  const behind: OperatorDescription = {
    ...whole,
    keepsValues: true,
    details: { ...details, takes: 'partial results' },
    open: (context) => new KeyWindowInstance(context, windows, result, partialResults(result)),
  }
  return {
    ...whole,
    preAggregation: {
      before: (select) => partialSessions(select, windows, aggregator, details),
      behind,
      select: (partial) => (partial as PartialSession<A>).key,
      wholeSides: ['late'],
    },
  }
}

/** What the records of a window operator are: values, or partial results that stand for several. */
interface Intake<A> {
  assign(record: unknown, timestampMs: number, key: AnyKey): readonly Window[]
  /** The accumulator with the record in it; undefined: a new one. */
  add(accumulator: A | undefined, record: unknown): A
  valueCount(record: unknown): number
}

function wholeValues<T, A>(
  windows: WindowFunction<T, Window>,
  { aggregator }: WindowResult<T, A>,
): Intake<A> {
  return {
    assign: (value, timestampMs, key) => windows.assign(value as T, timestampMs, key),
    add: (accumulator, value) =>
      aggregator.add(accumulator === undefined ? aggregator.create() : accumulator, value as T),
    valueCount: () => 1,
  }
}

function partialResults<T, A>({ aggregator }: WindowResult<T, A>): Intake<A> {
  return {
    assign: (partial) => [partial as PartialSession<A>],
    add: (accumulator, partial) => {
      const own = (partial as PartialSession<A>).accumulator
      return accumulator === undefined ? own : aggregator.merge(accumulator, own)
    },
    valueCount: (partial) => (partial as PartialSession<A>).valueCount,
  }
}

class KeyWindowInstance<T, A> implements OperatorInstance {
  readonly #intake: Intake<A>
  readonly #context: OperatorContext
  readonly #windows: WindowFunction<T, Window>
  readonly #result: WindowResult<T, A>
  readonly #output: PaneOutput<A>
  readonly #late: Output
  readonly #lateRecords: Counter
  readonly #cells: KeyedCells<OpenWindow<A>[]>
  readonly #timers: TimerIndex
  readonly #isEventTime: boolean

  constructor(
    context: OperatorContext,
    windows: WindowFunction<T, Window>,
    result: WindowResult<T, A>,
    intake: Intake<A>,
  ) {
    this.#intake = intake
    this.#context = context
    this.#windows = windows
    this.#result = result
    this.#output = result.open(context)
    this.#late = context.side('late')
    this.#lateRecords = context.metrics.counter('lateRecords')
    this.#cells = context.keyed.cells(STATE)
    this.#isEventTime = (windows.clock ?? 'event') === 'event'
    this.#timers = context.keyed.timers(this.#isEventTime ? EVENT_TIMERS : PROCESSING_TIMERS)
  }

  process(value: unknown): void {
    const timeMs = this.#isEventTime ? this.#context.time.timestampMs : this.#context.clock.now()
    const assigned = this.#intake.assign(value, timeMs, this.#context.keyed.key())
    let isTaken = false
    for (let i = 0; i < assigned.length; i++) {
      if (this.#add(value, assigned[i] as Window)) isTaken = true
    }
    if (!isTaken) {
      this.#lateRecords.add(this.#intake.valueCount(value))
      this.#late.emit(value)
    }
  }

  onTimer({ timestampMs }: Timer): void {
    const open = this.#cells.edit(0)
    if (open === undefined) return
    const left: OpenWindow<A>[] = []
    const fired: OpenWindow<A>[] = []
    for (const window of open) {
      if (window.timerMs > timestampMs) {
        left.push(window)
      } else if (window.endMs - 1 > timestampMs) {
        left.push(window)
        window.timerMs = window.endMs - 1
        this.#timers.add(window.timerMs)
      } else {
        fired.push(window)
      }
    }
    if (left.length === 0) this.#cells.remove(0)
    else this.#cells.put(0, left)
    for (const window of fired) this.#fire(window)
  }

  close(): void {
    this.#output.close?.()
  }

  /** Whether the window took the value; false where it is over already. */
  #add(value: unknown, window: Window): boolean {
    const { mergesOverlapping } = this.#windows
    const isMerging = this.#windows.merge !== undefined
    const open = this.#cells.edit(0)
    if (open === undefined) {
      return isMerging && mergesOverlapping === undefined
        ? this.#addByMerge(value, window, [])
        : this.#open(value, window, [])
    }
    if (mergesOverlapping !== undefined) return this.#addOverlapping(value, window, open)
    const same = open.find(
      ({ startMs, endMs }) => startMs === window.startMs && endMs === window.endMs,
    )
    if (same === undefined) {
      return isMerging ? this.#addByMerge(value, window, open) : this.#open(value, window, open)
    }
    same.accumulator = this.#intake.add(same.accumulator, value)
    this.#cells.put(0, open)
    return true
  }

  /** A window that joins none of `others`. */
  #open(value: unknown, { startMs, endMs }: Window, others: OpenWindow<A>[]): boolean {
    if (this.#isOver(endMs)) return false
    const timerMs = endMs - 1
    const opened = { startMs, endMs, timerMs, accumulator: this.#intake.add(undefined, value) }
    const at = others.findIndex((other) => other.startMs > startMs)
    others.splice(at < 0 ? others.length : at, 0, opened)
    this.#cells.put(0, others)
    this.#timers.add(timerMs)
    return true
  }

  /** The common way: windows that overlap become one; no list is made where only one is touched. */
  #addOverlapping(value: unknown, window: Window, open: OpenWindow<A>[]): boolean {
    const touching = this.#windows.mergesOverlapping === 'touching'
    let into: OpenWindow<A> | undefined
    for (let i = 0; i < open.length; i++) {
      const other = open[i] as OpenWindow<A>
      const { startMs, endMs } = into ?? window
      const joins = touching
        ? startMs <= other.endMs && other.startMs <= endMs
        : startMs < other.endMs && other.startMs < endMs
      if (!joins) continue
      if (into === undefined) {
        into = other
        into.startMs = Math.min(startMs, into.startMs)
        into.endMs = Math.max(endMs, into.endMs)
        into.accumulator = this.#intake.add(into.accumulator, value)
      } else {
        this.#join(into, other)
        open.splice(i--, 1)
      }
    }
    if (into === undefined) return this.#open(value, window, open)
    this.#cells.put(0, open)
    return true
  }

  /** A user's merge: it is given all windows with the new one among them, and says which become which. */
  #addByMerge(value: unknown, window: Window, open: OpenWindow<A>[]): boolean {
    const all: Window[] = [...open, window].sort(byTime)
    const merges = this.#windows.merge?.(all) ?? []
    const own = merges.find(({ merged }) => merged.includes(window))
    if (this.#isOver((own?.into ?? window).endMs)) return false
    const left = open.filter((other) => !merges.some(({ merged }) => merged.includes(other)))
    for (const merge of merges) {
      const [into, ...others] = open.filter((other) => merge.merged.includes(other))
      if (into === undefined) continue
      for (const other of others) this.#join(into, other)
      if (merge === own) into.accumulator = this.#intake.add(into.accumulator, value)
      into.startMs = merge.into.startMs
      into.endMs = merge.into.endMs
      if (into.timerMs > into.endMs - 1) {
        into.timerMs = into.endMs - 1
        this.#timers.add(into.timerMs)
      }
      left.push(into)
    }
    const hasJoined = open.some((other) => own?.merged.includes(other) === true)
    left.sort(byTime)
    if (!hasJoined) return this.#open(value, own?.into ?? window, left)
    this.#cells.put(0, left)
    return true
  }

  /** Takes another window of the key in; the earlier of the two timers stays the live one. */
  #join(into: OpenWindow<A>, other: OpenWindow<A>): void {
    into.accumulator = this.#result.aggregator.merge(into.accumulator, other.accumulator)
    into.startMs = Math.min(into.startMs, other.startMs)
    into.endMs = Math.max(into.endMs, other.endMs)
    into.timerMs = Math.min(into.timerMs, other.timerMs)
  }

  #isOver(endMs: number): boolean {
    return endMs - 1 <= (this.#isEventTime ? this.#context.watermarkMs() : -Infinity)
  }

  #fire({ startMs, endMs, accumulator }: OpenWindow<A>): void {
    const { time, keyed } = this.#context
    const timestampMs = time.timestampMs
    time.timestampMs = endMs - 1
    this.#output.fire(keyed.key(), Object.freeze({ startMs, endMs }), accumulator, false, ONLY_PANE)
    time.timestampMs = timestampMs
  }
}

function byTime(a: Window, b: Window): number {
  return a.startMs - b.startMs || a.endMs - b.endMs
}
