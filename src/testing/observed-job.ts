/**
 * The job as a test runs it: test sources are replaced by the players of their scripts, window operators are listened to, and stores
 * are counted through when they close. Nothing else is changed. It outlives the job's crashes: players go on where they were.
 */
import type { OperatorDescription } from '../contract/operator.ts'
import type { SnapshotWriter } from '../contract/snapshot-storage.ts'
import type { KeyedStore, StateBackend } from '../contract/state-backend.ts'
import type { PaneOf, Window } from '../contract/window.ts'
import type { ChangeKind } from '../core/change.ts'
import { EngineError, InvariantError } from '../core/errors.ts'
import type { GraphNode, JobGraph, SourceNode } from '../plan/job-graph.ts'
import { uidOf } from '../plan/job-graph.ts'
import type { ScriptedStep } from './test-source.ts'
import { ScriptPlayer, ScriptSource } from './test-source.ts'

/** A result of a window aggregate. */
export interface TestPane {
  readonly operatorUid: string
  readonly processingTimeMs: number
  /** `'retract'`: the operator takes back a result that it sent before. */
  readonly kind: ChangeKind
  /** The event time that the result carries. */
  readonly timestampMs: number
  readonly result: PaneOf<unknown, Window> & { readonly value: unknown }
}

/** Cells of one state, over all keys: a key's value, a page of a list or map, a key in a piece of a window's time. */
export interface StateLeft {
  readonly operatorUid: string
  readonly state: string
  readonly entryCount: number
}

/** A step of a script, and who plays it. */
export interface PlacedStep extends ScriptedStep {
  readonly player: ScriptPlayer
  /** Whether watermarks come from the script alone, so that it makes no difference how many records are read at once. */
  readonly isScripted: boolean
}

export class ObservedJob {
  readonly panes: TestPane[] = []
  readonly steps: PlacedStep[] = []
  /** Whether some source's script has no end. */
  hasOpenScript = false
  readonly #processingTimeMs: () => number
  readonly #players = new Map<string, ScriptPlayer>()
  readonly #stateLeft = new Map<string, StateLeft>()

  constructor(processingTimeMs: () => number) {
    this.#processingTimeMs = processingTimeMs
  }

  /** The job's graph with what observes it; the first time also its scripts. */
  observed(graph: JobGraph): JobGraph {
    const nodes = graph.nodes.map((node): GraphNode => {
      if (node.kind === 'source') return this.#scripted(node)
      if (node.kind === 'operator' && node.operator.type === 'window') {
        return { ...node, operator: this.#listenedTo(uidOf(node), node.operator) }
      }
      return node
    })
    return { ...graph, nodes }
  }

  /** Keyed state that was there when the job's stores were closed. */
  stateLeft(): StateLeft[] {
    return [...this.#stateLeft.values()]
  }

  /** The job was killed: what its stores held then is no result. */
  forgetState(): void {
    this.#stateLeft.clear()
  }

  /** A backend whose stores are counted through before they are closed. */
  inspected(backend: StateBackend): StateBackend {
    return {
      name: backend.name,
      open: async (options) => {
        const store = await backend.open(options)
        const close = store.close.bind(store)
        store.close = async () => {
          await this.#count(options.operatorUid, store)
          await close()
        }
        return store
      },
    }
  }

  #scripted(node: SourceNode): GraphNode {
    const { source } = node
    if (!(source instanceof ScriptSource)) return node
    const uid = uidOf(node)
    const isScripted = node.watermarks === source.watermarks
    let player = this.#players.get(uid)
    if (player === undefined) {
      player = new ScriptPlayer()
      this.#players.set(uid, player)
      for (const scripted of source.steps) {
        if (scripted.step.kind === 'watermark' && !isScripted) throw twoStrategies(uid)
        this.steps.push({ ...scripted, player, isScripted })
      }
      if (source.steps.at(-1)?.step.kind !== 'end') this.hasOpenScript = true
    }
    const watermarks = isScripted ? player.watermarks : node.watermarks
    return { ...node, source: player.source, watermarks }
  }

  #listenedTo(operatorUid: string, operator: OperatorDescription): OperatorDescription {
    // the results of a function of all rows are the user's own, and have no window to tell
    if (operator.emits !== 'engine') return operator
    const { preAggregation } = operator
    return {
      ...operator,
      ...(preAggregation === undefined
        ? {}
        : {
            preAggregation: {
              ...preAggregation,
              behind: this.#listenedTo(operatorUid, preAggregation.behind),
            },
          }),
      open: (context) => {
        const { time, output: behind } = context
        const output = {
          emit: (value: unknown) => {
            this.panes.push({
              operatorUid,
              processingTimeMs: this.#processingTimeMs(),
              kind: time.isRetraction ? 'retract' : 'insert',
              timestampMs: time.timestampMs,
              result: value as TestPane['result'],
            })
            behind.emit(value)
          },
        }
        return operator.open(
          Object.create(context, { output: { value: output } }) as typeof context,
        )
      },
    }
  }

  async #count(operatorUid: string, store: KeyedStore): Promise<void> {
    const writer: SnapshotWriter = {
      isFull: false,
      page: ({ state, keys }) => {
        if (state.startsWith('#') || keys.length === 0) return
        const id = `${operatorUid}/${state}`
        const entryCount = (this.#stateLeft.get(id)?.entryCount ?? 0) + keys.length
        this.#stateLeft.set(id, { operatorUid, state, entryCount })
      },
      file() {
        throw new InvariantError('A savepoint is written in pages')
      },
      close: async (format) => ({ format, keyGroups: { start: 0, end: 0 }, files: [] }),
      abort: async () => {},
    }
    const snapshot = store.snapshot({ checkpointId: Infinity, kind: 'savepoint', writer })
    while (snapshot.step(1024) === 'more');
    await snapshot.finished
  }
}

function twoStrategies(operatorUid: string): EngineError {
  return new EngineError(
    'OPTION_INVALID',
    `The script of source '${operatorUid}' sets watermarks, but the job gives the source a watermark strategy; leave out one of the two`,
    { operatorUid },
  )
}
