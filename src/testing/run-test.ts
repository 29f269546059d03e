/**
 * Runs a job with scripted sources: the engine's own coordinator, slot and operators in the calling thread, under a clock that the
 * script moves.
 *
 * Invariants
 *  - A step is played only when the job can do nothing more about the steps before it.
 *  - Moving the clock stops at every time at which something is due, and lets the job do all of it before it goes on.
 *  - A crash comes right behind a checkpoint, when nothing is under way: what the job does afterwards is what it would have done.
 */
import { CHANNEL_BOUNDS_DEFAULT } from '../channel/channel.ts'
import { nullCheckpointStore } from '../checkpoint/null-store.ts'
import { EngineError, assert } from '../core/errors.ts'
import { MAX_PARALLELISM_DEFAULT } from '../core/key-group.ts'
import { silentLogger } from '../core/log.ts'
import type { FigureTotals } from '../job/job-figures.ts'
import { JobCoordinator } from '../job/job-coordinator.ts'
import { isOver } from '../job/job-status.ts'
import { slotParts } from '../job/slot-setup.ts'
import { planExecution } from '../plan/execution-plan.ts'
import type { JobDefinition } from '../plan/job-definition.ts'
import { crashPoints } from './crash-points.ts'
import { ManualTime } from './manual-time.ts'
import { MemoryCheckpoints } from './memory-checkpoints.ts'
import { ObservedJob } from './observed-job.ts'
import type { PlacedStep, StateLeft, TestPane } from './observed-job.ts'
import { SteppedSlot } from './stepped-slot.ts'

/** Turns of the host in which nothing happens before the job counts as having done all it can. */
const QUIET_TURNS = 10

/** How a job is tried. */
export interface TestOptions {
  /** Default: that of the job, else 1. */
  readonly parallelism?: number
  readonly params?: unknown
  /**
   * How often the job is killed right behind a checkpoint and started again from it. What comes of it must be the same as
   * without; only the order of what happens at one moment may be another. If it is not, something of the job is kept outside of its
   * state. Default 0.
   */
  readonly crashes?: number
  /** Chooses where, between two steps or two records of the script. Default 1. */
  readonly seed?: number
}

/** What a job did under its script. */
export interface TestResult {
  /** Results of window aggregates in the order they came, and at which processing time. */
  readonly panes: readonly TestPane[]
  /** Keyed state that was there when the job was over; empty when every window was freed. */
  readonly stateLeft: readonly StateLeft[]
  readonly recordsRead: number
  readonly recordsWritten: number
  /** Records that came after their windows were over, or are in no window. */
  readonly lateRecords: number
  /** How far event time had come at each operator with a uid when the job was over, the slowest of its subtasks. */
  readonly watermarks: readonly TestWatermarks[]
  /** How often it was killed: less than was asked for where the script has fewer places, or the job ends by itself. */
  readonly crashes: number
}

/** The watermark that an operator has been told, and the one it has told those behind it. Infinity: at the end of its input. */
export interface TestWatermarks {
  readonly operatorUid: string
  readonly inputMs: number
  readonly outputMs: number
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

/** The job from a start to its end or to a crash. */
interface Life {
  readonly coordinator: JobCoordinator
  readonly outcome: Settled<FigureTotals>
}

class TestRun {
  readonly #job: JobDefinition
  readonly #options: TestOptions
  readonly #time = new ManualTime()
  readonly #observed = new ObservedJob(() => this.#time.nowMs)
  /** Undefined where the job is never killed. */
  readonly #checkpoints: MemoryCheckpoints | undefined
  /** Of the lives that are over. */
  readonly #totals = { recordsRead: 0, recordsWritten: 0, lateRecords: 0 }
  #crashes = 0
  #slot: SteppedSlot | undefined

  constructor(job: JobDefinition, options: TestOptions) {
    const { crashes = 0, seed = 1 } = options
    if (!Number.isInteger(crashes) || crashes < 0 || !Number.isFinite(seed)) {
      throw new EngineError(
        'OPTION_INVALID',
        `runTest takes a whole number of crashes and a number as seed, but was given ${crashes} and ${seed}`,
      )
    }
    this.#job = job
    this.#options = options
    this.#checkpoints = crashes > 0 ? new MemoryCheckpoints() : undefined
  }

  async result(): Promise<TestResult> {
    let life = await this.#bringUp()
    try {
      life = await this.#play(life)
    } finally {
      if (life.outcome.value === undefined) await this.#cancel(life)
    }
    const { value } = life.outcome
    assert(value !== undefined, 'A job whose script is over comes to its end')
    if (value.kind === 'failed') throw value.error
    this.#addTotals(value.result)
    return {
      panes: this.#observed.panes,
      stateLeft: this.#observed.stateLeft(),
      ...this.#totals,
      watermarks: watermarksOf(life.coordinator),
      crashes: this.#crashes,
    }
  }

  /** All steps, and then as much time as the job needs to end. Answers the job's last life. */
  async #play(first: Life): Promise<Life> {
    let life = first
    await this.#untilQuiet()
    const steps = this.#observed.steps.sort((a, b) => a.place - b.place)
    const points = crashPoints(steps.map(pieceCount), {
      count: this.#options.crashes ?? 0,
      seed: this.#options.seed ?? 1,
    })
    for (const [index, { player, step }] of steps.entries()) {
      let done = 0
      for (let at = points[0]; at?.step === index; at = points[0]) {
        points.shift()
        if (step.kind === 'emit' && at.record > done) {
          player.play({ kind: 'emit', records: step.records.slice(done, at.record) })
          done = at.record
          await this.#untilQuiet()
        }
        life = await this.#crash(life)
      }
      if (isOver(life.coordinator.status)) return life
      if (step.kind === 'advance') await this.#advanceTo(step.processingTimeMs)
      else if (step.kind === 'emit') player.play({ ...step, records: step.records.slice(done) })
      else player.play(step)
      await this.#untilQuiet()
    }
    const { coordinator } = life
    if (this.#observed.hasOpenScript && !isOver(coordinator.status)) {
      void coordinator.stop({ drain: false, savepoint: undefined })
    }
    await this.#untilQuiet()
    while (!isOver(coordinator.status) && this.#nextDueMs() !== Infinity) {
      await this.#advanceTo(Math.max(this.#time.nowMs, this.#nextDueMs()))
    }
    return life
  }

  /** Takes a checkpoint, kills the job, and starts it again. A job that does not run any more is left alone. */
  async #crash(life: Life): Promise<Life> {
    if (life.coordinator.status !== 'running') return life
    const taken = settled(life.coordinator.checkpoint())
    await this.#untilQuiet()
    if (taken.value?.kind === 'failed') throw taken.value.error
    assert(
      taken.value !== undefined,
      'A checkpoint of a job that has nothing to do is taken at once',
    )
    await this.#cancel(life)
    this.#addTotals(life.coordinator.figures.totals())
    this.#observed.forgetState()
    this.#crashes += 1
    const next = await this.#bringUp()
    await this.#untilQuiet()
    return next
  }

  async #cancel({ coordinator }: Life): Promise<void> {
    void coordinator.cancel()
    await this.#untilQuiet()
  }

  #addTotals({
    recordsRead,
    recordsWritten,
    lateRecords,
  }: Omit<FigureTotals, 'checkpoints'>): void {
    this.#totals.recordsRead += recordsRead
    this.#totals.recordsWritten += recordsWritten
    this.#totals.lateRecords += lateRecords
  }

  async #bringUp(): Promise<Life> {
    const { defaults } = this.#job
    const graph = this.#observed.observed(this.#job.build(this.#options.params))
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
    const checkpoints = this.#checkpoints
    const isCheckpointed = checkpoints !== undefined
    const coordinator = new JobCoordinator({
      plan,
      slotCount: 1,
      openSlot: (_slotIndex, events) => {
        this.#slot = new SteppedSlot(
          {
            plan,
            ...parts,
            storage: checkpoints?.storage ?? parts.storage,
            backend: this.#observed.inspected(parts.backend),
            exactlyOnce: true,
            isCheckpointed,
            bounds,
            clock,
            logger: silentLogger,
          },
          events,
        )
        return this.#slot
      },
      store: checkpoints?.store ?? nullCheckpointStore(),
      isCheckpointed,
      settings: undefined,
      closeTimeoutMs: Infinity,
      restart: { kind: 'none' },
      from: { kind: isCheckpointed ? 'latest' : 'none' },
      allowNonRestoredState: false,
      bounds,
      clock,
      scheduler,
      logger: silentLogger,
      newLineage: () => 'test',
      runId: `test${this.#crashes}`,
    })
    await coordinator.start()
    return { coordinator, outcome: settled(coordinator.finished) }
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
}

function watermarksOf({ figures }: JobCoordinator): TestWatermarks[] {
  const lowest = new Map<string, TestWatermarks>()
  for (const { operator, inputMs, outputMs } of figures
    .subtasks()
    .flatMap(({ watermarks }) => watermarks)) {
    const other = lowest.get(operator)
    lowest.set(operator, {
      operatorUid: operator,
      inputMs: Math.min(inputMs, other?.inputMs ?? Infinity),
      outputMs: Math.min(outputMs, other?.outputMs ?? Infinity),
    })
  }
  return [...lowest.values()]
}

/** Into how many pieces a step may be cut: between records, where it makes no difference how many are read at once. */
function pieceCount({ step, isScripted }: PlacedStep): number {
  return step.kind === 'emit' && isScripted ? step.records.length : 1
}

/** A promise that can be asked whether it has settled. */
interface Settled<T> {
  readonly value:
    | { readonly kind: 'ended'; readonly result: T }
    | { readonly kind: 'failed'; readonly error: unknown }
    | undefined
}

function settled<T>(promise: Promise<T>): Settled<T> {
  const outcome: { value: Settled<T>['value'] } = { value: undefined }
  promise.then(
    (result) => {
      outcome.value = { kind: 'ended', result }
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
