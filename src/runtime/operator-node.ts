/**
 * One operator of a chain at work: its instance, what follows it, and the steps it has been asked to take and may have to
 * interrupt because the outputs are full.
 *
 * Invariants
 *  - Steps are taken one after the other, each whole; the next node of the chain is told of a watermark or of the end
 *    only when this one is done with it.
 *  - A step that stopped because the gate closed goes on where it stopped, however often it takes.
 *  - On a watermark first the timers up to it fire, in order; then the operator is told; then it is handed on.
 */
import type { ExchangeOutput } from '../channel/exchange-output.ts'
import type { Gate, OperatorInstance, Timer } from '../contract/operator.ts'
import type { TimerIndex } from '../contract/state-backend.ts'
import type { RecordTime } from '../core/time.ts'
import { WATERMARK_MIN } from '../core/time.ts'
import type { GraphNode } from '../plan/job-graph.ts'

/** What a node is asked to do between records. */
type Step =
  | { readonly kind: 'watermark'; readonly watermarkMs: number }
  | { readonly kind: 'wake'; readonly nowMs: number }
  | { readonly kind: 'prepare' }
  | { readonly kind: 'idle'; readonly isIdle: boolean }
  | { readonly kind: 'end' }

/** How far the present step has come. */
type Stage = 'timers' | 'call' | 'resume' | 'done'

export interface OperatorNodeOptions {
  readonly node: GraphNode
  /** Its place in the chain, for error messages. */
  readonly index: number
  readonly site: OperatorSite
  readonly gate: Gate
  readonly time: RecordTime
  readonly holdsWatermarks: boolean
  /** From now on no key is at hand. */
  readonly leaveKeys: () => void
  /** As restored: what the operator has been told so far. */
  readonly watermarkMs: number
}

/** Which operator's code is running: whom an error belongs to. One per chain. */
export interface OperatorSite {
  index: number
}

export class OperatorNode {
  readonly node: GraphNode
  readonly index: number
  /** Nodes that follow it in the chain. */
  readonly children: OperatorNode[] = []
  /** Exchanges that it feeds, side outputs included. */
  readonly outputs: ExchangeOutput[] = []
  /** Undefined for operators that are only source text. */
  instance: OperatorInstance | undefined
  /** The watermark that the operator has been told: its input watermark. */
  watermarkMs: number
  /** The watermark that it has told what follows: its output watermark. */
  outputWatermarkMs: number
  /** When `onWake` is due. */
  wakeAtMs: number = Infinity
  eventTimers: TimerIndex | undefined
  processingTimers: TimerIndex | undefined
  readonly #options: OperatorNodeOptions
  readonly #steps: Step[] = []
  #stage: Stage = 'timers'
  #isEnded = false

  constructor(options: OperatorNodeOptions) {
    this.#options = options
    this.node = options.node
    this.index = options.index
    this.watermarkMs = options.watermarkMs
    this.outputWatermarkMs = options.holdsWatermarks ? WATERMARK_MIN : options.watermarkMs
  }

  get hasSteps(): boolean {
    return this.#steps.length > 0
  }

  /** Whether the end of input has been handled. */
  get isEnded(): boolean {
    return this.#isEnded
  }

  /**
   * After a restore: tells the exchanges what they had been told before. Their consumers know their own watermark, but not how far each
   * channel was, and a source that stays silent would hold them back.
   */
  announce(): void {
    // the end of input is told by itself
    if (!Number.isFinite(this.outputWatermarkMs)) return
    for (const output of this.outputs) output.watermark(this.outputWatermarkMs)
  }

  advance(watermarkMs: number): void {
    if (watermarkMs <= this.watermarkMs) return
    this.#add({ kind: 'watermark', watermarkMs })
  }

  /** Processing time has come to `nowMs`. */
  wake(nowMs: number): void {
    const isDue =
      nowMs >= this.wakeAtMs ||
      (this.processingTimers !== undefined && this.processingTimers.peek() <= nowMs)
    if (isDue && !this.#steps.some(({ kind }) => kind === 'wake'))
      this.#add({ kind: 'wake', nowMs })
  }

  /** When `wake` is due. */
  nextWakeMs(): number {
    return Math.min(this.wakeAtMs, this.processingTimers?.peek() ?? Infinity)
  }

  prepare(): void {
    if (this.instance?.handOn !== undefined) this.#add({ kind: 'prepare' })
  }

  setIdle(isIdle: boolean): void {
    this.#add({ kind: 'idle', isIdle })
  }

  end(): void {
    this.#add({ kind: 'end' })
  }

  /** Fires event timers that are due already: those set for a time that the watermark has passed. */
  fireDue(): void {
    this.#fire(this.eventTimers, 'event', this.watermarkMs)
  }

  /** Goes on with whatever is left; whether nothing is. */
  run(): boolean {
    this.#options.site.index = this.index
    if (this.#stage === 'timers' && this.instance?.resume?.() === false) return false
    if (!this.#fire(this.eventTimers, 'event', this.watermarkMs)) return false
    for (let step = this.#steps[0]; step !== undefined; step = this.#steps[0]) {
      this.#options.site.index = this.index
      if (!this.#take(step)) return false
      this.#steps.shift()
      this.#stage = 'timers'
    }
    return true
  }

  /** Tells what follows of a watermark. */
  forward(watermarkMs: number): void {
    this.outputWatermarkMs = watermarkMs
    for (const output of this.outputs) output.watermark(watermarkMs)
    for (const child of this.children) child.advance(watermarkMs)
  }

  #add(step: Step): void {
    this.#steps.push(step)
    if (this.#steps.length > 1) return
    // an operator that hands watermarks on itself may do so while a record is at hand
    const { time } = this.#options
    const { isRetraction, update } = time
    time.isRetraction = false
    time.update = 0
    this.run()
    time.isRetraction = isRetraction
    time.update = update
  }

  #take(step: Step): boolean {
    if (this.#stage === 'timers') {
      if (!this.#fireFor(step)) return false
      this.#stage = 'call'
    }
    if (this.#stage === 'call') this.#stage = this.#call(step) ? 'done' : 'resume'
    if (this.#stage === 'resume') {
      if (this.instance?.resume?.() === false) return false
      this.#stage = 'done'
    }
    this.#finish(step)
    return true
  }

  #fireFor(step: Step): boolean {
    switch (step.kind) {
      case 'watermark':
        // what the operator is told while its timers fire is the new watermark
        this.watermarkMs = step.watermarkMs
        return this.#fire(this.eventTimers, 'event', step.watermarkMs)
      case 'wake':
        return this.#fire(this.processingTimers, 'processing', step.nowMs)
      default:
        return true
    }
  }

  /** Whether the operator is done with the step at once. */
  #call(step: Step): boolean {
    const { instance } = this
    if (instance === undefined) return true
    switch (step.kind) {
      case 'watermark':
        return instance.onWatermark?.(step.watermarkMs) ?? true
      case 'wake':
        if (step.nowMs < this.wakeAtMs) return true
        this.wakeAtMs = Infinity
        return instance.onWake?.(step.nowMs) ?? true
      case 'prepare':
        return instance.handOn?.() ?? true
      case 'end':
        this.#options.leaveKeys()
        return instance.onEnd?.() ?? true
      case 'idle':
        return step.isIdle ? (instance.handOn?.() ?? true) : true
    }
  }

  #finish(step: Step): void {
    switch (step.kind) {
      case 'watermark':
        if (!this.#options.holdsWatermarks) this.forward(step.watermarkMs)
        break
      case 'end':
        this.#isEnded = true
        for (const output of this.outputs) output.broadcast({ kind: 'end' })
        for (const child of this.children) child.end()
        break
      case 'idle':
        for (const output of this.outputs) output.broadcast({ kind: 'idle', isIdle: step.isIdle })
        for (const child of this.children) child.setIdle(step.isIdle)
        break
      case 'wake':
      case 'prepare':
        break
    }
  }

  #fire(timers: TimerIndex | undefined, clock: Timer['clock'], upToMs: number): boolean {
    if (timers === undefined || timers.peek() > upToMs) return true
    const { gate, time, site } = this.#options
    const { timestampMs, isRetraction, update } = time
    // timers also fire right behind the record that set them
    time.isRetraction = false
    time.update = 0
    site.index = this.index
    let isDone = false
    while (!gate.isClosed) {
      isDone = !timers.poll(upToMs)
      if (isDone) break
      time.timestampMs =
        clock === 'event' || this.watermarkMs === WATERMARK_MIN
          ? timers.timestampMs
          : this.watermarkMs
      this.instance?.onTimer?.({ clock, timestampMs: timers.timestampMs })
    }
    time.timestampMs = timestampMs
    time.isRetraction = isRetraction
    time.update = update
    return isDone
  }
}
