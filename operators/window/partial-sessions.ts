/**
 * The part of a session window before its exchange: gathers the values of a key that lie close together in one window and sends
 * that. The part behind (key-window.ts) joins what comes with the key's windows there.
 *
 * Invariants
 *  - The windows held of a key neither overlap nor (if they touch) touch: what belongs together is one.
 *  - A window leaves before any watermark that could end a window behind which it joins: a watermark of its start - 1. So
 *    whatever it joins is still open when it comes.
 *  - Only values whose window the watermark has not passed are gathered: those are in time behind as well, alone or
 *    joined. A value that is late here goes on alone, after everything held: whether it is late is decided behind, where
 *    it would have been decided anyway.
 *  - Nothing is held over a snapshot, over the end, or while the stream is idle; at most `ENTRIES_MAX` windows are held.
 *  - As long as gathering saves little, values go on one by one (gathering.ts).
 */
import type { Aggregator } from '../../src/contract/aggregator.ts'
import type {
  OperatorContext,
  OperatorDescription,
  OperatorInstance,
} from '../../src/contract/operator.ts'
import type { Window, WindowFunction } from '../../src/contract/window.ts'
import { hashSelected } from '../../src/core/key-hash.ts'
import { KeyIndex } from '../../src/core/key-index.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { keepValue } from '../../src/core/value.ts'
import { ENTRIES_MAX, Gathering } from './gathering.ts'

/** What travels instead of values: a window with what it holds. */
export interface PartialSession<A> {
  readonly key: AnyKey
  readonly startMs: number
  readonly endMs: number
  /** How many values it stands for. */
  readonly valueCount: number
  readonly accumulator: A
}

export function partialSessions<T, A>(
  select: (value: unknown) => unknown,
  windows: WindowFunction<T, Window>,
  aggregator: Aggregator<T, A, unknown>,
  details: NonNullable<OperatorDescription['details']>,
): OperatorDescription {
  return {
    type: 'partial window',
    inputCount: 1,
    isKeyed: false,
    emits: 'engine',
    // oxlint-disable-next-line typescript/unbound-method -- compared by its text only
    functions: [select, windows.assign],
    details,
    open: (context) => new PartialSessionsInstance<T, A>(context, { select, windows, aggregator }),
  }
}

/** A window that is held, and the next one of its key. */
interface HeldWindow<A> {
  startMs: number
  endMs: number
  valueCount: number
  accumulator: A
  next: HeldWindow<A> | undefined
}

interface PartialSessionsOptions<T, A> {
  readonly select: (value: unknown) => unknown
  readonly windows: WindowFunction<T, Window>
  readonly aggregator: Aggregator<T, A, unknown>
}

/** What was held together: the windows of each entry of the index. */
interface Held<A> {
  readonly index: KeyIndex
  readonly windows: HeldWindow<A>[]
}

class PartialSessionsInstance<T, A> implements OperatorInstance {
  readonly #context: OperatorContext
  readonly #options: PartialSessionsOptions<T, A>
  readonly #touching: boolean
  readonly #gathering = new Gathering()
  #held: Held<A> = newHeld()
  #windowCount = 0
  #valueCount = 0
  /** The earliest start of what is held. */
  #earliestMs = Infinity
  // what is leaving
  #leaving: Held<A> = newHeld()
  #leavingEntry = 0

  constructor(context: OperatorContext, options: PartialSessionsOptions<T, A>) {
    this.#context = context
    this.#options = options
    this.#touching = options.windows.mergesOverlapping === 'touching'
  }

  process(value: unknown): void {
    const { select, windows, aggregator } = this.#options
    let key = select(value) as AnyKey
    if (key === 0) key = 0
    const hash = hashSelected(key)
    const window = windows.assign(value as T, this.#context.time.timestampMs, key)[0] as Window
    const isLate = window.endMs - 1 <= this.#context.watermarkMs()
    if (isLate || this.#gathering.passing > 0) return this.#pass(key, window, value as T)
    this.#valueCount += 1
    if (window.startMs < this.#earliestMs) this.#earliestMs = window.startMs
    const { index, windows: held } = this.#held
    const entry = index.find(key, hash, 0)
    if (entry < 0) {
      const own = typeof key === 'number' ? key : keepValue(key)
      held[index.insert(own, hash, 0)] = this.#opened(window, value as T, undefined)
    } else {
      const first = held[entry] as HeldWindow<A>
      if (first.next === undefined && this.#joins(first, window)) {
        // the common way
        if (window.startMs < first.startMs) first.startMs = window.startMs
        if (window.endMs > first.endMs) first.endMs = window.endMs
        first.accumulator = aggregator.add(first.accumulator, value as T)
        first.valueCount += 1
      } else {
        held[entry] = this.#added(first, window, value as T)
      }
    }
    if (this.#windowCount >= ENTRIES_MAX) this.handOn()
  }

  onWatermark(watermarkMs: number): boolean {
    return watermarkMs + 1 < this.#earliestMs || this.handOn()
  }

  onEnd(): boolean {
    return this.handOn()
  }

  handOn(): boolean {
    // what was on its way when the outputs were full goes first, and is little
    this.#leave(false)
    this.#gathering.judge(this.#windowCount, this.#valueCount)
    this.#leaving = this.#held
    this.#leavingEntry = 0
    this.#held = newHeld()
    this.#windowCount = 0
    this.#valueCount = 0
    this.#earliestMs = Infinity
    return this.#leave(true)
  }

  resume(): boolean {
    return this.#leave(true)
  }

  /** Emits what is leaving; stops when the outputs are full, if `heedsGate`. */
  #leave(heedsGate: boolean): boolean {
    const { gate, time } = this.#context
    const { index, windows } = this.#leaving
    const timestampMs = time.timestampMs
    while (this.#leavingEntry < windows.length && !(heedsGate && gate.isClosed)) {
      const entry = this.#leavingEntry++
      const key = index.key(entry)
      for (let held = windows[entry]; held !== undefined; held = held.next) this.#emit(key, held)
    }
    time.timestampMs = timestampMs
    return this.#leavingEntry === windows.length
  }

  #emit(
    key: AnyKey,
    { startMs, endMs, valueCount, accumulator }: Omit<HeldWindow<A>, 'next'>,
  ): void {
    const { output, time } = this.#context
    time.timestampMs = startMs
    output.emit({ key, startMs, endMs, valueCount, accumulator })
  }

  /** One value as a partial result of its own, after everything held. */
  #pass(key: AnyKey, { startMs, endMs }: Window, value: T): void {
    if (this.#gathering.passing > 0) this.#gathering.passing -= 1
    if (this.#windowCount > 0) this.handOn()
    this.#leave(false)
    const { aggregator } = this.#options
    const { time } = this.#context
    const timestampMs = time.timestampMs
    const accumulator = aggregator.add(aggregator.create(), value)
    const own = typeof key === 'object' ? keepValue(key) : key
    this.#emit(own, { startMs, endMs, valueCount: 1, accumulator })
    time.timestampMs = timestampMs
  }

  /** A window for one value, before `next`. */
  #opened({ startMs, endMs }: Window, value: T, next: HeldWindow<A> | undefined): HeldWindow<A> {
    const { aggregator } = this.#options
    this.#windowCount += 1
    const accumulator = aggregator.add(aggregator.create(), value)
    return { startMs, endMs, valueCount: 1, accumulator, next }
  }

  /** The windows of a key with a value more: in a window of its own, or in those that it joins into one. */
  #added(first: HeldWindow<A>, window: Window, value: T): HeldWindow<A> {
    const { aggregator } = this.#options
    let { startMs, endMs } = window
    let into: HeldWindow<A> | undefined
    let apart: HeldWindow<A> | undefined
    let following: HeldWindow<A> | undefined
    for (let held: HeldWindow<A> | undefined = first; held !== undefined; held = following) {
      following = held.next
      if (!this.#joins(held, window)) {
        held.next = apart
        apart = held
      } else if (into === undefined) {
        into = held
      } else {
        into.accumulator = aggregator.merge(into.accumulator, held.accumulator)
        into.valueCount += held.valueCount
        startMs = Math.min(startMs, held.startMs)
        endMs = Math.max(endMs, held.endMs)
        this.#windowCount -= 1
      }
    }
    if (into === undefined) return this.#opened(window, value, apart)
    into.startMs = Math.min(startMs, into.startMs)
    into.endMs = Math.max(endMs, into.endMs)
    into.accumulator = aggregator.add(into.accumulator, value)
    into.valueCount += 1
    into.next = apart
    return into
  }

  #joins(held: Window, window: Window): boolean {
    return this.#touching
      ? window.startMs <= held.endMs && held.startMs <= window.endMs
      : window.startMs < held.endMs && held.startMs < window.endMs
  }
}

function newHeld<A>(): Held<A> {
  return { index: new KeyIndex(false), windows: [] }
}
