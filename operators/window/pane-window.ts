/**
 * Windows that fire more than once: any window function, with a trigger, allowed lateness and an accumulation.
 *
 * A key's open windows lie in one cell, ordered by start, each with its accumulator and the state of its trigger. Each has at most one
 * live entry per clock in the timer indexes, at or before the next time at which it must be looked at: when its trigger may fire
 * or the window is freed. An entry that comes up too early is replaced by a later one.
 *
 * Invariants
 *  - Windows of a cell are in order and no two are equal; if they merge, none overlaps another. No cell is empty.
 *  - A window is in the cell until the watermark passes `endMs - 1` plus the allowed lateness, and not longer. What it holds by
 *    then and has not sent goes with its last pane.
 *  - A record is late when each of its windows, merged with those they join, has been freed. What was there is not changed by it.
 *  - A jump of the watermark fires a window once, however many of its times it passes: panes are decided by the watermark as
 *    it is, not by the time of the entry that came up.
 *  - Panes of a window go early, at most one on time, late. A pane that is not sent has no index.
 *  - When retractions are sent, `sent` holds the panes that consumers still count: that of the window, and those of windows that have
 *    become part of it. They are taken back before the next pane, each as it was sent.
 *  - What a pane is called and which timestamp it has depends on the records of its key and on the watermark that came in, never on
 *    what other keys hold back: it is the same at any parallelism.
 *  - Output timestamps (only where `holdsWatermarks`): the watermark is handed on only below the timestamps of panes that are to come of
 *    what is in time, and of early panes that may be taken back. `holds` has an entry at or before each of those; an entry is
 *    above the watermark handed on last, so that this can be told again from the index after a restore.
 */
import type {
  OperatorContext,
  OperatorDescription,
  OperatorInstance,
  OperatorSnapshot,
  Output,
  Timer,
} from '../../src/contract/operator.ts'
import { EVENT_TIMERS, PROCESSING_TIMERS } from '../../src/contract/operator.ts'
import type { KeyedCells, TimerIndex } from '../../src/contract/state-backend.ts'
import type { TriggerTime } from '../../src/contract/trigger.ts'
import type { Pane, PaneOf, Window, WindowFunction } from '../../src/contract/window.ts'
import { formatMs } from '../../src/core/duration.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { EngineError } from '../../src/core/errors.ts'
import type { Counter } from '../../src/core/metrics.ts'
import { encodeValue } from '../../src/core/value-codec.ts'
import { copyValue } from '../../src/core/value.ts'
import { unknownRow } from '../kept-rows.ts'
import { DelayEstimate } from './delay-estimate.ts'
import type { DelayEstimateState } from './delay-estimate.ts'
import type { PaneOutput, WindowResult } from './pane-output.ts'
import { inOrder, placeWindow } from './placement.ts'
import type { Placement } from './placement.ts'
import type { PaneOptions } from './window-options.ts'

const STATE = 'panes'
const PERCENTILE_TIMERS = '#percentile-timers'
const HOLDS = '#watermark-holds'
/** Times beyond it are as good as never, but the index takes finite ones only. */
const TIME_MAX = Number.MAX_SAFE_INTEGER

/** A window of a key with what it holds. In the value model. */
interface OpenWindow<A> {
  startMs: number
  endMs: number
  /** Of the pane at hand, or of all records; undefined: there is none. */
  accumulator: A | undefined
  /** Records since the last firing, also those that take a row back. */
  newCount: number
  /** Rows that it holds, without those taken back. */
  rowCount: number
  /** The timestamp of the pane at hand, as far as the watermark can be held for it; Infinity: it has that of the end. */
  heldMs: number
  trigger: unknown
  /** Whether the firing at the end is over, or there was nothing to fire by then. */
  isOnTimeOver: boolean
  paneCount: number
  /** Panes from the one on time on. */
  finalPaneCount: number
  sent: SentPane[]
  eventTimerMs: number
  percentileTimerMs: number
  processingTimerMs: number
  holdTimerMs: number
}

/** A pane that consumers have. */
interface SentPane {
  readonly window: Window
  readonly pane: Pane
  readonly timestampMs: number
  readonly value: unknown
}

/**
 * `retractions`: whether rows of its input may be taken back, and how: the aggregator has an inverse then, of its own or by the rows it
 * keeps.
 */
export function paneWindow<T, A>(
  windows: WindowFunction<T, Window>,
  result: WindowResult<T, A>,
  options: PaneOptions<T>,
  retractions: 'none' | 'subtracted' | 'rows kept',
): OperatorDescription {
  const clock = windows.clock ?? 'event'
  const { trigger, accumulation } = options
  const takesRetractions = retractions !== 'none'
  if (accumulation === 'retracting' && !result.isValue) {
    throw new EngineError(
      'OPTION_INVALID',
      `The window '${windows.name}' takes panes back, but what a function of all rows emits can't be taken back; use accumulation 'accumulating' or 'discarding', or an aggregate`,
    )
  }
  if (accumulation === 'discarding' && takesRetractions) {
    throw new EngineError(
      'OPTION_INVALID',
      `Rows may be taken back of the window '${windows.name}' after the pane with them was sent and forgotten; use accumulation 'accumulating' or 'retracting'`,
    )
  }
  const holdsWatermarks = needsHolds(windows, options)
  return {
    type: 'window',
    inputCount: 1,
    isKeyed: true,
    emits: result.emits,
    takesRetractions,
    emitsRetractions: accumulation === 'retracting',
    keepsValues: result.aggregator.keepsValues !== false,
    functions: [
      // oxlint-disable-next-line typescript/unbound-method -- compared by its text only
      windows.assign,
      ...result.functions,
      ...trigger.functions,
    ],
    sides: ['late', ...(result.sides ?? [])],
    holdsWatermarks,
    itemsRestore: 'by-subtask',
    states: [
      {
        name: STATE,
        kind: `window ${result.kind} ${accumulation} ${options.shape}${takesRetractions ? ' of changes' : ''}`,
        layout: 'key',
      },
      { name: EVENT_TIMERS, kind: 'timers', layout: 'timers' },
      { name: PROCESSING_TIMERS, kind: 'timers', layout: 'timers' },
      { name: PERCENTILE_TIMERS, kind: 'timers', layout: 'timers' },
      { name: HOLDS, kind: 'timers', layout: 'timers' },
    ],
    details: {
      windows: windows.name,
      result: result.kind,
      clock,
      trigger: options.triggerName,
      lateness: formatMs(options.latenessMs),
      accumulation,
      ...(options.onTimePane === 'always' ? { onTimePane: 'always' } : {}),
      ...(options.closingPane === 'always' ? { closingPane: 'always' } : {}),
      ...(options.timestamp === 'end' ? {} : { timestamp: options.timestamp }),
      ...(retractions === 'rows kept' ? { rows: 'kept' } : {}),
      ...(trigger.isTimed ? { fires: 'by the clock' } : {}),
      ...(trigger.percentile === undefined ? {} : { fires: 'by an estimate' }),
    },
    open: (context) =>
      new PaneWindowInstance(context, { windows, result, options, holdsWatermarks }),
  }
}

/** Whether something may still be sent, or taken back, at or below a watermark that the engine would have handed on. */
function needsHolds<T>(windows: WindowFunction<T, Window>, options: PaneOptions<T>): boolean {
  if (windows.clock === 'processing') return false
  const { trigger, timestamp, accumulation } = options
  if (timestamp !== 'end' || !trigger.firesAtEnd) return true
  // early panes of windows that became one end earlier than it
  return accumulation === 'retracting' && windows.merge !== undefined
}

interface PaneWindowOptions<T, A> {
  readonly windows: WindowFunction<T, Window>
  readonly result: WindowResult<T, A>
  readonly options: PaneOptions<T>
  readonly holdsWatermarks: boolean
}

class PaneWindowInstance<T, A> implements OperatorInstance {
  readonly #context: OperatorContext
  readonly #windows: WindowFunction<T, Window>
  readonly #result: WindowResult<T, A>
  readonly #options: PaneOptions<T>
  readonly #holdsWatermarks: boolean
  readonly #output: PaneOutput<A>
  readonly #late: Output
  readonly #lateRecords: Counter
  readonly #cells: KeyedCells<OpenWindow<A>[]>
  readonly #eventTimers: TimerIndex
  readonly #percentileTimers: TimerIndex
  readonly #processingTimers: TimerIndex
  readonly #holds: TimerIndex
  readonly #isEventTime: boolean
  /** Whether it matters later what was sent. */
  readonly #keepsSent: boolean
  /** Undefined: no part of the records is waited for, but all. */
  readonly #delays: DelayEstimate | undefined
  /** What triggers are shown; set anew by `#look`. */
  readonly #at: { -readonly [N in keyof TriggerTime]: TriggerTime[N] }
  /** The watermark handed on last. */
  #handedOnMs: number
  /** The watermark whose timers have all fired: not more may be handed on. */
  #toldMs: number
  /** Whether a hold may have gone since the watermark was handed on. */
  #mayRelease = false

  constructor(context: OperatorContext, parts: PaneWindowOptions<T, A>) {
    const { windows, result, options, holdsWatermarks } = parts
    this.#context = context
    this.#windows = windows
    this.#result = result
    this.#options = options
    this.#holdsWatermarks = holdsWatermarks
    this.#output = result.open(context)
    this.#late = context.side('late')
    this.#lateRecords = context.metrics.counter('lateRecords')
    this.#cells = context.keyed.cells(STATE)
    this.#eventTimers = context.keyed.timers(EVENT_TIMERS)
    this.#percentileTimers = context.keyed.timers(PERCENTILE_TIMERS)
    this.#processingTimers = context.keyed.timers(PROCESSING_TIMERS)
    this.#holds = context.keyed.timers(HOLDS)
    this.#isEventTime = (windows.clock ?? 'event') === 'event'
    this.#keepsSent =
      options.accumulation === 'retracting' ||
      (options.accumulation === 'accumulating' &&
        (options.onTimePane === 'if-changed' || options.closingPane === 'if-changed'))
    const { percentile } = options.trigger
    this.#delays =
      percentile === undefined || !this.#isEventTime
        ? undefined
        : new DelayEstimate(percentile, context.restoredItems as readonly DelayEstimateState[])
    this.#at = { window: { startMs: 0, endMs: 0 }, watermarkMs: 0, percentileMs: 0, nowMs: 0 }
    this.#toldMs = context.watermarkMs()
    this.#handedOnMs = Math.min(this.#toldMs, this.#holds.peek() - 1)
  }

  process(value: unknown): void {
    const { time, keyed } = this.#context
    this.#delays?.record(time.timestampMs)
    this.#look()
    const timestampMs = this.#isEventTime ? time.timestampMs : this.#at.nowMs
    const assigned = this.#windows.assign(value as T, timestampMs, keyed.key())
    const open = this.#cells.edit(0) ?? []
    let isTaken = false
    for (let i = 0; i < assigned.length; i++) {
      if (time.isRetraction) {
        if (this.#takeBack(open, assigned[i] as Window, value as T)) isTaken = true
        continue
      }
      const { own, others } = placeWindow(this.#windows, open, assigned[i] as Window)
      if (this.#expiryMs(own) <= this.#at.watermarkMs) continue
      isTaken = true
      for (const other of others) this.#goOn(this.#take(open, other))
      const window = this.#take(open, own)
      this.#add(window, value as T)
      this.#goOn(window)
    }
    if (isTaken) {
      this.#cells.put(0, open)
      this.#release()
    } else {
      this.#lateRecords.add()
      // whoever reads late records has not had the row either
      if (!time.isRetraction) this.#late.emit(value)
    }
    this.#wakeForPercentile()
  }

  onTimer({ clock, timestampMs }: Timer): void {
    this.#look()
    this.#wake(clock === 'event' ? 'eventTimerMs' : 'processingTimerMs', timestampMs)
  }

  onWake(): boolean {
    return this.resume()
  }

  /** Fires what is due by the watermark of a part of the records. */
  resume(): boolean {
    if (this.#delays === undefined) return true
    this.#look()
    while (!this.#context.gate.isClosed) {
      if (!this.#percentileTimers.poll(this.#at.percentileMs)) return true
      this.#wake('percentileTimerMs', this.#percentileTimers.timestampMs)
    }
    return this.#percentileTimers.peek() > this.#at.percentileMs
  }

  snapshot(): OperatorSnapshot {
    return { items: this.#delays === undefined ? [] : [this.#delays.state()] }
  }

  onStart(): void {
    // after a restore, what those behind had been told
    if (this.#holdsWatermarks && Number.isFinite(this.#handedOnMs)) {
      this.#context.emitWatermark(this.#handedOnMs)
    }
    this.#look()
    this.#wakeForPercentile()
  }

  onWatermark(watermarkMs: number): boolean {
    this.#toldMs = watermarkMs
    if (this.#holdsWatermarks) this.#handOnWatermark()
    return true
  }

  close(): void {
    this.#output.close?.()
  }

  /** An entry of the key at hand came up: looks at those of its windows that it is of. */
  #wake(timer: 'eventTimerMs' | 'percentileTimerMs' | 'processingTimerMs', timeMs: number): void {
    const open = this.#cells.edit(0)
    if (open === undefined) return
    let left = 0
    for (const window of open) {
      if (window[timer] <= timeMs) {
        window[timer] = Infinity
        const isOver = this.#expiryMs(window) <= this.#at.watermarkMs
        this.#fireIfReady(window, isOver)
        if (isOver) continue
        this.#setTimers(window)
      }
      open[left++] = window
    }
    open.length = left
    if (left === 0) this.#cells.remove(0)
    else this.#cells.put(0, open)
    this.#release()
  }

  /** After something happened to a window that goes on. */
  #goOn(window: OpenWindow<A>): void {
    this.#fireIfReady(window, false)
    this.#setTimers(window)
  }

  /** Windows of any key may be due, more than should be sent in one call. */
  #wakeForPercentile(): void {
    if (this.#delays === undefined) return
    if (this.#percentileTimers.peek() <= this.#at.percentileMs) {
      this.#context.wakeAt(this.#at.nowMs)
    }
  }

  /** Time as it is now, for all decisions of a call. */
  #look(): void {
    const nowMs = this.#context.clock.now()
    this.#at.nowMs = nowMs
    const watermarkMs = this.#isEventTime ? this.#context.watermarkMs() : nowMs - 1
    this.#at.watermarkMs = watermarkMs
    this.#at.percentileMs =
      this.#delays === undefined ? watermarkMs : Math.max(watermarkMs, this.#delays.watermarkMs)
  }

  /** The watermark that frees a window. */
  #expiryMs({ endMs }: { readonly endMs: number }): number {
    return Math.min(endMs - 1 + this.#options.latenessMs, TIME_MAX)
  }

  // ---- what windows hold

  /** The window of a placement, with all that it joins in it. */
  #take(open: OpenWindow<A>[], placement: Placement<OpenWindow<A>>): OpenWindow<A> {
    const { startMs, endMs, joined } = placement
    const [first] = joined
    const same = joined.find((part) => inOrder(part, placement) === 0)
    if (same !== undefined && joined.length === 1) return same
    const window =
      first === undefined ? this.#newWindow(startMs, endMs) : this.#merged(joined, same)
    window.startMs = startMs
    window.endMs = endMs
    this.#at.window = window
    if (first !== undefined) {
      const states = joined.map((part) => part.trigger) as [unknown, ...unknown[]]
      window.trigger = this.#options.trigger.merge(states, this.#at)
      if (endMs - 1 > this.#at.watermarkMs) window.isOnTimeOver = false
      if (this.#options.timestamp === 'end' && window.heldMs !== Infinity) window.heldMs = endMs - 1
    }
    for (const part of joined) open.splice(open.indexOf(part), 1)
    const at = open.findIndex((other) => inOrder(other, window) > 0)
    open.splice(at < 0 ? open.length : at, 0, window)
    return window
  }

  #newWindow(startMs: number, endMs: number): OpenWindow<A> {
    return {
      startMs,
      endMs,
      accumulator: undefined,
      newCount: 0,
      rowCount: 0,
      heldMs: Infinity,
      trigger: this.#options.trigger.create(),
      isOnTimeOver: false,
      paneCount: 0,
      finalPaneCount: 0,
      sent: [],
      eventTimerMs: Infinity,
      percentileTimerMs: Infinity,
      processingTimerMs: Infinity,
      holdTimerMs: Infinity,
    }
  }

  /** What several windows, or one that grows, bring into one. Its panes are counted anew unless one of them had its bounds already. */
  #merged(parts: readonly OpenWindow<A>[], same: OpenWindow<A> | undefined): OpenWindow<A> {
    const { aggregator } = this.#result
    const into = this.#newWindow(0, 0)
    into.isOnTimeOver = true
    if (same !== undefined) {
      into.paneCount = same.paneCount
      into.finalPaneCount = same.finalPaneCount
    }
    for (const part of parts) {
      if (part.accumulator !== undefined) {
        into.accumulator =
          into.accumulator === undefined
            ? part.accumulator
            : aggregator.merge(into.accumulator, part.accumulator)
      }
      into.newCount += part.newCount
      into.rowCount += part.rowCount
      into.heldMs = this.#laterOrEarlier(into.heldMs, part.heldMs)
      if (!part.isOnTimeOver) into.isOnTimeOver = false
      // where nothing is taken back, the panes of other bounds are those of other windows
      if (this.#options.accumulation === 'retracting' || part === same) into.sent.push(...part.sent)
      into.eventTimerMs = Math.min(into.eventTimerMs, part.eventTimerMs)
      into.percentileTimerMs = Math.min(into.percentileTimerMs, part.percentileTimerMs)
      into.processingTimerMs = Math.min(into.processingTimerMs, part.processingTimerMs)
      into.holdTimerMs = Math.min(into.holdTimerMs, part.holdTimerMs)
    }
    return into
  }

  #add(window: OpenWindow<A>, value: T): void {
    const { aggregator } = this.#result
    window.accumulator = aggregator.add(this.#accumulatorOf(window), value)
    window.rowCount += 1
    this.#changed(window, value)
  }

  /**
   * Takes a row out of the window that it is in: one that is as its own, or that its own has become part of. A session does not become
   * shorter by it. False if there is none: it has been freed, or the row came too late for it.
   */
  #takeBack(open: readonly OpenWindow<A>[], { startMs, endMs }: Window, value: T): boolean {
    const isMerging = this.#windows.merge !== undefined
    const window = open.find((other) =>
      isMerging
        ? other.startMs <= startMs && endMs <= other.endMs
        : other.startMs === startMs && other.endMs === endMs,
    )
    if (window === undefined) return false
    const { aggregator } = this.#result
    if (window.rowCount === 0 || aggregator.subtract === undefined) throw unknownRow(value)
    window.accumulator = aggregator.subtract(this.#accumulatorOf(window), value)
    window.rowCount -= 1
    this.#changed(window, value)
    this.#goOn(window)
    return true
  }

  /** A record has changed the window, by a row more or less. */
  #changed(window: OpenWindow<A>, value: T): void {
    this.#at.window = window
    const { watermarkMs } = this.#at
    if (window.endMs - 1 <= watermarkMs && !this.#isDueAtEnd(window)) window.isOnTimeOver = true
    window.newCount += 1
    const timestampMs =
      this.#options.timestamp === 'end' ? window.endMs - 1 : this.#context.time.timestampMs
    if (timestampMs > watermarkMs) {
      window.heldMs = this.#laterOrEarlier(window.heldMs, timestampMs)
    }
    window.trigger = this.#options.trigger.onRecord(window.trigger, value, this.#at)
  }

  /** The timestamp of a pane with records of both; Infinity: none yet. */
  #laterOrEarlier(a: number, b: number): number {
    if (a === Infinity) return b
    if (b === Infinity) return a
    return this.#options.timestamp === 'earliest' ? Math.min(a, b) : Math.max(a, b)
  }

  // ---- panes

  /** Sends a pane if the trigger says so, or if the window is over and something is left. */
  #fireIfReady(window: OpenWindow<A>, isLast: boolean): void {
    const { trigger } = this.#options
    this.#at.window = window
    if (!isLast) {
      if (!trigger.isReady(window.trigger, this.#at)) return
      window.trigger = trigger.onFire(window.trigger, this.#at)
    }
    const timing = this.#timingOf(window)
    if (timing !== 'early') window.isOnTimeOver = true
    if (this.#isSent(window, timing, isLast)) this.#send(window, timing, isLast)
    if (this.#options.accumulation === 'discarding') {
      window.accumulator = undefined
      window.rowCount = 0
    }
    window.newCount = 0
    window.heldMs = Infinity
    this.#mayRelease = true
  }

  #timingOf(window: OpenWindow<A>): Pane['timing'] {
    const endMs = window.endMs - 1
    if (this.#at.watermarkMs < endMs) return 'early'
    if (window.isOnTimeOver) return 'late'
    // the watermark is passing the end just now, or it has been held back for this pane
    const isInTime = this.#isDueAtEnd(window) || !this.#isEventTime || this.#toldMs < endMs
    return isInTime ? 'on-time' : 'late'
  }

  /** Whether a window whose firing at the end is to come has something to send then. */
  #isDueAtEnd({ newCount, paneCount }: OpenWindow<A>): boolean {
    return newCount > 0 || (this.#options.onTimePane === 'always' && paneCount > 0)
  }

  #isSent(window: OpenWindow<A>, timing: Pane['timing'], isLast: boolean): boolean {
    const { onTimePane, closingPane } = this.#options
    if (timing === 'on-time' && onTimePane === 'always') return true
    if (isLast && closingPane === 'always') return true
    if (window.newCount === 0) return false
    if (window.rowCount === 0 && window.sent.length === 0) {
      // all rows have been taken back, and nobody behind has one of them
      if (window.paneCount === 0 || this.#options.accumulation === 'retracting') return false
    }
    const isAtEnd = timing === 'on-time' || isLast
    return !isAtEnd || !this.#isUnchanged(window)
  }

  /** Whether consumers have this very result of the window already. */
  #isUnchanged({ startMs, endMs, accumulator, sent }: OpenWindow<A>): boolean {
    const [former, ...others] = sent
    if (former === undefined || others.length > 0 || accumulator === undefined) return false
    if (former.window.startMs !== startMs || former.window.endMs !== endMs) return false
    return isSameValue(this.#result.aggregator.result(accumulator), former.value)
  }

  #send(window: OpenWindow<A>, timing: Pane['timing'], isLast: boolean): void {
    const { keyed, time } = this.#context
    const { timestampMs } = time
    if (window.rowCount === 0 && window.newCount > 0 && window.sent.length > 0) {
      // nothing is left to say of it
      if (this.#options.accumulation === 'retracting') return this.#takeBackSent(window)
    }
    const pane: Pane = Object.freeze({
      timing,
      index: window.paneCount,
      onTimeIndex: timing === 'early' ? -1 : window.finalPaneCount,
      isFirst: window.paneCount === 0,
      isLast,
    })
    window.paneCount += 1
    if (timing !== 'early') window.finalPaneCount += 1
    const bounds: Window = Object.freeze({ startMs: window.startMs, endMs: window.endMs })
    const key = keyed.key()
    time.timestampMs = window.heldMs === Infinity ? window.endMs - 1 : window.heldMs
    if (this.#result.isValue) this.#sendValue(window, { key, window: bounds, pane })
    else this.#output.fire(key, bounds, this.#accumulatorOf(window), this.#isGoingOn(isLast), pane)
    time.timestampMs = timestampMs
  }

  /** Sends the result of a window; before it, if they are to be, the panes it replaces. */
  #sendValue(window: OpenWindow<A>, at: PaneOf<AnyKey, Window>): void {
    const { time, output } = this.#context
    const { key, window: bounds, pane } = at
    const isGoingOn = this.#isGoingOn(at.pane.isLast)
    const value = this.#result.aggregator.result(this.#accumulatorOf(window))
    const own = isGoingOn && typeof value === 'object' ? copyValue(value) : value
    const row = { key, value: own, window: bounds, pane }
    const former = window.sent
    if (isGoingOn && this.#keepsSent) {
      const kept = typeof value === 'object' ? copyValue(value) : value
      const { timestampMs } = time
      window.sent = [{ window: bounds, pane, timestampMs, value: kept }]
    }
    if (this.#options.accumulation !== 'retracting') {
      time.emitInsert(output, row)
      return
    }
    const [only, ...others] = former
    if (only !== undefined && others.length === 0 && inOrder(only.window, bounds) === 0) {
      time.emitUpdate(output, rowOf(key, only), only.timestampMs, row)
      return
    }
    for (const each of former) {
      time.emitRetraction(output, rowOf(key, each), each.timestampMs)
    }
    time.emitInsert(output, row)
  }

  #takeBackSent(window: OpenWindow<A>): void {
    const { time, output, keyed } = this.#context
    for (const each of window.sent) {
      time.emitRetraction(output, rowOf(keyed.key(), each), each.timestampMs)
    }
    window.sent = []
  }

  #accumulatorOf({ accumulator }: OpenWindow<A>): A {
    return accumulator === undefined ? this.#result.aggregator.create() : accumulator
  }

  /** Whether what the window holds is needed after this pane. */
  #isGoingOn(isLast: boolean): boolean {
    return this.#options.accumulation !== 'discarding' && !isLast
  }

  // ---- timers

  /** Sees to it that the window is looked at when its trigger may fire, when it is freed, and when its hold is asked for. */
  #setTimers(window: OpenWindow<A>): void {
    const { trigger } = this.#options
    const { watermarkMs, nowMs } = this.#at
    this.#at.window = window
    const expiryMs = this.#expiryMs(window)
    const readyMs = trigger.nextWatermarkMs(window.trigger, this.#at)
    const eventMs = readyMs > watermarkMs && readyMs < expiryMs ? readyMs : expiryMs
    let wakeMs = trigger.nextWakeMs(window.trigger, this.#at)
    if (!this.#isEventTime) wakeMs = Math.min(wakeMs, eventMs + 1)
    else if (eventMs < window.eventTimerMs) {
      window.eventTimerMs = eventMs
      this.#eventTimers.add(eventMs)
    }
    if (wakeMs < window.processingTimerMs) {
      window.processingTimerMs = Math.min(Math.max(wakeMs, nowMs + 1), TIME_MAX)
      this.#processingTimers.add(window.processingTimerMs)
    }
    if (this.#delays !== undefined && readyMs > this.#at.percentileMs) {
      if (readyMs < window.percentileTimerMs && readyMs !== Infinity) {
        window.percentileTimerMs = Math.min(readyMs, TIME_MAX)
        this.#percentileTimers.add(window.percentileTimerMs)
      }
    }
    if (!this.#holdsWatermarks) return
    const holdMs = this.#holdOf(window)
    if (holdMs < window.holdTimerMs) {
      window.holdTimerMs = Math.min(holdMs, TIME_MAX)
      this.#holds.add(window.holdTimerMs)
    }
  }

  // ---- the watermark handed on

  /** The lowest timestamp of what is to come of a window; Infinity if that may be anything. Above the watermark handed on. */
  #holdOf(window: OpenWindow<A>): number {
    let holdMs = window.heldMs
    if (!window.isOnTimeOver) {
      const { accumulation } = this.#options
      if (holdMs === Infinity && this.#isDueAtEnd(window)) holdMs = window.endMs - 1
      if (accumulation === 'retracting') {
        for (const { timestampMs } of window.sent) holdMs = Math.min(holdMs, timestampMs)
      }
    }
    return holdMs > this.#handedOnMs ? holdMs : Infinity
  }

  #release(): void {
    if (!this.#holdsWatermarks || !this.#mayRelease) return
    this.#mayRelease = false
    if (this.#handedOnMs < this.#toldMs) this.#handOnWatermark()
  }

  /** Hands the watermark on as far as nothing holds it. */
  #handOnWatermark(): void {
    let free = this.#toldMs
    while (this.#holds.poll(this.#toldMs)) {
      const entryMs = this.#holds.timestampMs
      if (!this.#isHeldAt(entryMs)) continue
      this.#holds.add(entryMs)
      free = entryMs - 1
      break
    }
    if (free <= this.#handedOnMs) return
    this.#handedOnMs = free
    this.#context.emitWatermark(free)
  }

  /** Whether the key at hand holds the watermark there. Entries of holds that have moved are moved too. */
  #isHeldAt(entryMs: number): boolean {
    const open = this.#cells.edit(0)
    if (open === undefined) return false
    let isHeld = false
    for (const window of open) {
      if (window.holdTimerMs > entryMs) continue
      const holdMs = this.#holdOf(window)
      window.holdTimerMs = holdMs === Infinity ? Infinity : Math.min(holdMs, TIME_MAX)
      if (window.holdTimerMs === entryMs) isHeld = true
      else if (holdMs !== Infinity) this.#holds.add(window.holdTimerMs)
    }
    this.#cells.put(0, open)
    return isHeld
  }
}

function isSameValue(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object') return Object.is(a, b)
  return Buffer.compare(encodeValue(a), encodeValue(b)) === 0
}

/** A former pane as it was sent. */
function rowOf(key: AnyKey, { value, window, pane }: SentPane): unknown {
  return { key, value, window, pane }
}
