/**
 * The end of a chain: divides records over the channels to the subtasks of the next task.
 *
 * Invariants
 *  - `emit` always accepts (docs/protocol.md 1): a batch that its channel does not take now waits in a list of its own, and the gate
 *    is closed until the list is empty. The list is bounded by `overflowBytesMax`: an operator that emits so much in
 *    one call, without looking at the gate, fails with `OUTPUT_OVERFLOW`.
 *  - Per channel everything leaves in the order it came: records, watermarks, barriers, end.
 *  - A value leaves as it was when it was emitted: what its operator may still change is copied here (docs/protocol.md 2).
 *  - Values outside of the model are refused here, also where they would only be handed on by reference: the first
 *    batch of a local channel is checked whole, of each later one a record.
 */
import { EngineError } from '../core/errors.ts'
import { canGenerateCode, generate } from '../core/generated-code.ts'
import { hashSelected } from '../core/key-hash.ts'
import { keyGroupOf, subtaskOf } from '../core/key-group.ts'
import type { Scale } from '../core/key-group.ts'
import type { KeyGroup } from '../core/ids.ts'
import type { RecordBatch } from '../core/record-batch.ts'
import type { RecordTime } from '../core/time.ts'
import { approximateBytes } from '../core/value-size.ts'
import { checkValue, copyValue } from '../core/value.ts'
import type { ChannelWriter, StreamElement } from './channel.ts'
import type { OutputGate } from './output-gate.ts'

/** What an output may hold back where nothing else is said. */
export const OVERFLOW_BYTES_MAX_DEFAULT: number = 256 << 20

/** How records are divided. */
export type Division =
  | { readonly kind: 'hash'; readonly select: (value: unknown) => unknown }
  | { readonly kind: 'custom'; readonly subtask: (value: unknown, count: number) => number }
  | { readonly kind: 'forward' | 'rebalance' | 'broadcast' }

export interface ExchangeOutputOptions {
  /** In error messages and profiles: the operator whose output it is. */
  readonly operatorUid: string
  readonly division: Division
  /** One for each subtask of the consumer; for `forward` the one of the same index. */
  readonly writers: readonly ChannelWriter[]
  /** Which of them hand on references within the thread. */
  readonly isLocal: readonly boolean[]
  /** The consumer's. */
  readonly scale: Scale
  /** Where a rebalance begins, so that producers do not all begin with the same consumer. */
  readonly subtaskIndex: number
  /** Whether the operator may still change what it emitted. */
  readonly copies: boolean
  readonly time: RecordTime
  readonly gate: OutputGate
  readonly overflowBytesMax: number
}

export class ExchangeOutput {
  /** Takes a record with the timestamp and the kind of `time`. */
  readonly emit: (value: unknown) => void
  recordsSent = 0
  readonly #options: ExchangeOutputOptions
  readonly #open: RecordBatch[]
  readonly #held: StreamElement[][]
  readonly #isChecked: boolean[]
  #heldCount = 0
  #heldBytes = 0
  #isFailed = false

  constructor(options: ExchangeOutputOptions) {
    this.#options = options
    this.#open = options.writers.map((writer) => writer.takeBatch())
    this.#held = options.writers.map(() => [])
    this.#isChecked = options.writers.map((_, target) => !options.isLocal[target])
    this.emit = makeEmit(options, this.#open, (target) => this.#sendOpen(target))
  }

  /** Hands on what is gathered, with the watermark: nothing not later than it comes after. */
  watermark(watermarkMs: number): void {
    for (const [target, batch] of this.#open.entries()) {
      batch.watermarkMs = watermarkMs
      this.#sendOpen(target)
    }
  }

  /** Hands on what is gathered. */
  flush(): void {
    for (const [target, batch] of this.#open.entries()) {
      if (batch.count > 0) this.#sendOpen(target)
    }
  }

  /** Hands on what is gathered, then a control element to every consumer. */
  broadcast(element: Exclude<StreamElement, RecordBatch>): void {
    this.flush()
    for (let target = 0; target < this.#held.length; target++) this.#send(target, element)
  }

  /** Tries again with what is held back; whether nothing is left. */
  pump(): boolean {
    let isDone = true
    for (const [target, writer] of this.#options.writers.entries()) {
      const held = this.#held[target] as StreamElement[]
      let sent = 0
      while (sent < held.length && writer.offer(held[sent] as StreamElement)) sent += 1
      if (sent > 0) {
        held.splice(0, sent)
        this.#heldCount -= sent
      }
      if (!writer.pump() || held.length > 0) isDone = false
    }
    if (this.#heldCount === 0 && this.#heldBytes > 0) {
      this.#heldBytes = 0
      this.#options.gate.unblock()
    }
    return isDone
  }

  #sendOpen(target: number): void {
    const batch = this.#open[target] as RecordBatch
    this.recordsSent += batch.count
    if (batch.count > 0) this.#check(target, batch)
    this.#send(target, batch)
    this.#open[target] = (this.#options.writers[target] as ChannelWriter).takeBatch()
  }

  #send(target: number, element: StreamElement): void {
    const held = this.#held[target] as StreamElement[]
    if (held.length === 0 && (this.#options.writers[target] as ChannelWriter).offer(element)) return
    held.push(element)
    this.#heldCount += 1
    if (this.#heldBytes === 0) this.#options.gate.block()
    this.#heldBytes += 1
    if (element.kind === 'records' && element.count > 0) {
      this.#heldBytes += element.count * approximateBytes(element.values[0])
    }
    if (this.#heldBytes > this.#options.overflowBytesMax && !this.#isFailed) {
      this.#isFailed = true
      throw new EngineError(
        'OUTPUT_OVERFLOW',
        `One call emitted more than ${this.#options.overflowBytesMax} bytes that the next operators have no room for; ` +
          `emit from a flatMap, which is read piece by piece, or spread the output over timers`,
        { operatorUid: this.#options.operatorUid },
      )
    }
  }

  #check(target: number, batch: RecordBatch): void {
    if (this.#options.copies || this.#options.isLocal[target] !== true) return
    if (this.#isChecked[target] === true) return checkValue(batch.values[0])
    this.#isChecked[target] = true
    for (let i = 0; i < batch.count; i++) checkValue(batch.values[i])
  }
}

/** The function that puts one record into the open batch of its consumer, with a text of its own (generated-code.ts). */
function makeEmit(
  options: ExchangeOutputOptions,
  open: RecordBatch[],
  full: (target: number) => void,
): (value: unknown) => void {
  const { division, time, copies } = options
  const isKeyed = division.kind === 'hash'
  const route = routeOf(options)

  if (division.kind === 'broadcast') {
    const copiesFor = options.isLocal.map(
      (isLocal, target) => copies || (isLocal && options.isLocal.indexOf(true) !== target),
    )
    return (value) => {
      for (let target = 0; target < open.length; target++) {
        append(open, target, copiesFor[target] === true ? copyValue(value) : value, time, 0, full)
      }
    }
  }
  if (!canGenerateCode()) {
    return (value) => {
      const own = copies ? copyValue(value) : value
      const hash = isKeyed ? hashSelected(division.select(own)) : 0
      append(open, isKeyed ? route.byHash(hash) : route.byValue(own), own, time, hash, full)
    }
  }
  const copy = copies
    ? `if (typeof value === 'object' ? value !== null : typeof value === 'function') value = copyValue(value)`
    : ''
  const target = isKeyed
    ? `const hash = hashSelected(select(value))
       const target = routes[((hash >>> 16) * ${options.scale.maxParallelism}) >>> 16]`
    : `const target = byValue(value)`
  return generate(
    `emit ${options.operatorUid} ${division.kind}`,
    {
      open,
      time,
      full,
      copyValue,
      hashSelected,
      select: isKeyed ? division.select : undefined,
      routes: route.routes,
      byValue: route.byValue,
    },
    `return function emit(value) {
       ${copy}
       ${target}
       const batch = open[target]
       const row = batch.count
       batch.values[row] = value
       batch.timestamps[row] = time.timestampMs
       if (time.isRetraction) batch.markRetraction(row)
       ${isKeyed ? 'batch.hashes[row] = hash' : ''}
       batch.count = row + 1
       if (row + 1 === batch.timestamps.length) full(target)
     }`,
  )
}

function append(
  open: readonly RecordBatch[],
  target: number,
  value: unknown,
  time: RecordTime,
  hash: number,
  full: (target: number) => void,
): void {
  const batch = open[target] as RecordBatch
  const row = batch.count
  batch.values[row] = value
  batch.timestamps[row] = time.timestampMs
  if (time.isRetraction) batch.markRetraction(row)
  batch.hashes[row] = hash
  batch.count = row + 1
  if (row + 1 === batch.timestamps.length) full(target)
}

interface Route {
  /** Subtask of each key group. */
  readonly routes: Int32Array
  byHash(hash: number): number
  readonly byValue: (value: unknown) => number
}

function routeOf({
  division,
  scale,
  writers,
  subtaskIndex,
  operatorUid,
}: ExchangeOutputOptions): Route {
  const count = writers.length
  const routes = Int32Array.from({ length: scale.maxParallelism }, (_, group) =>
    subtaskOf(group as KeyGroup, scale),
  )
  const byHash = (hash: number): number => routes[keyGroupOf(hash, scale.maxParallelism)] as number
  let next = subtaskIndex % count
  switch (division.kind) {
    case 'rebalance':
      return {
        routes,
        byHash,
        byValue: () => {
          const target = next
          next = target + 1 === count ? 0 : target + 1
          return target
        },
      }
    case 'custom':
      return {
        routes,
        byHash,
        byValue: (value) => {
          const target = division.subtask(value, count)
          if (!Number.isInteger(target) || target < 0 || target >= count) {
            throw new EngineError(
              'PARTITION_OUT_OF_RANGE',
              `The partition function returned ${String(target)}; it must return a whole number from 0 to ${count - 1}`,
              { operatorUid },
            )
          }
          return target
        },
      }
    default:
      return { routes, byHash, byValue: () => 0 }
  }
}
