/** Finds every mistake of a graph at once, each with the operator's name and what to do. Pure. */
import { DEAD_LETTERS } from '../core/dead-letter.ts'
import { EngineError } from '../core/errors.ts'
import type { ErrorCode } from '../core/error-codes.ts'
import { checkScale } from '../core/key-group.ts'
import type { GraphEdge, GraphNode, JobGraph } from './job-graph.ts'
import { inputCountOf, nameOf, typeOf } from './job-graph.ts'

/** What a graph is run with. */
export interface GraphScale {
  readonly parallelism: number
  readonly maxParallelism: number
  /** Whether operators may be cut in two around their exchange (pre-aggregation.ts). Default true. */
  readonly preAggregate?: boolean
}

interface Mistake {
  readonly code: ErrorCode
  readonly text: string
  readonly uid: string | undefined
}

const uidPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/

/** Throws the mistake of a graph, or `JOB_INVALID` listing all where there are several. */
export function validateGraph(graph: JobGraph, scale: GraphScale): void {
  const mistakes = [
    ...scaleMistakes(graph, scale),
    ...nodeMistakes(graph),
    ...uidMistakes(graph),
    ...edgeMistakes(graph, scale),
    ...letterMistakes(graph),
    ...retractionMistakes(graph),
    ...cycleMistakes(graph),
  ]
  const [first] = mistakes
  if (first === undefined) return
  if (mistakes.length === 1) {
    throw new EngineError(first.code, `Job '${graph.name}': ${first.text}`, {
      job: graph.name,
      ...(first.uid === undefined ? {} : { operatorUid: first.uid }),
    })
  }
  const list = mistakes.map(({ code, text }) => `\n  ${code}: ${text}`).join('')
  throw new EngineError(
    'JOB_INVALID',
    `Job '${graph.name}' has ${mistakes.length} mistakes:${list}`,
    {
      job: graph.name,
    },
  )
}

/** The parallelism a node runs with. */
export function parallelismOf(node: GraphNode, scale: GraphScale): number {
  return node.parallelism ?? scale.parallelism
}

function scaleMistakes(graph: JobGraph, scale: GraphScale): Mistake[] {
  const mistakes: Mistake[] = []
  for (const node of graph.nodes) {
    const parallelism = parallelismOf(node, scale)
    try {
      checkScale({ parallelism, maxParallelism: scale.maxParallelism }, title(node))
    } catch (error) {
      // collected with the others instead of ending the check here
      if (!(error instanceof EngineError)) throw error
      if (mistakes.some(({ text }) => text === error.message)) continue
      mistakes.push({ code: error.code, text: error.message, uid: node.uid })
    }
  }
  return mistakes
}

function nodeMistakes(graph: JobGraph): Mistake[] {
  const mistakes: Mistake[] = []
  if (!graph.nodes.some((node) => node.kind === 'source')) {
    mistakes.push({
      code: 'GRAPH_NO_SOURCE',
      text: 'it reads from nowhere; begin with env.from(uid, source)',
      uid: undefined,
    })
  } else if (!graph.nodes.some((node) => node.kind === 'sink')) {
    mistakes.push({
      code: 'GRAPH_NO_SINK',
      text: 'it writes nowhere, so nothing would run; end a stream with .to(uid, sink)',
      uid: undefined,
    })
  }
  for (const node of graph.nodes) {
    const inputs = inputCountOf(node)
    for (let input = 0; input < inputs; input++) {
      if (graph.edges.some((edge) => edge.to === node.id && edge.input === input)) continue
      mistakes.push({
        code: 'JOB_INVALID',
        text: `${title(node)}: nothing leads to its input ${input}`,
        uid: node.uid,
      })
    }
  }
  return mistakes
}

function uidMistakes(graph: JobGraph): Mistake[] {
  const mistakes: Mistake[] = []
  const seen = new Map<string, GraphNode>()
  for (const node of graph.nodes) {
    if (node.uid === undefined) {
      if (!needsUid(node)) continue
      mistakes.push({
        code: 'UID_MISSING',
        text: `a ${typeOf(node)} operator has no uid; give it one as its first argument, so that its state is found again after a redeploy`,
        uid: undefined,
      })
      continue
    }
    if (typeof node.uid !== 'string' || !uidPattern.test(node.uid)) {
      mistakes.push({
        code: 'UID_INVALID',
        text: `'${String(node.uid)}' is no uid; use up to 100 letters, digits, '.', '_' and '-', beginning with a letter or digit`,
        uid: undefined,
      })
    }
    const other = seen.get(node.uid)
    if (other !== undefined) {
      mistakes.push({
        code: 'UID_TWICE',
        text: `two operators have the uid '${node.uid}' (a ${typeOf(other)} and a ${typeOf(node)}); give each its own, since state is found under it`,
        uid: node.uid,
      })
    }
    seen.set(node.uid, node)
  }
  return mistakes
}

function edgeMistakes(graph: JobGraph, scale: GraphScale): Mistake[] {
  const mistakes: Mistake[] = []
  for (const { from, to, partitioning } of graph.edges) {
    const source = graph.nodes[from] as GraphNode
    const target = graph.nodes[to] as GraphNode
    const fromParallelism = parallelismOf(source, scale)
    const toParallelism = parallelismOf(target, scale)
    if (partitioning.kind === 'forward' && fromParallelism !== toParallelism) {
      mistakes.push({
        code: 'FORWARD_PARALLELISM',
        text: `forward() from ${title(source)} (parallelism ${fromParallelism}) to ${title(target)} (parallelism ${toParallelism}); give both one parallelism, or use rebalance()`,
        uid: target.uid,
      })
    }
  }
  return mistakes
}

function letterMistakes(graph: JobGraph): Mistake[] {
  return graph.nodes
    .filter((node) => node.kind === 'source' && node.source.sendsDeadLetters === true)
    .filter(({ id }) => !graph.edges.some(({ from, side }) => from === id && side === DEAD_LETTERS))
    .map((node) => ({
      code: 'DEAD_LETTERS_UNREAD',
      text: `${title(node)} sends dead letters and nobody reads them; end env.deadLetters with .to(uid, sink), behind the last source of the job`,
      uid: node.uid,
    }))
}

/** Rows that may be taken back must come to whoever can take them back. */
function retractionMistakes(graph: JobGraph): Mistake[] {
  const mistakes: Mistake[] = []
  for (const node of graph.nodes) {
    const edge = graph.edges.find(({ to, mayRetract }) => to === node.id && mayRetract === true)
    if (edge === undefined || takesRetractions(node)) continue
    const before = nameOf(graph.nodes[edge.from] as GraphNode)
    mistakes.push({
      code: 'RETRACTIONS_REFUSED',
      uid: node.uid,
      text:
        node.kind === 'sink'
          ? `${title(node)}: the ${typeOf(node)} sink only appends, but rows of '${before}' may be taken back; write to a sink that takes them back (mapSink, kafkaTableSink), or write the changes themselves: .changes().to(...)`
          : `${title(node)}: a ${typeOf(node)} only takes rows that stay, but those of '${before}' may be taken back; give it the changes as records: .changes()`,
    })
  }
  return mistakes
}

function takesRetractions(node: GraphNode): boolean {
  if (node.kind === 'source') return false
  return (node.kind === 'sink' ? node.sink : node.operator).takesRetractions === true
}

function cycleMistakes(graph: JobGraph): Mistake[] {
  const cycle = findCycle(graph)
  if (cycle === undefined) return []
  const path = cycle.map((id) => nameOf(graph.nodes[id] as GraphNode)).join(' -> ')
  return [
    {
      code: 'GRAPH_CYCLE',
      text: `the operators ${path} feed each other in a circle; records would never leave it`,
      uid: undefined,
    },
  ]
}

/** The nodes of some cycle, the first one again at the end. */
function findCycle(graph: JobGraph): number[] | undefined {
  const nextOf = new Map<number, GraphEdge[]>()
  for (const edge of graph.edges) nextOf.set(edge.from, [...(nextOf.get(edge.from) ?? []), edge])
  const isDone = new Set<number>()
  for (const { id } of graph.nodes) {
    const cycle = visit(id, [], nextOf, isDone)
    if (cycle !== undefined) return cycle
  }
  return undefined
}

function visit(
  id: number,
  path: readonly number[],
  nextOf: ReadonlyMap<number, readonly GraphEdge[]>,
  isDone: Set<number>,
): number[] | undefined {
  const at = path.indexOf(id)
  if (at >= 0) return [...path.slice(at), id]
  if (isDone.has(id)) return undefined
  for (const edge of nextOf.get(id) ?? []) {
    const cycle = visit(edge.to, [...path, id], nextOf, isDone)
    if (cycle !== undefined) return cycle
  }
  isDone.add(id)
  return undefined
}

/** Whether something of the node must be found again after a redeploy. */
function needsUid(node: GraphNode): boolean {
  return (
    node.kind !== 'operator' || node.operator.isKeyed || (node.operator.states ?? []).length > 0
  )
}

function title(node: GraphNode): string {
  return node.uid === undefined ? `a ${typeOf(node)} operator` : `operator '${node.uid}'`
}
