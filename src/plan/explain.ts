/** The plan as text, JSON or Mermaid. Pure. */
import type { ExecutionPlan, Exchange, Task } from './execution-plan.ts'
import { isByContent, mayRetractInto, taskName } from './execution-plan.ts'
import type { GraphEdge, GraphNode } from './job-graph.ts'
import { detailsOf, nameOf, typeOf } from './job-graph.ts'

/** How a plan is shown. */
export type ExplainFormat = 'text' | 'json' | 'mermaid'

export function explainPlan(plan: ExecutionPlan, format: ExplainFormat): string {
  switch (format) {
    case 'text':
      return explainText(plan)
    case 'json':
      return JSON.stringify(planData(plan), null, 2)
    case 'mermaid':
      return explainMermaid(plan)
  }
}

function explainText(plan: ExecutionPlan): string {
  const lines = [`job ${plan.graph.name}, ${plan.maxParallelism} key groups`]
  for (const task of plan.tasks) {
    lines.push(``, `task ${task.id}: ${taskName(task)}, parallelism ${task.parallelism}`)
    for (const node of task.nodes) {
      const takes = mayRetractInto(task, node) ? '  takes rows back' : ''
      lines.push(`  ${describe(node)}${takes}`)
    }
    for (const exchange of task.outputs) {
      const target = plan.tasks[exchange.toTask] as Task
      lines.push(`  => ${partitioningText(exchange)} to task ${target.id} (${taskName(target)})`)
    }
  }
  for (const note of notesOf(plan)) lines.push('', `note: ${note}`)
  return `${lines.join('\n')}\n`
}

function explainMermaid(plan: ExecutionPlan): string {
  const lines = ['flowchart LR']
  for (const task of plan.tasks) {
    lines.push(`  subgraph task${task.id}["task ${task.id} x${task.parallelism}"]`)
    for (const node of task.nodes) {
      lines.push(`    n${node.id}["${escapeMermaid(`${nameOf(node)}: ${typeOf(node)}`)}"]`)
    }
    for (const edge of task.calls) {
      lines.push(`    n${edge.from} -->${labelText(callLabel(edge))} n${edge.to}`)
    }
    lines.push('  end')
  }
  for (const exchange of plan.exchanges) {
    const { edge } = exchange
    const parts = [edge.side, divisionText(exchange), ...(edge.mayRetract === true ? ['+/-'] : [])]
    const label = parts.filter((part) => part !== undefined).join(', ')
    lines.push(`  n${edge.from} -->|${escapeMermaid(label)}| n${edge.to}`)
  }
  return `${lines.join('\n')}\n`
}

function planData(plan: ExecutionPlan): unknown {
  return {
    job: plan.graph.name,
    maxParallelism: plan.maxParallelism,
    tasks: plan.tasks.map((task) => ({
      id: task.id,
      name: taskName(task),
      parallelism: task.parallelism,
      region: task.region,
      operators: task.nodes.map((node) => ({
        uid: node.uid,
        name: nameOf(node),
        kind: node.kind,
        type: typeOf(node),
        details: detailsOf(node),
        states: statesOf(node).map(({ name, kind }) => ({ name, kind })),
        takesRetractions: mayRetractInto(task, node),
      })),
    })),
    exchanges: plan.exchanges.map((exchange) => ({
      id: exchange.id,
      fromTask: exchange.fromTask,
      toTask: exchange.toTask,
      input: exchange.edge.input,
      side: exchange.edge.side,
      partitioning: divisionText(exchange),
      mayRetract: exchange.edge.mayRetract === true,
    })),
    notes: notesOf(plan),
  }
}

function describe(node: GraphNode): string {
  const details = Object.entries(detailsOf(node)).map(([name, value]) => `${name}=${value}`)
  const states = statesOf(node).map(({ name, kind }) => `${kind} ${name}`)
  const uid = node.uid === undefined ? '' : ` '${node.uid}'`
  const title = node.kind === 'operator' ? typeOf(node) : `${node.kind} ${typeOf(node)}`
  return [
    `${title}${uid}`,
    ...(details.length === 0 ? [] : [details.join(' ')]),
    ...(states.length === 0 ? [] : [`state: ${states.join(', ')}`]),
  ].join('  ')
}

function statesOf(node: GraphNode): { readonly name: string; readonly kind: string }[] {
  if (node.kind !== 'operator') return []
  return (node.operator.states ?? []).filter(({ name }) => !name.startsWith('#'))
}

/** What a reader of the plan should know. */
function notesOf(plan: ExecutionPlan): string[] {
  const notes: string[] = []
  for (const node of plan.graph.nodes) {
    const { clock, fires, grows, rows } = detailsOf(node)
    if (clock === 'processing') {
      notes.push(
        `'${nameOf(node)}' works in processing time: a replay after a failure may divide records differently`,
      )
    }
    if (fires !== undefined) {
      notes.push(
        `'${nameOf(node)}' fires ${fires}: after a failure its early and late panes may divide records differently`,
      )
    }
    if (rows === 'kept') {
      notes.push(
        `'${nameOf(node)}' keeps the rows of each key, since rows may be taken back and its aggregate cannot subtract them`,
      )
    }
    if (rows === 'joined') {
      notes.push(`'${nameOf(node)}' keeps every row of both sides until it is taken back`)
    }
    if (rows === 'counted') notes.push(`'${nameOf(node)}' keeps state for every key that has rows`)
    if (grows === true) {
      notes.push(`'${nameOf(node)}' keeps state for every key it has ever seen`)
    }
  }
  return notes
}

function partitioningText(exchange: Exchange): string {
  const { side, mayRetract } = exchange.edge
  const from = side === undefined ? '' : `side '${side}', `
  return `${from}${divisionText(exchange)}${mayRetract === true ? ', rows may be taken back,' : ''}`
}

function divisionText(exchange: Exchange): string {
  return isByContent(exchange) ? 'by content' : exchange.partitioning.kind
}

function callLabel({ side, mayRetract }: GraphEdge): string {
  return [side, mayRetract === true ? '+/-' : undefined]
    .filter((part) => part !== undefined)
    .join(', ')
}

function labelText(label: string): string {
  return label === '' ? '' : `|${escapeMermaid(label)}|`
}

function escapeMermaid(text: string): string {
  return text.replaceAll('"', '#quot;').replaceAll('|', '#124;')
}
