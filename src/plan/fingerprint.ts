/**
 * What must be equal in every thread that builds the job: uids, types, edges, options and the source text of functions. What
 * functions capture cannot be seen; re-runs and the simulation find those (docs).
 */
import { createHash } from 'node:crypto'
import type { GraphNode, JobGraph } from './job-graph.ts'
import { detailsOf, functionsOf, nameOf, typeOf, uidOf } from './job-graph.ts'

/** A digest for each operator, in order, and one for all. Plain data. */
export interface Fingerprint {
  readonly operators: readonly { readonly name: string; readonly digest: string }[]
}

export function fingerprintOf(graph: JobGraph): Fingerprint {
  return {
    operators: graph.nodes.map((node) => ({
      name: nameOf(node),
      digest: digest([graph.name, nodeText(graph, node)]),
    })),
  }
}

/** The name of the first operator in which two graphs differ; undefined where they are equal. */
export function firstDifference(a: Fingerprint, b: Fingerprint): string | undefined {
  const count = Math.max(a.operators.length, b.operators.length)
  for (let i = 0; i < count; i++) {
    const left = a.operators[i]
    const right = b.operators[i]
    if (left?.digest !== right?.digest) return left?.name ?? right?.name
  }
  return undefined
}

function nodeText(graph: JobGraph, node: GraphNode): unknown {
  const edges = graph.edges.filter((edge) => edge.to === node.id)
  return [
    uidOf(node),
    typeOf(node),
    node.name ?? '',
    node.parallelism ?? 0,
    node.chain,
    detailsOf(node),
    functionsOf(node).map(String),
    node.kind === 'operator' ? (node.operator.states ?? []) : [],
    node.kind === 'source' ? (node.idleAfterMs ?? 0) : 0,
    edges.map(({ from, side, input, partitioning, mayRetract }) => [
      from,
      side ?? '',
      input,
      partitioning.kind,
      mayRetract === true,
      'select' in partitioning ? String(partitioning.select) : '',
      'subtask' in partitioning ? String(partitioning.subtask) : '',
    ]),
  ]
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16)
}
