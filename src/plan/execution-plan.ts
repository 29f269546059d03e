/**
 * From the graph to what runs: operators fused into tasks, tasks joined by exchanges, subtasks in slots, and regions that fail
 * and restart together. Pure, and the same in every thread.
 *
 * Invariants
 *  - Each node is in exactly one task. Within a task every edge is a plain call; between tasks it is an exchange.
 *  - Tasks are in topological order, and so are the nodes of a task; the first is its head.
 *  - Subtask i of every task is in slot i modulo the number of slots, so that what is chained lies together.
 */
import { keyGroupsOf } from '../core/key-group.ts'
import type { KeyGroupRange } from '../core/key-group.ts'
import { hashOfValue } from '../core/value-text.ts'
import type { ExchangePartitioning, GraphEdge, GraphNode, JobGraph } from './job-graph.ts'
import { nameOf } from './job-graph.ts'
import { preAggregated } from './pre-aggregation.ts'
import type { GraphScale } from './validate.ts'
import { parallelismOf, validateGraph } from './validate.ts'

/** A chain of operators that runs as one, in `parallelism` subtasks. */
export interface Task {
  readonly id: number
  readonly nodes: readonly GraphNode[]
  readonly parallelism: number
  /** Exchanges that feed the head, in the order of the graph's edges. */
  readonly inputs: readonly Exchange[]
  readonly outputs: readonly Exchange[]
  /** Edges within the task. */
  readonly calls: readonly GraphEdge[]
  /** Tasks of one region are connected: they fail and restart together. */
  readonly region: number
}

/** An edge between two tasks. */
export interface Exchange {
  readonly id: number
  readonly edge: GraphEdge
  readonly fromTask: number
  readonly toTask: number
  readonly partitioning: ExchangePartitioning
}

export interface ExecutionPlan {
  /** As the job describes it; tasks may hold parts of operators in place of whole ones (pre-aggregation.ts). */
  readonly graph: JobGraph
  readonly maxParallelism: number
  readonly tasks: readonly Task[]
  readonly exchanges: readonly Exchange[]
  readonly regionCount: number
}

/**
 * How rows that may be taken back are spread: equal rows go the same way, so that no retraction overtakes the row it takes back, as it
 * could if they were dealt out in turn.
 */
const byContent: ExchangePartitioning = {
  kind: 'custom',
  subtask: (value, count) => hashOfValue(value) % count,
}

/** Whether an exchange spreads rows that may be taken back. */
export function isByContent({ partitioning }: Exchange): boolean {
  return partitioning === byContent
}

/** Whether rows may be taken back anywhere in the job. */
export function mayRetract(plan: ExecutionPlan): boolean {
  return plan.graph.edges.some((edge) => edge.mayRetract === true)
}

/** Whether rows may be taken back that come to a node of a task. */
export function mayRetractInto(task: Task, node: GraphNode): boolean {
  const edges = [...task.calls, ...task.inputs.map(({ edge }) => edge)]
  return edges.some((edge) => edge.to === node.id && edge.mayRetract === true)
}

/** Validates the graph and plans it. */
export function planExecution(described: JobGraph, scale: GraphScale): ExecutionPlan {
  validateGraph(described, scale)
  const graph = preAggregated(described, scale)
  const heads = findHeads(graph, scale)
  const exchanges: Exchange[] = []
  for (const edge of graph.edges) {
    const fromTask = heads.get(edge.from) as number
    const toTask = heads.get(edge.to) as number
    if (fromTask === toTask) continue
    exchanges.push({
      id: exchanges.length,
      edge,
      fromTask,
      toTask,
      partitioning: resolvePartitioning(graph, edge, scale),
    })
  }
  // in the order of the nodes
  const taskIds = [...new Set(heads.values())]
  const regions = findRegions(taskIds, exchanges)
  const numberOf = new Map(taskIds.map((head, index) => [head, index]))
  const numbered = exchanges.map((exchange) => ({
    ...exchange,
    fromTask: numberOf.get(exchange.fromTask) as number,
    toTask: numberOf.get(exchange.toTask) as number,
  }))
  const tasks = taskIds.map((head, id): Task => {
    const nodes = graph.nodes.filter((node) => heads.get(node.id) === head)
    return {
      id,
      nodes,
      parallelism: parallelismOf(nodes[0] as GraphNode, scale),
      inputs: numbered.filter((exchange) => exchange.toTask === id),
      outputs: numbered.filter((exchange) => exchange.fromTask === id),
      calls: graph.edges.filter(
        (edge) => heads.get(edge.from) === head && heads.get(edge.to) === head,
      ),
      region: regions.get(head) as number,
    }
  })
  return {
    graph: described,
    maxParallelism: scale.maxParallelism,
    tasks,
    exchanges: numbered,
    regionCount: new Set(regions.values()).size,
  }
}

/** The slot of a subtask. */
export function slotOf(subtaskIndex: number, slotCount: number): number {
  return subtaskIndex % slotCount
}

/** What a task is called in messages: its operators in order. */
export function taskName(task: Task): string {
  return task.nodes.map(nameOf).join(' -> ')
}

/** The key groups of a subtask of a task. */
export function keyGroupsOfSubtask(
  task: Task,
  subtaskIndex: number,
  maxParallelism: number,
): KeyGroupRange {
  return keyGroupsOf(subtaskIndex, { parallelism: task.parallelism, maxParallelism })
}

/** For each node the first node of its task. */
function findHeads(graph: JobGraph, scale: GraphScale): Map<number, number> {
  const heads = new Map<number, number>()
  for (const node of graph.nodes) {
    const inputs = graph.edges.filter((edge) => edge.to === node.id)
    const [edge] = inputs
    const before = edge === undefined ? undefined : nodeOf(graph, edge.from)
    const isChained =
      edge !== undefined &&
      before !== undefined &&
      inputs.length === 1 &&
      resolvePartitioning(graph, edge, scale).kind === 'forward' &&
      node.chain === 'auto' &&
      before.chain !== 'alone' &&
      !(node.kind === 'operator' && (node.operator.isKeyed || node.operator.inputCount > 1))
    heads.set(node.id, isChained ? (heads.get(before.id) as number) : node.id)
  }
  return heads
}

function resolvePartitioning(
  graph: JobGraph,
  edge: GraphEdge,
  scale: GraphScale,
): ExchangePartitioning {
  const { partitioning } = edge
  if (partitioning.kind !== 'auto' && partitioning.kind !== 'rebalance') return partitioning
  const from = parallelismOf(nodeOf(graph, edge.from), scale)
  const to = parallelismOf(nodeOf(graph, edge.to), scale)
  if (partitioning.kind === 'auto' && from === to) return { kind: 'forward' }
  return edge.mayRetract === true ? byContent : { kind: 'rebalance' }
}

function nodeOf(graph: JobGraph, id: number): GraphNode {
  return graph.nodes.find((node) => node.id === id) as GraphNode
}

/** Numbers the connected parts of the graph of tasks. */
function findRegions(
  tasks: readonly number[],
  exchanges: readonly Exchange[],
): Map<number, number> {
  const parent = new Map(tasks.map((task) => [task, task]))
  const rootOf = (task: number): number => {
    const above = parent.get(task) as number
    return above === task ? task : rootOf(above)
  }
  for (const { fromTask, toTask } of exchanges) parent.set(rootOf(fromTask), rootOf(toTask))
  const numbers = new Map<number, number>()
  const regions = new Map<number, number>()
  for (const task of tasks) {
    const root = rootOf(task)
    if (!numbers.has(root)) numbers.set(root, numbers.size)
    regions.set(task, numbers.get(root) as number)
  }
  return regions
}
