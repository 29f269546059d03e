/**
 * The record path within a chain: functions that carry a value from operator to operator, each with a source text of its own, so
 * that V8 sees one target per call and can make one function of a chain (core/generated-code.ts).
 *
 * Invariant: while an operator's code runs, `site.index` is its index; after a call into the next one it is set back.
 */
import type { Gate, OperatorInstance, UserFunction } from '../contract/operator.ts'
import type { KeyedStore } from '../contract/state-backend.ts'
import { canGenerateCode, generate } from '../core/generated-code.ts'
import type { RecordBatch } from '../core/record-batch.ts'
import type { RecordTime } from '../core/time.ts'
import { copyValue } from '../core/value.ts'
import type { StoreContext } from './operator-context.ts'
import type { OperatorNode, OperatorSite } from './operator-node.ts'

/** Takes a value; its timestamp and its kind are those of the chain's `RecordTime`. */
export type Consumer = (value: unknown) => void

/** Takes the records of a batch from `from` on, until the gate closes; answers the next record's index. */
export type BatchConsumer = (batch: RecordBatch, from: number) => number

/** A consumer, and whether it copies what it takes before anybody may change or keep it. */
export interface Target {
  readonly consume: Consumer
  readonly copiesItself: boolean
}

/** One consumer for several: each gets a value of its own. */
export function fanOut(targets: readonly Target[]): Consumer {
  const [only] = targets
  if (only === undefined) return () => {}
  if (targets.length === 1) return only.consume
  const last = (targets.at(-1) as Target).consume
  const others = targets
    .slice(0, -1)
    .map(({ consume, copiesItself }): Consumer =>
      copiesItself ? consume : (value) => consume(copyValue(value)),
    )
  if (!canGenerateCode()) {
    return (value) => {
      for (const consume of others) consume(value)
      last(value)
    }
  }
  return generate(
    'fan out',
    { last, ...Object.fromEntries(others.map((consume, index) => [`consume${index}`, consume])) },
    `return function (value) { ${others.map((_, index) => `consume${index}(value)`).join('; ')}; last(value) }`,
  )
}

/** What an operator emits into: sets the site back when what follows is done. */
export function outputOf(index: number, next: Consumer, site: OperatorSite): Consumer {
  if (!canGenerateCode()) {
    return (value) => {
      next(value)
      site.index = index
    }
  }
  return generate(
    `output ${index}`,
    { next, site },
    `return function (value) { next(value); site.index = ${index} }`,
  )
}

/** An operator that is called as it is. */
export function instanceConsumer(
  node: OperatorNode,
  instance: OperatorInstance,
  site: OperatorSite,
): Consumer {
  const { index } = node
  if (!canGenerateCode()) {
    return (value) => {
      site.index = index
      instance.process(value, 0)
    }
  }
  return generate(
    `call ${index}`,
    { instance, site },
    `return function (value) { site.index = ${index}; instance.process(value, 0) }`,
  )
}

/** An operator of a run that is fused into one function. */
export interface FusedPart {
  readonly index: number
  readonly functions: readonly UserFunction[]
  readonly bindings: Readonly<Record<string, unknown>>
  /** Whether the value is copied before this part has it. */
  readonly copies: boolean
  source(names: readonly string[], emit: (expression: string) => string): string
}

/** A run of operators as one function. `copiesLast`: the value is copied before it leaves the run. */
export function fusedConsumer(
  parts: readonly FusedPart[],
  next: Consumer,
  site: OperatorSite,
  copiesLast: boolean,
): Consumer {
  const bindings: Record<string, unknown> = { next, site, copyValue }
  const textOf = (position: number): string => {
    const part = parts[position]
    if (part === undefined) return copiesLast ? 'next(copyValue(value))' : 'next(value)'
    Object.assign(bindings, part.bindings)
    const names = part.functions.map((f, i) => {
      const name = `f${position}_${i}`
      bindings[name] = f
      return name
    })
    const text = part.source(
      names,
      (expression) =>
        `const next${position} = ${expression}; { let value = next${position}; ${textOf(position + 1)} }`,
    )
    const copy = part.copies ? 'value = copyValue(value); ' : ''
    return `${copy}site.index = ${part.index}; ${text}`
  }
  return generate(
    `chain ${parts.map(({ index }) => index).join(' ')}`,
    bindings,
    `return function (value) { ${textOf(0)} }`,
  )
}

export interface BatchLoopOptions {
  readonly title: string
  readonly time: RecordTime
  readonly gate: Gate
  readonly site: OperatorSite
}

/** Hands the records of a batch to a chain whose head is not keyed. */
export function plainLoop(consume: Consumer, options: BatchLoopOptions): BatchConsumer {
  const { time, gate, title } = options
  if (!canGenerateCode()) {
    return ({ values, timestamps, retractions, count }, from) => {
      for (let i = from; i < count; i++) {
        time.timestampMs = timestamps[i] as number
        time.isRetraction = retractions[i] === 1
        consume(values[i])
        time.isRetraction = false
        if (gate.isClosed) return i + 1
      }
      return count
    }
  }
  return loopOfKinds(
    `loop ${title}`,
    { consume, time, gate },
    (before, after) => `
      for (let i = from; i < count; i++) {
        time.timestampMs = timestamps[i]
        ${before}
        consume(values[i])
        ${after}
        if (gate.isClosed) return i + 1
      }
      return count`,
  )
}

/**
 * A loop over the records of a batch in two texts: one for batches of inserts, which does not know of retractions, and one for those
 * that have some. `before` and `after` set the kind of record `i` and set it back.
 */
function loopOfKinds(
  name: string,
  bindings: Readonly<Record<string, unknown>>,
  loop: (before: string, after: string) => string,
): BatchConsumer {
  const text = (body: string): string => `return function (batch, from) {
      const values = batch.values, timestamps = batch.timestamps, count = batch.count
      ${body}
    }`
  const changes = generate<BatchConsumer>(
    `${name} of changes`,
    bindings,
    text(`const retractions = batch.retractions
      ${loop('time.isRetraction = retractions[i] === 1', 'time.isRetraction = false')}`),
  )
  return generate<BatchConsumer>(
    name,
    { ...bindings, changes },
    text(`if (batch.retractionCount > 0) return changes(batch, from)
      ${loop('', '')}`),
  )
}

export interface KeyedLoopOptions extends BatchLoopOptions {
  readonly node: OperatorNode
  readonly instance: OperatorInstance
  readonly store: KeyedStore
  readonly keyed: StoreContext
  readonly input: number
  /** Undefined for a broadcast input: no key is at hand. */
  readonly select: ((value: unknown) => unknown) | undefined
}

/** Hands the records of one input to a keyed operator, or to one with several inputs. */
export function keyedLoop(options: KeyedLoopOptions): BatchConsumer {
  const { time, gate, site, node, instance, store, keyed, input, select, title } = options
  const timers = node.eventTimers
  if (!canGenerateCode()) {
    return ({ values, timestamps, hashes, retractions, count }, from) => {
      site.index = node.index
      keyed.hasKey = select !== undefined
      if (select !== undefined) store.warm?.(hashes, from, count)
      for (let i = from; i < count; i++) {
        const value = values[i]
        time.timestampMs = timestamps[i] as number
        time.isRetraction = retractions[i] === 1
        if (select !== undefined) store.useKey(positiveZero(select(value)), hashes[i] as number)
        instance.process(value, input)
        time.isRetraction = false
        const mayFire = timers !== undefined && select !== undefined
        if (mayFire && timers.peek() <= node.watermarkMs) node.fireDue()
        if (gate.isClosed) return i + 1
      }
      return count
    }
  }
  return loopOfKinds(
    `keyed loop ${title}`,
    { time, gate, site, node, instance, store, keyed, select, timers },
    (before, after) => `
      const hashes = batch.hashes
      site.index = ${node.index}
      keyed.hasKey = ${select !== undefined}
      ${select === undefined || store.warm === undefined ? '' : 'store.warm(hashes, from, count)'}
      for (let i = from; i < count; i++) {
        const value = values[i]
        time.timestampMs = timestamps[i]
        ${before}
        ${
          select === undefined
            ? ''
            : `let key = select(value)
               if (key === 0) key = 0
               store.useKey(key, hashes[i])`
        }
        instance.process(value, ${input})
        ${after}
        ${timers === undefined || select === undefined ? '' : 'if (timers.peek() <= node.watermarkMs) node.fireDue()'}
        if (gate.isClosed) return i + 1
      }
      return count`,
  )
}

/** -0 is 0. */
function positiveZero(key: unknown): never {
  return (key === 0 ? 0 : key) as never
}
