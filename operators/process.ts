/**
 * User-written operators: one record at a time with side outputs and lifecycle, and for keyed streams with state, timers, further
 * keyed inputs and broadcast inputs (Flink's ProcessFunction, KeyedProcessFunction, KeyedCoProcessFunction and
 * KeyedBroadcastProcessFunction in one).
 *
 * Invariants
 *  - `emit` and `side.x` are made once per subtask; nothing is allocated per record but what the user's code allocates.
 *  - While a broadcast record is handled no key is at hand; otherwise the key is that of the record or timer.
 */
import type {
  OperatorContext,
  OperatorDescription,
  OperatorInstance,
  OperatorSnapshot,
  Timer,
} from '../src/contract/operator.ts'
import type { ReadonlyHandle, Timers } from '../src/contract/state.ts'
import type { Metrics } from '../src/core/metrics.ts'
import { EngineError } from '../src/core/errors.ts'
import type { AnyKey } from '../src/core/key.ts'
import type { RecordTime } from '../src/core/time.ts'
import { cellStates, stateHandles } from '../src/state/handles.ts'
import type { StateHandles, States } from '../src/state/handles.ts'
import { KeyTimers, timerStates } from '../src/state/timers.ts'
import { BroadcastState } from './broadcast-state.ts'

/** What is known of a record beside its value. Reused: copy what you keep. */
export interface RecordInfo {
  readonly timestampMs: number
  /** The operator's input watermark; -Infinity before the first. */
  readonly watermarkMs: number
}

/** What `open` is given: fixed for the life of the subtask. */
export interface ProcessContext<in E, O> {
  /** Sends a record on. Default timestamp: that of the record or timer at hand. */
  readonly emit: (value: E, timestampMs?: number) => void
  readonly side: { readonly [N in keyof O]: (value: O[N], timestampMs?: number) => void }
  readonly metrics: Metrics
  /** Aborted when the subtask is cancelled or stopped. */
  readonly signal: AbortSignal
  readonly subtaskIndex: number
  readonly parallelism: number
}

/** The context of a keyed process function. */
export interface KeyedProcessContext<
  out K,
  in E,
  S extends States,
  O,
  B extends States = {},
> extends ProcessContext<E, O> {
  /** Each handle shows the state of the key at hand; outside a handler it throws `STATE_NO_KEY`. */
  readonly state: StateHandles<S>
  /** Equal in every subtask; written only while a broadcast record is handled (`STATE_READ_ONLY`). */
  readonly broadcastState: { readonly [N in keyof B]: ReadonlyHandle<StateHandles<B>[N]> }
  readonly timers: Timers
  /** The key at hand. */
  readonly key: () => K
}

/** What only a broadcast record may do. It must do the same in every subtask. */
export interface BroadcastAccess<B extends States> extends RecordInfo {
  readonly broadcastState: StateHandles<B>
}

/** Handlers of one subtask, called on its thread, one at a time, in the order of the input. */
export interface RecordHandler<T> {
  /** `info` is reused: copy what you keep. */
  onRecord(value: T, info: RecordInfo): void
  /**
   * At the end of a bounded input, before the last checkpoint. All timers of event time have fired: the watermark stands at the end
   * of time, so what is emitted now is late for event-time windows further on.
   */
  onEnd?(): void
  close?(): void
}

/** Handlers as the operator calls them, whatever their types were to the user. */
export interface AnyHandlers extends RecordHandler<unknown> {
  onTimer?(timer: Timer): void
  readonly inputs?: { readonly [name: string]: InputHandler }
}

type InputHandler = (value: unknown, info: BroadcastAccess<States>) => void

/** What a process operator is made of. */
export interface ProcessOptions {
  readonly isKeyed: boolean
  readonly states: States
  readonly sides: readonly string[]
  /** Further inputs, in the order of their numbers from 1. */
  readonly inputs: readonly { readonly name: string; readonly isBroadcast: boolean }[]
  readonly broadcastStates: States
  readonly open: (context: AnyContext) => AnyHandlers
}

type AnyContext = Omit<
  KeyedProcessContext<AnyKey, unknown, States, SideValues>,
  'broadcastState'
> & { readonly broadcastState: StateHandles<States> }

type SideValues = { readonly [name: string]: unknown }

export function process(options: ProcessOptions): OperatorDescription {
  return {
    type: 'process',
    inputCount: 1 + options.inputs.length,
    isKeyed: options.isKeyed,
    emits: 'user',
    functions: [options.open],
    sides: options.sides,
    states: options.isKeyed ? [...cellStates(options.states), ...timerStates] : [],
    broadcastInputs: options.inputs.flatMap(({ isBroadcast }, index) =>
      isBroadcast ? [index + 1] : [],
    ),
    itemsRestore: 'union',
    open: (context) => new ProcessInstance(context, options),
  }
}

class ProcessInstance implements OperatorInstance {
  readonly #context: OperatorContext
  readonly #handlers: AnyHandlers
  /** Handlers of further inputs, from 1. */
  readonly #inputs: readonly InputHandler[]
  readonly #isBroadcast: readonly boolean[]
  readonly #broadcastState: BroadcastState
  readonly #timers: KeyTimers | undefined
  readonly #info: { timestampMs: number; watermarkMs: number; broadcastState: StateHandles<States> }

  constructor(context: OperatorContext, options: ProcessOptions) {
    this.#context = context
    this.#timers = options.isKeyed ? new KeyTimers(context.keyed, context.clock) : undefined
    this.#broadcastState = new BroadcastState(options.broadcastStates, context.restoredItems)
    this.#info = {
      timestampMs: NaN,
      watermarkMs: NaN,
      broadcastState: this.#broadcastState.handles,
    }
    this.#handlers = options.open({
      ...processContext(context, options.sides),
      state: options.isKeyed ? stateHandles(options.states, context.keyed) : {},
      broadcastState: this.#broadcastState.handles,
      timers: this.#timers as Timers,
      key: () => context.keyed.key(),
    })
    this.#inputs = options.inputs.map(({ name }) => inputHandler(this.#handlers, name))
    this.#isBroadcast = options.inputs.map(({ isBroadcast }) => isBroadcast)
  }

  process(value: unknown, input: number): void {
    const info = this.#info
    info.timestampMs = this.#context.time.timestampMs
    info.watermarkMs = this.#context.watermarkMs()
    if (input === 0) return this.#handlers.onRecord(value, info)
    const handle = this.#inputs[input - 1] as InputHandler
    if (this.#isBroadcast[input - 1] !== true) return handle(value, info)
    this.#broadcastState.write(() => handle(value, info))
  }

  snapshot(): OperatorSnapshot {
    return { items: this.#context.subtaskIndex === 0 ? this.#broadcastState.save() : [] }
  }

  onTimer(timer: Timer): void {
    if (this.#timers?.take(timer) === true) this.#handlers.onTimer?.(timer)
  }

  onEnd(): boolean {
    this.#handlers.onEnd?.()
    return true
  }

  close(): void {
    this.#handlers.close?.()
  }
}

/** What `open` is given for an operator that is not keyed. */
export function processContext(
  context: OperatorContext,
  sides: readonly string[],
): ProcessContext<unknown, SideValues> {
  const { time } = context
  return {
    emit: emitter(context.output, time),
    side: Object.fromEntries(sides.map((name) => [name, emitter(context.side(name), time)])),
    metrics: context.metrics,
    signal: context.signal,
    subtaskIndex: context.subtaskIndex,
    parallelism: context.parallelism,
  }
}

function emitter(
  output: { emit(value: unknown): void },
  time: RecordTime,
): (value: unknown, timestampMs?: number) => void {
  return (value, timestampMs) => {
    if (timestampMs === undefined) return output.emit(value)
    if (!Number.isFinite(timestampMs)) throw invalidTimestamp(timestampMs)
    const before = time.timestampMs
    time.timestampMs = timestampMs
    output.emit(value)
    time.timestampMs = before
  }
}

function invalidTimestamp(timestampMs: number): EngineError {
  return new EngineError(
    'TIMESTAMP_INVALID',
    `A record was emitted with the timestamp ${timestampMs}; it must be a finite number of milliseconds since 1970`,
  )
}

function inputHandler(handlers: AnyHandlers, name: string): InputHandler {
  const handler = handlers.inputs?.[name]
  if (handler === undefined) {
    throw new EngineError(
      'JOB_INVALID',
      `The process function declares the input '${name}' but returns no handler for it; add inputs: { ${name}: (value) => … }`,
    )
  }
  return handler
}
