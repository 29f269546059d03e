/**
 * Runs a job with scripted sources: the engine's own coordinator, slot and operators in the calling thread, under a clock that the
 * script moves.
 *
 * Invariants
 *  - A step is played only when the job can do nothing more about the steps before it.
 *  - Moving the clock stops at every time at which something is due, and lets the job do all of it before it goes on.
 *  - The job is the one that was given: only test sources are replaced by the players of their scripts, and window operators
 *    are listened to.
 */
import { CHANNEL_BOUNDS_DEFAULT } from '../channel/channel.ts'
import { nullCheckpointStore } from '../checkpoint/null-store.ts'
import type { OperatorDescription } from '../contract/operator.ts'
import type { SnapshotWriter } from '../contract/snapshot-storage.ts'
import type { KeyedStore, StateBackend } from '../contract/state-backend.ts'
import type { PaneOf, Window } from '../contract/window.ts'
import type { ChangeKind } from '../core/change.ts'
import { EngineError, InvariantError, assert } from '../core/errors.ts'
import { MAX_PARALLELISM_DEFAULT } from '../core/key-group.ts'
import { silentLogger } from '../core/log.ts'
import { JobCoordinator } from '../job/job-coordinator.ts'
import type { JobTotals } from '../job/job-coordinator.ts'
import { isOver } from '../job/job-status.ts'
import { slotParts } from '../job/slot-setup.ts'
import { planExecution } from '../plan/execution-plan.ts'
import type { JobDefinition } from '../plan/job-definition.ts'
import type { GraphNode, JobGraph } from '../plan/job-graph.ts'
import { uidOf } from '../plan/job-graph.ts'
import { ManualTime } from './manual-time.ts'
import { SteppedSlot } from './stepped-slot.ts'
import type { ScriptedStep, TestStep } from './test-source.ts'
import { ScriptPlayer, ScriptSource } from './test-source.ts'

/** Turns of the host in which nothing happens before the job counts as having done all it can. */
const QUIET_TURNS = 10

export interface TestOptions {
  /** Default: that of the job, else 1. */
  readonly parallelism?: number
  readonly params?: unknown
}

/** What a job did under its script. */
export interface TestResult {
  /** Results of window aggregates in the order they came, and at which processing time. */
  readonly panes: readonly TestPane[]
  /** Keyed state that was there when the job was over; empty when every window was freed. */
  readonly stateLeft: readonly StateLeft[]
  readonly recordsRead: number
  readonly recordsWritten: number
  /** Records that came after their windows were over. */
  readonly lateRecords: number
}

export interface TestPane {
  readonly operatorUid: string
  readonly processingTimeMs: number
  /** `'retract'`: a former pane is taken back. */
  readonly kind: ChangeKind
  readonly result: PaneOf<unknown, Window> & { readonly value: unknown }
}

/** Cells of one state, over all keys: a key's value, a page of a list or map, a key in a piece of a window's time. */
export interface StateLeft {
  readonly operatorUid: string
  readonly state: string
  readonly entryCount: number
}

/**
 * Plays the scripts of the job's test sources and answers what came of it. A source whose script has no `end` stays open: when all
 * steps are played the job is stopped as it is, and windows that have not ended do not fire. Other sources of the job must
 * be in memory (`fromArray`, `generate`), since nothing waits for the outside world. Rejects with the error that ended the job.
 *
 * @example
 * const views = testSource<View>().emit({ value: view, timestampMs: 1000 }).end()
 * const { panes } = await runTest(job('views', (env) => {
 *   env.from('views', views).keyBy((view) => view.page).window(tumbling({ size: '1min' })).count('n').to('out', arraySink(rows))
 * }))
 */
export async function runTest(job: JobDefinition, options: TestOptions = {}): Promise<TestResult> {
  const run = new TestRun(job, options)
  return run.result()
}

interface PlacedStep extends ScriptedStep {
  readonly player: ScriptPlayer
}

class TestRun {
  readonly #job: JobDefinition
  readonly #options: TestOptions
  readonly #time = new ManualTime()
  readonly #panes: TestPane[] = []
  readonly #stateLeft = new Map<string, StateLeft>()
  readonly #steps: PlacedStep[] = []
  #hasOpenScript = false
  #slot: SteppedSlot | undefined

  constructor(job: JobDefinition, options: TestOptions) {
    this.#job = job
    this.#options = options
  }

  async result(): Promise<TestResult> {
    const coordinator = await this.#bringUp()
    const outcome = settled(coordinator.finished)
    try {
      await this.#play(coordinator)
    } finally {
      if (outcome.value === undefined) {
        void coordinator.cancel()
        await this.#untilQuiet()
      }
    }
    assert(outcome.value !== undefined, 'A job whose script is over comes to its end')
    if (outcome.value.kind === 'failed') throw outcome.value.error
    const { recordsRead, recordsWritten, lateRecords } = outcome.value.totals
    return {
      panes: this.#panes,
      stateLeft: [...this.#stateLeft.values()],
      recordsRead,
      recordsWritten,
      lateRecords,
    }
  }

  /** All steps, and then as much time as the job needs to end. */
  async #play(coordinator: JobCoordinator): Promise<void> {
    await this.#untilQuiet()
    for (const { player, step } of this.#steps.sort((a, b) => a.place - b.place)) {
      if (isOver(coordinator.status)) return
      if (step.kind === 'advance') await this.#advanceTo(step.processingTimeMs)
      else player.play(step)
      await this.#untilQuiet()
    }
    if (this.#hasOpenScript && !isOver(coordinator.status)) {
      void coordinator.stop({ drain: false, savepoint: undefined })
    }
    await this.#untilQuiet()
    while (!isOver(coordinator.status) && this.#nextDueMs() !== Infinity) {
      await this.#advanceTo(Math.max(this.#time.nowMs, this.#nextDueMs()))
    }
  }

  async #bringUp(): Promise<JobCoordinator> {
    const { defaults } = this.#job
    const graph = this.#scripted(this.#job.build(this.#options.params))
    const plan = planExecution(graph, {
      parallelism: this.#options.parallelism ?? defaults.parallelism ?? 1,
      maxParallelism: defaults.maxParallelism ?? MAX_PARALLELISM_DEFAULT,
      preAggregate: defaults.preAggregate ?? true,
    })
    const bounds = CHANNEL_BOUNDS_DEFAULT
    const parts = await slotParts(
      {
        state: 'memory',
        leveldb: {},
        checkpoints: undefined,
        scratch: '',
        exactlyOnce: true,
        bounds,
      },
      0,
    )
    const { clock, scheduler } = this.#time
    const coordinator = new JobCoordinator({
      plan,
      slotCount: 1,
      openSlot: (_slotIndex, events) => {
        this.#slot = new SteppedSlot(
          {
            plan,
            ...parts,
            backend: this.#inspected(parts.backend),
            exactlyOnce: true,
            isCheckpointed: false,
            bounds,
            clock,
            logger: silentLogger,
          },
          events,
        )
        return this.#slot
      },
      store: nullCheckpointStore(),
      isCheckpointed: false,
      settings: undefined,
      closeTimeoutMs: Infinity,
      restart: { kind: 'none' },
      from: { kind: 'none' },
      allowNonRestoredState: false,
      bounds,
      clock,
      scheduler,
      logger: silentLogger,
      newLineage: () => 'test',
      runId: 'test',
    })
    await coordinator.start()
    return coordinator
  }

  // ---- time

  /** Lets the job do all it can at the present time. */
  async #untilQuiet(): Promise<void> {
    for (let quiet = 0; quiet < QUIET_TURNS; quiet++) {
      await hostTurn()
      const isBusy = this.#slot?.step() === true
      if (this.#time.runDue() || isBusy) quiet = -1
    }
  }

  async #advanceTo(processingTimeMs: number): Promise<void> {
    const time = this.#time
    if (processingTimeMs < time.nowMs) {
      throw new EngineError(
        'OPTION_INVALID',
        `advanceTo(${processingTimeMs}) would set the clock back; it stands at ${time.nowMs}`,
      )
    }
    for (;;) {
      const dueMs = this.#nextDueMs()
      if (dueMs > processingTimeMs) break
      time.nowMs = Math.max(time.nowMs, dueMs)
      await this.#untilQuiet()
      if (this.#nextDueMs() <= time.nowMs && dueMs <= time.nowMs) break
    }
    time.nowMs = processingTimeMs
    await this.#untilQuiet()
  }

  #nextDueMs(): number {
    return Math.min(this.#slot?.nextWakeMs() ?? Infinity, this.#time.nextTimerMs())
  }

  // ---- the job as it is run

  #scripted(graph: JobGraph): JobGraph {
    const nodes = graph.nodes.map((node): GraphNode => {
      if (node.kind === 'source' && node.source instanceof ScriptSource) {
        const player = new ScriptPlayer()
        const isScripted = node.watermarks === node.source.watermarks
        for (const { place, step } of node.source.steps) {
          if (!isScripted) this.#checkStep(step, uidOf(node))
          this.#steps.push({ place, step, player })
        }
        if (node.source.steps.at(-1)?.step.kind !== 'end') this.#hasOpenScript = true
        const watermarks = isScripted ? player.watermarks : node.watermarks
        return { ...node, source: player.source, watermarks }
      }
      if (node.kind === 'operator' && node.operator.type === 'window') {
        return { ...node, operator: this.#listenedTo(uidOf(node), node.operator) }
      }
      return node
    })
    return { ...graph, nodes }
  }

  #checkStep(step: TestStep, operatorUid: string): void {
    if (step.kind !== 'watermark') return
    throw new EngineError(
      'OPTION_INVALID',
      `The script of source '${operatorUid}' sets watermarks, but the job gives the source a watermark strategy; leave out one of the two`,
      { operatorUid },
    )
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
        const output = {
          emit: (value: unknown) => {
            const result = value as TestPane['result']
            const kind = context.time.isRetraction ? 'retract' : 'insert'
            this.#panes.push({ operatorUid, processingTimeMs: this.#time.nowMs, kind, result })
            context.output.emit(value)
          },
        }
        return operator.open(
          Object.create(context, { output: { value: output } }) as typeof context,
        )
      },
    }
  }

  /** A backend whose stores are counted through before they are closed. */
  #inspected(backend: StateBackend): StateBackend {
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

/** A promise that can be asked whether it has settled. */
function settled(promise: Promise<JobTotals>): {
  readonly value:
    | { readonly kind: 'ended'; readonly totals: JobTotals }
    | { readonly kind: 'failed'; readonly error: unknown }
    | undefined
} {
  const outcome: { value: ReturnType<typeof settled>['value'] } = { value: undefined }
  promise.then(
    (totals) => {
      outcome.value = { kind: 'ended', totals }
    },
    (error: unknown) => {
      outcome.value = { kind: 'failed', error }
    },
  )
  return outcome
}

function hostTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
