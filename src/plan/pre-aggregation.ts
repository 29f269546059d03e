/**
 * Cuts operators in two around the exchange that feeds them (contract/operator.ts, `PreAggregation`), so that partial results travel
 * instead of records. Pure, and the same in every thread; shown by `explain`.
 *
 * Invariants
 *  - Nodes keep their ids, since operators without a uid are known by them; the parts before an exchange are numbered behind all.
 *  - Nodes stay in topological order.
 *  - An operator is cut only where its records come over a hash exchange from operators they can be chained to, and where there
 *    is more than one subtask on either side: else nothing would be saved. And only where rows are only added.
 */
import type { PreAggregation } from '../contract/operator.ts'
import type { GraphEdge, GraphNode, JobGraph, OperatorNode } from './job-graph.ts'
import { nameOf } from './job-graph.ts'
import type { GraphScale } from './validate.ts'
import { parallelismOf } from './validate.ts'

/** The graph with every operator cut that can be, unless `scale` says otherwise. */
export function preAggregated(graph: JobGraph, scale: GraphScale): JobGraph {
  if (scale.preAggregate === false) return graph
  const nodes: GraphNode[] = []
  const edges = [...graph.edges]
  let nextId = graph.nodes.length
  for (const node of graph.nodes) {
    const cut = cutOf(graph, node, scale)
    if (cut === undefined) {
      nodes.push(node)
      continue
    }
    for (const edge of cut.edges) {
      const before = graph.nodes[edge.from] as GraphNode
      const id = nextId++
      nodes.push({
        id,
        kind: 'operator',
        operator: cut.preAggregation.before(edge.partitioning.select),
        uid: undefined,
        name: `partial ${nameOf(node)}`,
        parallelism: before.parallelism,
        chain: 'auto',
      })
      edges.splice(
        edges.indexOf(edge),
        1,
        { ...edge, to: id, input: 0, partitioning: { kind: 'forward' } },
        {
          ...edge,
          from: id,
          side: undefined,
          partitioning: { kind: 'hash', select: cut.preAggregation.select },
        },
      )
    }
    nodes.push({ ...cut.node, operator: cut.preAggregation.behind })
  }
  return { name: graph.name, nodes, edges }
}

type HashEdge = GraphEdge & {
  readonly partitioning: { readonly kind: 'hash'; readonly select: (value: unknown) => unknown }
}

interface Cut {
  readonly node: OperatorNode
  readonly preAggregation: PreAggregation
  readonly edges: readonly HashEdge[]
}

function cutOf(graph: JobGraph, node: GraphNode, scale: GraphScale): Cut | undefined {
  if (node.kind !== 'operator' || node.operator.preAggregation === undefined) return undefined
  const { preAggregation } = node.operator
  const isReadWhole = graph.edges.some(
    ({ from, side }) =>
      from === node.id && side !== undefined && preAggregation.wholeSides.includes(side),
  )
  if (isReadWhole) return undefined
  const edges = graph.edges.filter(({ to }) => to === node.id)
  if (!edges.every(isHash)) return undefined
  // partial results are rows that were added
  if (edges.some(({ mayRetract }) => mayRetract === true)) return undefined
  const isWide = edges.some(({ from }) => {
    const before = graph.nodes[from] as GraphNode
    return parallelismOf(before, scale) > 1 || parallelismOf(node, scale) > 1
  })
  const isChained = edges.every(({ from }) => graph.nodes[from]?.chain !== 'alone')
  return isWide && isChained ? { node, preAggregation, edges } : undefined
}

function isHash(edge: GraphEdge): edge is HashEdge {
  return edge.partitioning.kind === 'hash'
}
