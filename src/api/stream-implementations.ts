/**
 * The streams behind the types of streams.ts. Each is a list of origins in the graph being built; every method adds a node or
 * changes how the next edge divides records.
 */
import { aggregatorFunctions, runningAggregate } from '../../operators/aggregate.ts'
import { changes } from '../../operators/changes.ts'
import { tableAggregate } from '../../operators/table-aggregate.ts'
import { collect, count, sum } from '../../operators/aggregators.ts'
import { filter } from '../../operators/filter.ts'
import { flatMap } from '../../operators/flat-map.ts'
import { join } from '../../operators/join.ts'
import type { JoinFunction, JoinKind } from '../../operators/join.ts'
import { map } from '../../operators/map.ts'
import { process, processContext } from '../../operators/process.ts'
import type { AnyHandlers, ProcessOptions } from '../../operators/process.ts'
import { monotonous } from '../../operators/sources/watermarks.ts'
import { aggregateResult, rowsResult } from '../../operators/window/pane-output.ts'
import type { WindowResult as PaneResult } from '../../operators/window/pane-output.ts'
import { paneOptions } from '../../operators/window/window-options.ts'
import type {
  Accumulation,
  PaneOptions,
  WindowOptions,
} from '../../operators/window/window-options.ts'
import { window } from '../../operators/window/window.ts'
import type { Aggregator } from '../contract/aggregator.ts'
import type { OperatorDescription } from '../contract/operator.ts'
import type { Sink } from '../contract/sink.ts'
import type { Source, WatermarkStrategy } from '../contract/source.ts'
import type { Window, WindowFunction } from '../contract/window.ts'
import type { DeadLetter } from '../core/dead-letter.ts'
import { positiveMs } from '../core/duration.ts'
import { EngineError } from '../core/errors.ts'
import { checkChoice } from '../core/options.ts'
import type { Partitioning } from '../plan/job-graph.ts'
import type { States } from '../state/handles.ts'
import { reducer } from '../state/reducer.ts'
import type { GraphBuilder, NodeOptions, Origin } from './graph-builder.ts'
import type {
  DataStream,
  Env,
  OperatorOptions,
  Sides,
  SourceOptions,
  StatelessOptions,
} from './streams.ts'

type Select = (value: unknown) => unknown
type AnyAggregator = Aggregator<unknown, unknown, unknown>
type AnyWindow = WindowFunction<unknown, Window>
type AnyWindowOptions = WindowOptions<unknown, Accumulation>

/** A window function with its checked options. */
interface PanedWindow {
  readonly where: AnyWindow
  readonly options: PaneOptions<unknown> | undefined
}

export class EnvImplementation<P> implements Env<P> {
  readonly params: P
  readonly #graph: GraphBuilder

  constructor(graph: GraphBuilder, params: P) {
    this.#graph = graph
    this.params = params
  }

  from<T>(uid: string, source: Source<T>, options: SourceOptions<T> = {}): DataStream<T> {
    const { timestampMs, watermarks, idleAfter } = options
    const id = this.#graph.add(
      nodeOptions(uid, options),
      {
        kind: 'source',
        source,
        timestampMs: timestampMs as ((value: unknown) => number) | undefined,
        watermarks: (watermarks ?? source.watermarks ?? monotonous()) as WatermarkStrategy,
        idleAfterMs: idleAfter === undefined ? undefined : positiveMs(idleAfter, 'idleAfter'),
      },
      [],
    )
    return publicStream<T>(new StreamImplementation(this.#graph, [originOf(id)]))
  }

  get deadLetters(): DataStream<DeadLetter> {
    const origins = this.#graph.deadLetters()
    if (origins.length > 0) return publicStream(new StreamImplementation(this.#graph, origins))
    throw new EngineError(
      'JOB_INVALID',
      `Job '${this.#graph.name}': env.deadLetters is read, but no source before it sends any; give one onUndecodable: 'dead-letter', and read them behind it`,
    )
  }
}

/** `DataStream`, and with `side` a `MultiStream`. */
class StreamImplementation {
  readonly graph: GraphBuilder
  readonly origins: readonly Origin[]
  /** Side outputs of the node, by name. */
  readonly side: Readonly<Record<string, StreamImplementation>>

  constructor(graph: GraphBuilder, origins: readonly Origin[], sides: readonly string[] = []) {
    this.graph = graph
    this.origins = origins
    const side: Record<string, StreamImplementation> = {}
    const [origin] = origins
    for (const name of sides) {
      if (origin === undefined) break
      side[name] = new StreamImplementation(graph, [{ ...origin, side: name, mayRetract: false }])
    }
    this.side = side
  }

  get isBroadcast(): boolean {
    return this.origins.every(({ partitioning }) => partitioning.kind === 'broadcast')
  }

  map(f: Select, options?: StatelessOptions): StreamImplementation {
    return this.#stateless(map(f), options)
  }

  filter(f: (value: unknown) => boolean, options?: StatelessOptions): StreamImplementation {
    return this.#stateless(filter(f), options)
  }

  flatMap(
    f: (value: unknown) => Iterable<unknown>,
    options?: StatelessOptions,
  ): StreamImplementation {
    return this.#stateless(flatMap(f), options)
  }

  union(...others: readonly unknown[]): StreamImplementation {
    const origins = others.flatMap((other) => this.#ofSameJob(other).origins)
    return new StreamImplementation(this.graph, [...this.origins, ...origins])
  }

  keyBy(select: Select): KeyedImplementation {
    return new KeyedImplementation(this.graph, divide(this.origins, { kind: 'hash', select }))
  }

  windowAll(windows: AnyWindow, options?: AnyWindowOptions): WindowedImplementation {
    const origins = divide(this.origins, { kind: 'hash', select: () => null })
    return new WindowedImplementation(this.graph, origins, paned(windows, options), {
      parallelism: 1,
    })
  }

  forward(): StreamImplementation {
    return this.#divided({ kind: 'forward' })
  }

  rebalance(): StreamImplementation {
    return this.#divided({ kind: 'rebalance' })
  }

  broadcast(): StreamImplementation {
    return this.#divided({ kind: 'broadcast' })
  }

  partition(subtask: (value: unknown, count: number) => number): StreamImplementation {
    return this.#divided({ kind: 'custom', subtask })
  }

  asTable(): StreamImplementation {
    const origins = this.origins.map((origin) => ({ ...origin, mayRetract: true }))
    return new StreamImplementation(this.graph, origins)
  }

  changes(): StreamImplementation {
    return this.#stateless(changes())
  }

  process(
    uid: string,
    spec: { readonly side?: Sides } & OperatorOptions,
    open: ProcessOptions['open'],
  ): StreamImplementation {
    const sides = Object.keys(spec.side ?? {})
    const operator = process({
      isKeyed: false,
      states: {},
      sides,
      inputs: [],
      broadcastStates: {},
      open,
    })
    return addOperator(this.graph, nodeOptions(uid, spec), operator, [this.origins])
  }

  to(uid: string, sink: Sink<never, never>, options: OperatorOptions = {}): void {
    const isKeyed = sink.key !== undefined && this.origins.some(({ mayRetract }) => mayRetract)
    const origins = isKeyed
      ? divide(this.origins, { kind: 'hash', select: sink.key as Select })
      : this.origins
    this.graph.add(nodeOptions(uid, options), { kind: 'sink', sink }, [origins])
  }

  #stateless(operator: OperatorDescription, options: StatelessOptions = {}): StreamImplementation {
    return addOperator(this.graph, nodeOptions(options.uid, options), operator, [this.origins])
  }

  #divided(partitioning: Partitioning): StreamImplementation {
    return new StreamImplementation(this.graph, divide(this.origins, partitioning))
  }

  #ofSameJob(other: unknown): StreamImplementation {
    if (other instanceof StreamImplementation && other.graph === this.graph) return other
    throw otherJob(this.graph)
  }
}

class KeyedImplementation {
  readonly graph: GraphBuilder
  readonly origins: readonly Origin[]

  constructor(graph: GraphBuilder, origins: readonly Origin[]) {
    this.graph = graph
    this.origins = origins
  }

  count(uid: string, options?: OperatorOptions): StreamImplementation {
    return this.#aggregate('count', uid, count(), options)
  }

  sum(
    uid: string,
    select: (value: unknown) => number,
    options?: OperatorOptions,
  ): StreamImplementation {
    return this.#aggregate('sum', uid, sum(select), options)
  }

  reduce(
    uid: string,
    f: (left: unknown, right: unknown) => unknown,
    options?: OperatorOptions,
  ): StreamImplementation {
    return this.#aggregate('reduce', uid, reducer(f), options)
  }

  aggregate(
    uid: string,
    aggregator: AnyAggregator,
    options?: OperatorOptions,
  ): StreamImplementation {
    return this.#aggregate('aggregate', uid, aggregator, options)
  }

  window(windows: AnyWindow, options?: AnyWindowOptions): WindowedImplementation {
    return new WindowedImplementation(this.graph, this.origins, paned(windows, options), {})
  }

  process(
    uid: string,
    spec: {
      readonly state?: States
      readonly side?: Sides
      readonly inputs?: Readonly<Record<string, unknown>>
      readonly broadcastState?: States
    } & OperatorOptions,
    open: ProcessOptions['open'],
  ): StreamImplementation {
    const inputs = Object.entries(spec.inputs ?? {}).map(([name, stream]) =>
      this.#input(uid, name, stream),
    )
    const operator = process({
      isKeyed: true,
      states: spec.state ?? {},
      sides: Object.keys(spec.side ?? {}),
      inputs: inputs.map(({ name, isBroadcast }) => ({ name, isBroadcast })),
      broadcastStates: spec.broadcastState ?? {},
      open,
    })
    return addOperator(this.graph, nodeOptions(uid, spec), operator, [
      this.origins,
      ...inputs.map(({ origins }) => origins),
    ])
  }

  join(
    uid: string,
    other: unknown,
    options: { readonly kind?: JoinKind } & OperatorOptions,
    f: JoinFunction,
  ): StreamImplementation {
    const { kind = 'inner' } = options
    checkChoice(kind, ['inner', 'left', 'right', 'full'], `The kind of the join '${uid}'`)
    const { isBroadcast, origins } = this.#input(uid, 'other', other)
    if (isBroadcast) {
      throw new EngineError(
        'JOB_INVALID',
        `The other side of the join '${uid}' is not keyed; end it with keyBy(...)`,
        { operatorUid: uid },
      )
    }
    return addOperator(this.graph, nodeOptions(uid, options), join(kind, f), [
      this.origins,
      origins,
    ])
  }

  #aggregate<T, A, R>(
    kind: string,
    uid: string,
    aggregator: Aggregator<T, A, R>,
    options: OperatorOptions = {},
  ): StreamImplementation {
    const operator = this.origins.some(({ mayRetract }) => mayRetract)
      ? tableAggregate(kind, aggregator)
      : runningAggregate(kind, aggregator)
    return addOperator(this.graph, nodeOptions(uid, options), operator, [this.origins])
  }

  #input(
    uid: string,
    name: string,
    stream: unknown,
  ): { name: string; isBroadcast: boolean; origins: readonly Origin[] } {
    const isKeyed = stream instanceof KeyedImplementation
    const isBroadcast = stream instanceof StreamImplementation && stream.isBroadcast
    if (!isKeyed && !isBroadcast) {
      throw new EngineError(
        'JOB_INVALID',
        `The input '${name}' of operator '${uid}' is neither keyed nor broadcast; end it with keyBy(...) or broadcast()`,
        { operatorUid: uid },
      )
    }
    if (stream.graph !== this.graph) throw otherJob(this.graph)
    return { name, isBroadcast, origins: stream.origins }
  }
}

class WindowedImplementation {
  readonly #graph: GraphBuilder
  readonly #origins: readonly Origin[]
  readonly #windows: PanedWindow
  readonly #defaults: OperatorOptions

  constructor(
    graph: GraphBuilder,
    origins: readonly Origin[],
    windows: PanedWindow,
    defaults: OperatorOptions,
  ) {
    this.#graph = graph
    this.#origins = origins
    this.#windows = windows
    this.#defaults = defaults
  }

  count(uid: string, options?: OperatorOptions): StreamImplementation {
    return this.#aggregate('count', uid, count(), [], options)
  }

  sum(
    uid: string,
    select: (value: unknown) => number,
    options?: OperatorOptions,
  ): StreamImplementation {
    return this.#aggregate('sum', uid, sum(select), [select], options)
  }

  reduce(
    uid: string,
    f: (left: unknown, right: unknown) => unknown,
    options?: OperatorOptions,
  ): StreamImplementation {
    return this.#aggregate('reduce', uid, reducer(f), [f], options)
  }

  aggregate(
    uid: string,
    aggregator: AnyAggregator,
    options?: OperatorOptions,
  ): StreamImplementation {
    return this.#aggregate('aggregate', uid, aggregator, aggregatorFunctions(aggregator), options)
  }

  process(
    uid: string,
    spec: { readonly side?: Sides } & OperatorOptions,
    open: ProcessOptions['open'],
  ): StreamImplementation {
    const sides = Object.keys(spec.side ?? {})
    const result = rowsResult(collect<unknown>(), {
      sides,
      functions: [open],
      open: paneOpener(sides, open),
    })
    return this.#add(uid, result, spec)
  }

  #aggregate<T, A, R>(
    kind: string,
    uid: string,
    aggregator: Aggregator<T, A, R>,
    functions: PaneResult<T, A>['functions'],
    options: OperatorOptions = {},
  ): StreamImplementation {
    return this.#add(uid, aggregateResult(kind, aggregator, functions), options)
  }

  #add<T, A>(
    uid: string,
    result: PaneResult<T, A>,
    options: OperatorOptions,
  ): StreamImplementation {
    const { where, options: panes } = this.#windows
    const operator = window(
      where as WindowFunction<T, Window>,
      result,
      panes as PaneOptions<T> | undefined,
      this.#origins.some(({ mayRetract }) => mayRetract),
    )
    return addOperator(this.#graph, nodeOptions(uid, { ...this.#defaults, ...options }), operator, [
      this.#origins,
    ])
  }
}

/** A window function over all rows as the window operator opens it: with the context of a process function. */
function paneOpener(
  sides: readonly string[],
  open: ProcessOptions['open'],
): Parameters<typeof rowsResult<unknown>>[1]['open'] {
  return (context) => {
    const handlers = open(processContext(context, sides) as never) as unknown as AnyHandlers & {
      onPane(rows: Iterable<unknown>, at: unknown): void
    }
    return {
      onPane: (rows, at) => handlers.onPane(rows, at),
      ...(handlers.close === undefined ? {} : { close: () => handlers.close?.() }),
    }
  }
}

function paned(where: AnyWindow, options: AnyWindowOptions | undefined): PanedWindow {
  return { where, options: paneOptions(where, options) }
}

function addOperator(
  graph: GraphBuilder,
  options: NodeOptions,
  operator: OperatorDescription,
  inputs: readonly (readonly Origin[])[],
): StreamImplementation {
  const id = graph.add(options, { kind: 'operator', operator }, inputs)
  const { emitsRetractions } = operator
  const mayRetract =
    emitsRetractions === 'passed'
      ? inputs.some((origins) => origins.some((origin) => origin.mayRetract))
      : emitsRetractions === true
  return new StreamImplementation(graph, [originOf(id, mayRetract)], operator.sides)
}

function originOf(nodeId: number, mayRetract: boolean = false): Origin {
  return { nodeId, side: undefined, partitioning: { kind: 'auto' }, mayRetract }
}

function divide(origins: readonly Origin[], partitioning: Partitioning): Origin[] {
  return origins.map((origin) => ({ ...origin, partitioning }))
}

function nodeOptions(uid: string | undefined, options: OperatorOptions): NodeOptions {
  return {
    uid,
    name: options.name,
    parallelism: options.parallelism,
    chain: options.chain ?? 'auto',
  }
}

function otherJob(graph: GraphBuilder): EngineError {
  return new EngineError(
    'STREAM_OF_OTHER_JOB',
    `Job '${graph.name}' was given a stream of another job; streams of one env only can be joined`,
  )
}

/** The one place where an implementation is given its public type, which says more than the class does. */
function publicStream<T>(stream: StreamImplementation): DataStream<T> {
  return stream as unknown as DataStream<T>
}
