/** Collects what streams describe. Streams are descriptions: nothing runs while a job is built. */
import { DEAD_LETTERS } from '../core/dead-letter.ts'
import { EngineError } from '../core/errors.ts'
import type {
  ChainOption,
  GraphEdge,
  GraphNode,
  JobGraph,
  OperatorNode,
  Partitioning,
  SinkNode,
  SourceNode,
} from '../plan/job-graph.ts'

/** Where records come from: a node's main or side output, and how they are divided on the way. Several are a union. */
export interface Origin {
  readonly nodeId: number
  readonly side: string | undefined
  readonly partitioning: Partitioning
  /** Whether rows of it may be taken back. */
  readonly mayRetract: boolean
}

/** What a node is described with. */
export interface NodeOptions {
  readonly uid: string | undefined
  readonly name: string | undefined
  readonly parallelism: number | undefined
  readonly chain: ChainOption
}

type NodeBody =
  | Omit<SourceNode, 'id' | keyof NodeOptions>
  | Omit<OperatorNode, 'id' | keyof NodeOptions>
  | Omit<SinkNode, 'id' | keyof NodeOptions>

export class GraphBuilder {
  readonly name: string
  readonly #nodes: GraphNode[] = []
  readonly #edges: GraphEdge[] = []
  #isBuilt = false

  constructor(name: string) {
    this.name = name
  }

  /** Adds a node fed by `inputs`, one list of origins for each. */
  add(options: NodeOptions, body: NodeBody, inputs: readonly (readonly Origin[])[]): number {
    if (this.#isBuilt) {
      throw new EngineError(
        'JOB_INVALID',
        `Job '${this.name}': a stream was used after the job was built; describe all of it within the function given to job()`,
      )
    }
    const id = this.#nodes.length
    this.#nodes.push({ id, ...options, ...body } as GraphNode)
    inputs.forEach((origins, input) => {
      for (const { nodeId, side, partitioning, mayRetract } of origins) {
        this.#edges.push({ from: nodeId, side, to: id, input, partitioning, mayRetract })
      }
    })
    return id
  }

  /** Where the dead letters of the sources come from that have been added so far. */
  deadLetters(): Origin[] {
    return this.#nodes
      .filter((node) => node.kind === 'source' && node.source.sendsDeadLetters === true)
      .map(({ id }) => ({
        nodeId: id,
        side: DEAD_LETTERS,
        partitioning: { kind: 'auto' },
        mayRetract: false,
      }))
  }

  build(): JobGraph {
    this.#isBuilt = true
    return { name: this.name, nodes: this.#nodes, edges: this.#edges }
  }
}
