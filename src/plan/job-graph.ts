/**
 * A job as its author described it: operators joined by edges. Data plus functions, the same in every thread; nothing runs.
 *
 * Invariant: nodes are numbered from 0 in the order they were described, and an edge only leads to a later node (validate.ts
 * refuses a graph in which it does not).
 */
import type { OperatorDescription, UserFunction } from '../contract/operator.ts'
import type { Sink } from '../contract/sink.ts'
import type { Source, WatermarkStrategy } from '../contract/source.ts'

/** A described job. */
export interface JobGraph {
  readonly name: string
  readonly nodes: readonly GraphNode[]
  readonly edges: readonly GraphEdge[]
}

/** `'start'` begins a new chain, `'alone'` keeps the operator out of any. */
export type ChainOption = 'auto' | 'start' | 'alone'

interface NodeOptions {
  readonly id: number
  /** The stable name that state is found under after a redeploy; stateless operators may go without. */
  readonly uid: string | undefined
  /** Shown in plans and metrics. */
  readonly name: string | undefined
  readonly parallelism: number | undefined
  readonly chain: ChainOption
}

export interface SourceNode extends NodeOptions {
  readonly kind: 'source'
  readonly source: Source<unknown>
  /** Event time of a record; undefined: the source's own timestamp, else the time of arrival. */
  readonly timestampMs: ((value: unknown) => number) | undefined
  readonly watermarks: WatermarkStrategy
  /** A split without records for so long no longer holds the watermark back; undefined: never. */
  readonly idleAfterMs: number | undefined
}

export interface OperatorNode extends NodeOptions {
  readonly kind: 'operator'
  readonly operator: OperatorDescription
}

export interface SinkNode extends NodeOptions {
  readonly kind: 'sink'
  readonly sink: Sink<never, never>
}

export type GraphNode = SourceNode | OperatorNode | SinkNode

/** How records get from the subtasks of one operator to those of the next. `'auto'`: forward where parallelism is equal, else rebalance. */
export type Partitioning = ExchangePartitioning | { readonly kind: 'auto' }

/** The same, decided. */
export type ExchangePartitioning =
  | { readonly kind: 'forward' | 'rebalance' | 'broadcast' }
  | { readonly kind: 'hash'; readonly select: (value: unknown) => unknown }
  | { readonly kind: 'custom'; readonly subtask: (value: unknown, count: number) => number }

export interface GraphEdge {
  readonly from: number
  /** Name of a side output; undefined for the main one. */
  readonly side: string | undefined
  readonly to: number
  /** Which of its inputs. Several edges to one input are a union. */
  readonly input: number
  readonly partitioning: Partitioning
  /** Whether rows may be taken back on it. Default false. */
  readonly mayRetract?: boolean
}

/** What a node is, in a word: `source generate`, `window`, `sink files`. */
export function typeOf(node: GraphNode): string {
  switch (node.kind) {
    case 'source':
      return node.source.type
    case 'operator':
      return node.operator.type
    case 'sink':
      return node.sink.type
  }
}

/** What plans, metrics and messages call a node. */
export function nameOf(node: GraphNode): string {
  return node.name ?? node.uid ?? typeOf(node)
}

/** The uid of a node, or for a stateless one without: its type and number. Stable as long as the job is. */
export function uidOf(node: GraphNode): string {
  return node.uid ?? `${typeOf(node)}-${node.id}`
}

/** Options of a node's connector or operator, as plans show them. */
export function detailsOf(node: GraphNode): Readonly<Record<string, string | number | boolean>> {
  switch (node.kind) {
    case 'source':
      return { ...node.source.details, watermarks: node.watermarks.name }
    case 'operator':
      return node.operator.details ?? {}
    case 'sink':
      return node.sink.details ?? {}
  }
}

/** User functions of a node, in a fixed order. */
export function functionsOf(node: GraphNode): readonly UserFunction[] {
  if (node.kind === 'operator') return node.operator.functions ?? []
  return node.kind === 'source' && node.timestampMs !== undefined ? [node.timestampMs] : []
}

/** How many inputs a node tells apart. */
export function inputCountOf(node: GraphNode): number {
  return node.kind === 'source' ? 0 : node.kind === 'sink' ? 1 : node.operator.inputCount
}
