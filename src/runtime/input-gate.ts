/**
 * The input channels of one subtask: which is read next, the watermark over all of them, and the alignment of barriers.
 *
 * Invariants
 *  - Channels take turns; one blocked by its barrier is passed by until the alignment is over.
 *  - The combined watermark is the minimum over channels that have neither ended nor are idle; it only grows. With no such
 *    channel it stays where it is, unless all have ended: then it is the end of time. An idle channel may wake up again, so
 *    it never lets time end.
 *  - Elements of one channel are handed out in order; a watermark in a batch's header counts after its records.
 */
import type { ChannelReader, EndOfInput, IdleStatus, Barrier } from '../channel/channel.ts'
import type { AlignmentStep, CheckpointMark } from '../checkpoint/alignment.ts'
import { Alignment } from '../checkpoint/alignment.ts'
import { unreachable } from '../core/errors.ts'
import type { RecordBatch } from '../core/record-batch.ts'
import { WATERMARK_MAX, WATERMARK_MIN } from '../core/time.ts'

/** One channel into the subtask. */
export interface InputChannel {
  readonly reader: ChannelReader
  /** Which exchange it belongs to: its place among the task's inputs. */
  readonly inputIndex: number
}

/** What became of the gate by an element that was no record. */
export interface GateEvents {
  /** The combined watermark rose. */
  onWatermark(watermarkMs: number): void
  onSnapshot(checkpoint: CheckpointMark): void
  onAbandon(checkpointId: number): void
  /** All channels of an input have ended. */
  onInputEnd(inputIndex: number): void
  /** All active channels became idle, or one active again. */
  onIdle(isIdle: boolean): void
}

/** A batch and where it came from. Reused by the gate. */
export interface PolledBatch {
  batch: RecordBatch
  channelIndex: number
  inputIndex: number
}

export class InputGate {
  /** The combined watermark. */
  watermarkMs: number
  readonly #channels: readonly InputChannel[]
  readonly #events: GateEvents
  readonly #alignment: Alignment
  readonly #isBlocked: boolean[]
  readonly #isIdle: boolean[]
  readonly #hasEnded: boolean[]
  readonly #watermarks: Float64Array
  #isAllIdle = false
  #next = 0

  constructor(
    channels: readonly InputChannel[],
    events: GateEvents,
    options: { readonly exactlyOnce: boolean; readonly watermarkMs: number },
  ) {
    this.#channels = channels
    this.#events = events
    this.#alignment = new Alignment(channels.length, options)
    this.#isBlocked = channels.map(() => false)
    this.#isIdle = channels.map(() => false)
    this.#hasEnded = channels.map(() => false)
    this.#watermarks = new Float64Array(channels.length).fill(WATERMARK_MIN)
    this.watermarkMs = options.watermarkMs
  }

  get hasAllEnded(): boolean {
    return !this.#hasEnded.includes(false)
  }

  /**
   * Takes the next element of some channel. A batch with records is put into `into`: `'records'`; anything else is handled
   * here: `'control'`. `'empty'`: nothing can be taken now.
   */
  poll(into: PolledBatch): 'records' | 'control' | 'empty' {
    const count = this.#channels.length
    for (let tried = 0; tried < count; tried++) {
      const index = this.#next
      this.#next = index + 1 === count ? 0 : index + 1
      if (this.#isBlocked[index] === true || this.#hasEnded[index] === true) continue
      const { reader, inputIndex } = this.#channels[index] as InputChannel
      const element = reader.poll()
      if (element === undefined) continue
      if (element.kind !== 'records') {
        this.#handle(index, element)
        return 'control'
      }
      if (this.#isIdle[index] === true) this.#setIdle(index, false)
      if (element.count === 0) {
        this.finishBatch(index, element)
        return 'control'
      }
      into.batch = element
      into.channelIndex = index
      into.inputIndex = inputIndex
      return 'records'
    }
    return 'empty'
  }

  /** The records of a batch have been processed: its watermark counts, and the batch goes back. */
  finishBatch(channelIndex: number, batch: RecordBatch): void {
    const { watermarkMs } = batch
    ;(this.#channels[channelIndex] as InputChannel).reader.recycle(batch)
    if (!(watermarkMs > (this.#watermarks[channelIndex] as number))) return
    this.#watermarks[channelIndex] = watermarkMs
    this.#combine()
  }

  trigger(checkpoint: CheckpointMark): void {
    this.#apply(this.#alignment.onTrigger(checkpoint))
  }

  abort(checkpointId: number): void {
    this.#apply(this.#alignment.onAbort(checkpointId))
  }

  #handle(index: number, element: Barrier | IdleStatus | EndOfInput): void {
    switch (element.kind) {
      case 'barrier':
        return this.#apply(
          this.#alignment.onBarrier(index, {
            checkpointId: element.checkpointId,
            kind: element.checkpointKind,
          }),
        )
      case 'idle':
        return this.#setIdle(index, element.isIdle)
      case 'end':
        return this.#end(index)
      default:
        unreachable(element)
    }
  }

  #setIdle(index: number, isIdle: boolean): void {
    this.#isIdle[index] = isIdle
    this.#combine()
    this.#tellIdle()
  }

  #tellIdle(): void {
    const isAllIdle = this.#channels.every(
      (_, channel) => this.#isIdle[channel] === true || this.#hasEnded[channel] === true,
    )
    if (isAllIdle === this.#isAllIdle) return
    this.#isAllIdle = isAllIdle
    this.#events.onIdle(isAllIdle)
  }

  #end(index: number): void {
    this.#hasEnded[index] = true
    this.#combine()
    // those that are left may all be idle
    if (!this.hasAllEnded) this.#tellIdle()
    const { inputIndex } = this.#channels[index] as InputChannel
    const isInputOver = this.#channels.every(
      (channel, other) => channel.inputIndex !== inputIndex || this.#hasEnded[other] === true,
    )
    if (isInputOver) this.#events.onInputEnd(inputIndex)
    this.#apply(this.#alignment.onEnd(index))
  }

  /** A channel that is at the end of time counts like one that has ended: it holds nothing, and decides nothing alone. */
  #combine(): void {
    let lowest = WATERMARK_MAX
    let areAllOver = true
    for (let i = 0; i < this.#watermarks.length; i++) {
      const own = this.#watermarks[i] as number
      if (this.#hasEnded[i] === true || own === WATERMARK_MAX) continue
      areAllOver = false
      if (this.#isIdle[i] !== true && own < lowest) lowest = own
    }
    if (lowest === WATERMARK_MAX && !areAllOver) return
    if (lowest <= this.watermarkMs) return
    this.watermarkMs = lowest
    this.#events.onWatermark(lowest)
  }

  #apply(steps: readonly AlignmentStep[]): void {
    for (const step of steps) {
      switch (step.kind) {
        case 'block':
          this.#isBlocked[step.channelIndex] = true
          break
        case 'snapshot':
          this.#isBlocked.fill(false)
          this.#events.onSnapshot(step.checkpoint)
          break
        case 'abandon':
          this.#isBlocked.fill(false)
          this.#events.onAbandon(step.checkpointId)
          break
        default:
          unreachable(step)
      }
    }
  }
}
