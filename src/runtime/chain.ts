/**
 * The operators of one subtask, wired up: a tree of nodes, each calling the next directly, with exchanges at its ends.
 *
 * Invariants
 *  - Nodes are in topological order; the first is the head. The last are opened first, so that whoever emits finds its
 *    consumer open.
 *  - What a user's function returned, and might change later, is copied where it has to wait in a queue (docs/protocol.md 2).
 */
import type { ExchangeOutput } from '../channel/exchange-output.ts'
import type { OutputGate } from '../channel/output-gate.ts'
import type {
  OperatorContext,
  OperatorDescription,
  OperatorInstance,
  Output,
} from '../contract/operator.ts'
import { EVENT_TIMERS, PROCESSING_TIMERS } from '../contract/operator.ts'
import type { KeyedStore } from '../contract/state-backend.ts'
import { DEAD_LETTERS } from '../core/dead-letter.ts'
import { canGenerateCode } from '../core/generated-code.ts'
import type { RecordTime } from '../core/time.ts'
import type { GraphNode, OperatorNode as OperatorGraphNode } from '../plan/job-graph.ts'
import type { Exchange, Task } from '../plan/execution-plan.ts'
import type { BatchConsumer, Consumer, FusedPart, Target } from './chain-code.ts'
import {
  fanOut,
  fusedConsumer,
  instanceConsumer,
  keyedLoop,
  outputOf,
  plainLoop,
} from './chain-code.ts'
import type { StoreContext } from './operator-context.ts'
import { OperatorNode } from './operator-node.ts'
import type { OperatorSite } from './operator-node.ts'

/** What the chain needs of the subtask. */
export interface ChainOptions {
  readonly task: Task
  readonly time: RecordTime
  readonly gate: OutputGate
  readonly site: OperatorSite
  /** The watermark an operator was told before the restart. */
  watermarkOf(node: GraphNode): number
  /** The output into an exchange. `copies`: its values may still be changed by their maker. */
  output(exchange: Exchange, copies: boolean): ExchangeOutput
  context(node: OperatorNode, output: Output, sides: ReadonlyMap<string, Output>): OperatorContext
  /** Opens the instance of a sink. */
  openSink(context: OperatorContext, node: GraphNode): Promise<OperatorInstance>
  /** The keyed state of the head, if it is keyed. */
  readonly store: KeyedStore | undefined
  readonly keyed: StoreContext | undefined
}

export class Chain {
  readonly nodes: readonly OperatorNode[]
  readonly outputs: readonly ExchangeOutput[]
  /** For each exchange into the task, in the order of its inputs. Of a source: one. */
  readonly loops: readonly BatchConsumer[]
  /** Of a source: takes its dead letters. */
  readonly letters: Consumer

  private constructor(
    nodes: readonly OperatorNode[],
    outputs: readonly ExchangeOutput[],
    loops: readonly BatchConsumer[],
    letters: Consumer,
  ) {
    this.nodes = nodes
    this.outputs = outputs
    this.loops = loops
    this.letters = letters
  }

  static async open(options: ChainOptions): Promise<Chain> {
    const builder = new ChainBuilder(options)
    try {
      await builder.open()
    } catch (error) {
      for (const { instance } of builder.nodes) {
        // what kept the chain from being opened is the error to tell
        await Promise.resolve(instance?.close?.()).catch(() => {})
      }
      throw error
    }
    return new Chain(builder.nodes, builder.outputs, builder.loops(), builder.letters())
  }

  get head(): OperatorNode {
    return this.nodes[0] as OperatorNode
  }

  /** Whether some node has steps left. */
  get hasSteps(): boolean {
    for (const node of this.nodes) if (node.hasSteps) return true
    return false
  }

  /** Whether every instance takes records now. */
  get hasRoom(): boolean {
    for (const { instance } of this.nodes) if (instance?.hasRoom?.() === false) return false
    return true
  }

  /** Goes on with what is left, the last operators first; whether nothing is. */
  run(): boolean {
    for (let i = this.nodes.length - 1; i >= 0; i--) {
      if ((this.nodes[i] as OperatorNode).run() === false) return false
    }
    return true
  }

  /** Hands on what the outputs hold back; whether nothing is left. */
  pump(): boolean {
    let isDone = true
    for (const output of this.outputs) if (!output.pump()) isDone = false
    return isDone
  }

  flush(): void {
    for (const output of this.outputs) output.flush()
  }

  /** When an operator wants to be woken, in processing time. */
  nextWakeMs(): number {
    let next = Infinity
    for (const node of this.nodes) next = Math.min(next, node.nextWakeMs())
    return next
  }

  async close(): Promise<void> {
    for (const { instance } of this.nodes) await instance?.close?.()
  }
}

class ChainBuilder {
  readonly nodes: OperatorNode[] = []
  readonly outputs: ExchangeOutput[] = []
  readonly #options: ChainOptions
  readonly #consumers = new Map<number, Consumer>()

  constructor(options: ChainOptions) {
    this.#options = options
    const { task, site, gate, time } = options
    task.nodes.forEach((node, index) => {
      const operator = descriptionOf(node)
      this.nodes.push(
        new OperatorNode({
          node,
          index,
          site,
          gate,
          time,
          holdsWatermarks: operator?.holdsWatermarks === true,
          leaveKeys: () => {
            if (options.keyed !== undefined) options.keyed.hasKey = false
          },
          watermarkMs: options.watermarkOf(node),
        }),
      )
    })
  }

  async open(): Promise<void> {
    for (let i = this.nodes.length - 1; i >= 0; i--) {
      const node = this.nodes[i] as OperatorNode
      this.#connect(node)
      this.#consumers.set(node.node.id, await this.#openNode(node))
    }
  }

  letters(): Consumer {
    return this.#after(this.nodes[0] as OperatorNode, DEAD_LETTERS)
  }

  loops(): BatchConsumer[] {
    const { task, time, gate, site, store, keyed } = this.#options
    const head = this.nodes[0] as OperatorNode
    const { instance } = head
    const loopOptions = { time, gate, site }
    const consume = this.#consumers.get(head.node.id) as Consumer
    if (task.inputs.length === 0)
      return [plainLoop(consume, { ...loopOptions, title: head.node.name ?? '' })]
    return task.inputs.map(({ edge, partitioning }) => {
      const title = `${task.id} input ${edge.input}`
      if (store === undefined || keyed === undefined || instance === undefined) {
        return edge.input === 0
          ? plainLoop(consume, { ...loopOptions, title })
          : plainLoop((value) => instance?.process(value, edge.input), { ...loopOptions, title })
      }
      return keyedLoop({
        ...loopOptions,
        title,
        node: head,
        instance,
        store,
        keyed,
        input: edge.input,
        select: partitioning.kind === 'hash' ? partitioning.select : undefined,
      })
    })
  }

  /** Links a node to what follows it. */
  #connect(node: OperatorNode): void {
    const { task } = this.#options
    for (const { from, to } of task.calls) {
      if (from !== node.node.id) continue
      const child = this.nodes.find((other) => other.node.id === to) as OperatorNode
      if (!node.children.includes(child)) node.children.push(child)
    }
    const copies = this.#makerOf(node.node) === 'user'
    for (const exchange of task.outputs) {
      if (exchange.edge.from !== node.node.id) continue
      const output = this.#options.output(exchange, copies)
      node.outputs.push(output)
      this.outputs.push(output)
    }
  }

  async #openNode(node: OperatorNode): Promise<Consumer> {
    const { site, store } = this.#options
    const operator = descriptionOf(node.node)
    if (node.node.kind === 'source') return this.#after(node, undefined)
    if (operator?.fused !== undefined && canGenerateCode()) return this.#fuse(node)

    const output = { emit: outputOf(node.index, this.#after(node, undefined), site) }
    const sides = new Map<string, Output>()
    for (const name of operator?.sides ?? []) {
      const next = this.#targets(node, name)
      if (next.length > 0) sides.set(name, { emit: outputOf(node.index, fanOut(next), site) })
    }
    const context = this.#options.context(node, output, sides)
    const instance =
      operator === undefined
        ? await this.#options.openSink(context, node.node)
        : await operator.open(context)
    node.instance = instance
    if (store !== undefined && operator !== undefined) {
      const hasState = (name: string): boolean =>
        (operator.states ?? []).some((state) => state.name === name)
      if (hasState(EVENT_TIMERS)) node.eventTimers = store.timers(EVENT_TIMERS)
      if (hasState(PROCESSING_TIMERS)) node.processingTimers = store.timers(PROCESSING_TIMERS)
    }
    return instanceConsumer(node, instance, site)
  }

  /** The node and those fused operators that follow it one by one, as one function. */
  #fuse(node: OperatorNode): Consumer {
    const parts: FusedPart[] = []
    let last = node
    // values that others get too are copied, behind the filters that begin the run
    let isShared = this.#copiesItself(node)
    for (;;) {
      const operator = descriptionOf(last.node) as OperatorDescription
      const { fused } = operator
      if (fused === undefined) break
      const copies = isShared && operator.emits !== 'input'
      if (copies) isShared = false
      parts.push({
        index: last.index,
        copies,
        functions: operator.functions ?? [],
        bindings: fused.bindings ?? {},
        source: (names, emit) => fused.source(names, emit),
      })
      const [child] = last.children
      const isStraight =
        child !== undefined &&
        last.children.length === 1 &&
        last.outputs.length === 0 &&
        descriptionOf(child.node)?.fused !== undefined
      if (!isStraight) break
      last = child
    }
    return fusedConsumer(parts, this.#after(last, undefined), this.#options.site, isShared)
  }

  #after(node: OperatorNode, side: string | undefined): Consumer {
    return fanOut(this.#targets(node, side))
  }

  /**
   * Whether a node copies the values it takes over a fan-out: one that begins with a filter does so behind it, since filters only
   * look, and need not copy what they drop.
   */
  #copiesItself(node: OperatorNode): boolean {
    const { task } = this.#options
    if (!canGenerateCode() || descriptionOf(node.node)?.emits !== 'input') return false
    const edges = task.calls.filter(({ to }) => to === node.node.id)
    const [edge] = edges
    if (edge === undefined || edges.length > 1) return false
    const others = [...task.calls, ...task.outputs.map((output) => output.edge)].filter(
      ({ from, side }) => from === edge.from && side === edge.side,
    )
    return others.at(-1) !== edge
  }

  /** Whoever takes what a node emits: operators of the chain, and exchanges. */
  #targets(node: OperatorNode, side: string | undefined): Target[] {
    const { task } = this.#options
    const targets: Target[] = []
    for (const edge of task.calls) {
      if (edge.from === node.node.id && edge.side === side) {
        const child = this.nodes.find((other) => other.node.id === edge.to) as OperatorNode
        const consume = this.#consumers.get(edge.to) as Consumer
        targets.push({ consume, copiesItself: this.#copiesItself(child) })
      }
    }
    const exchanges = task.outputs.filter(({ edge }) => edge.from === node.node.id)
    exchanges.forEach(({ edge }, index) => {
      if (edge.side !== side) return
      const { emit } = node.outputs[index] as ExchangeOutput
      targets.push({ consume: emit, copiesItself: false })
    })
    return targets
  }

  /** Who made what a node emits: the nearest operator before it that does not just hand on its input. */
  #makerOf(node: GraphNode): 'engine' | 'user' {
    const { task } = this.#options
    const emits = node.kind === 'operator' ? node.operator.emits : 'engine'
    if (emits !== 'input') return emits
    const edge = task.calls.find(({ to }) => to === node.id)
    const before = task.nodes.find(({ id }) => id === edge?.from)
    // what came over an exchange was copied or decoded on the way
    return before === undefined ? 'engine' : this.#makerOf(before)
  }
}

function descriptionOf(node: GraphNode): OperatorDescription | undefined {
  return node.kind === 'operator' ? (node satisfies OperatorGraphNode).operator : undefined
}
