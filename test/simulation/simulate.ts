/**
 * One simulated run: a job brought up, fed, hit by faults, restored, ended; and what came out compared with the reference.
 *
 * The output goes to a store outside of the machine that takes whole epochs by name, each once: what a transactional sink writes to.
 * At every moment it must hold nothing twice and nothing wrong; in the end, everything. Or it goes to Kafka, through the engine's own
 * exactly-once sink, and what readers of committed records see must be so.
 */
import { Doorbell } from '../../src/channel/doorbell.ts'
import {
  CheckpointDirectory,
  loadSavepoint,
} from '../../src/checkpoint/storage/checkpoint-directory.ts'
import type { OwnerLock } from '../../src/checkpoint/storage/owner-lock.ts'
import { SnapshotDirectory } from '../../src/checkpoint/storage/snapshot-directory.ts'
import { EngineError, toEngineError } from '../../src/core/errors.ts'
import type { Fence } from '../../src/core/ids.ts'
import { silentLogger } from '../../src/core/log.ts'
import { JobCoordinator } from '../../src/job/job-coordinator.ts'
import type { RestoreFrom } from '../../src/job/recovery.ts'
import { planExecution } from '../../src/plan/execution-plan.ts'
import type { ExecutionPlan } from '../../src/plan/execution-plan.ts'
import type { StateBackend } from '../../src/contract/state-backend.ts'
import type { StoreBounds } from '../../state-backends/leveldb/level-store.ts'
import { levelBackend } from '../../state-backends/leveldb/level-backend.ts'
import { memory } from '../../state-backends/memory/index.ts'
import type { Sink } from 'millrace'
import type { Subtask } from '../../src/runtime/subtask.ts'
import type { FileSystem } from '../../src/checkpoint/storage/file-system.ts'
import { BoundsWatch, OpenResources } from './bounds-watch.ts'
import { FaultPlan, kafkaFaults } from './faults.ts'
import type { Fault, Phase, StruckFault } from './faults.ts'
import { KafkaOutput } from './kafka-output.ts'
import { OutputStore } from './output-store.ts'
import { SimulatedSlot } from './simulated-slot.ts'
import { simulatedTableDisk } from './simulated-tables.ts'
import { World } from './world.ts'
import type { Owner } from './world.ts'
import { makeJob, makeWorkload, reference, smallSize } from './workload.ts'
import type { OutputRow, Workload } from './workload.ts'

const ROOT = '/checkpoints'
const SAVEPOINTS = '/savepoints'
const MAX_PARALLELISM = 16
/** Checkpoints that every run has. */
const CHECKPOINTS_MIN = 3
const STEPS_MAX = 200_000
/** So long the source of a job with Kafka waits for all faults. */
const WAIT_STEPS_MAX = 15_000

export interface SimulationResult {
  readonly seed: number
  readonly records: number
  readonly checkpoints: number
  readonly faults: readonly StruckFault[]
  readonly steps: number
  /** Equal for two runs of one seed. */
  readonly traceHash: number
  /** What was wrong; undefined if all was right. */
  readonly failure: string | undefined
  /** It has asked the user what to do about output that is lost in part. */
  readonly isStopped: boolean
  readonly trace: readonly string[]
}

export interface SimulationOptions {
  /** Where the output goes. Default: a store that takes whole epochs. */
  readonly sink?: 'store' | 'kafka'
  readonly isTraced?: boolean
}

/** What became of a fault: it struck; it will, when its occasion comes; something has to happen first; it can't here. */
type Inflicted = 'struck' | 'armed' | 'later' | 'impossible'

interface Savepoint {
  readonly path: string
  readonly checkpointId: number
  readonly lineage: string
}

/** A process of the job: a coordinator, its slots, and its view of the world. */
interface SimulatedProcess {
  readonly owner: { isGone: boolean; isFrozen: boolean }
  readonly slots: SimulatedSlot[]
  readonly resources: OpenResources
  coordinator: JobCoordinator | undefined
  phase: Phase
  /** Some subtask's input has ended. */
  isEnding: boolean
  /** Subtasks that have not confirmed the last checkpoint. */
  unconfirmed: number
  subtaskCount: number
  /** Settles with what ended it. */
  ended: { readonly error: EngineError | undefined } | undefined
}

export async function simulate(
  seed: number,
  options: SimulationOptions = {},
): Promise<SimulationResult> {
  const simulation = new Simulation(seed, options)
  return simulation.run()
}

class Simulation {
  readonly #world: World
  readonly #workload: Workload
  readonly #faults: StruckFault[] = []
  readonly #plan: FaultPlan
  readonly #watch = new BoundsWatch()
  readonly #store: OutputStore
  readonly #kafka: KafkaOutput | undefined
  #process: SimulatedProcess
  /** Processes that were frozen while another took over. */
  readonly #zombies: SimulatedProcess[] = []
  /** Thrown by the next record that passes the source. */
  #userErrors = 0
  #commitErrors = 0
  #checkpoints = 0
  readonly #usesDisk: boolean
  readonly #hasPauses: boolean
  readonly #snapshotEntriesPerStep: number
  readonly #storeBounds: StoreBounds
  /** How many of the sinks' epochs can't be made durable: their checkpoints are given up. */
  readonly #declineRate: number
  readonly #exactlyOnce: boolean
  #fence = 0
  #lastReserved = 0
  #savepoint: Savepoint | undefined
  #isInSavepoint = false
  /** The checkpoint directory, and the savepoint that was restored into it. */
  #root = ROOT
  #origin: string | undefined
  /** Whether the savepoint went to a directory of its own, as the only one that goes on with it. */
  #claims = false
  #forks = 0
  /** The newest checkpoint id when the job went back to a savepoint. */
  #forkedAtId = 0
  /** The job has asked the user what to do about output that is lost in part. */
  #isStopped = false
  /** And the user has told it, and it runs on. */
  #isResumed = false

  constructor(seed: number, options: SimulationOptions) {
    this.#world = new World(seed, options)
    this.#workload = makeWorkload(
      this.#world.random,
      options.sink === 'kafka' ? smallSize : undefined,
    )
    const { exactlyOnce } = this.#workload
    this.#exactlyOnce = exactlyOnce
    const expected = reference(this.#workload)
    if (options.sink === 'kafka') {
      this.#kafka = new KafkaOutput(this.#world, this.#workload.pipelines, expected, exactlyOnce)
      this.#kafka.onLostEnd = () => this.#struck('commit error')
    }
    this.#store = this.#kafka?.store ?? new OutputStore(expected, { exactlyOnce })
    this.#plan = new FaultPlan(
      this.#world.random,
      this.#kafka === undefined ? undefined : kafkaFaults,
    )
    this.#world.onFailedOperation = () => this.#struck('disk error')
    this.#usesDisk = this.#world.random.chance(0.4)
    this.#hasPauses = this.#world.random.chance(0.5)
    this.#snapshotEntriesPerStep = this.#world.random.pick([1, 20, 1024])
    this.#declineRate = this.#world.random.pick([0, 0, 0.1])
    this.#storeBounds = {
      ...this.#world.random.pick([
        { cacheBytesMax: 1, dirtyBytesMax: 1 },
        { cacheBytesMax: 3000, dirtyBytesMax: 1500 },
        { cacheBytesMax: 1, dirtyBytesMax: 50_000 },
        { cacheBytesMax: 100_000, dirtyBytesMax: 50_000 },
      ]),
      batchEntriesMax: this.#world.random.pick([3, 50, 512]),
    }
    this.#process = this.#start()
  }

  async run(): Promise<SimulationResult> {
    let failure: string | undefined
    try {
      await this.#drive()
      failure =
        this.#store.wrong ??
        (this.#isStopped && !this.#isResumed ? undefined : this.#store.missing())
    } catch (error) {
      failure = error instanceof Error ? (error.stack ?? error.message) : String(error)
    }
    const world = this.#world
    return {
      seed: world.seed,
      records: this.#workload.events.length,
      checkpoints: this.#checkpoints,
      faults: this.#faults,
      steps: world.steps,
      traceHash: world.traceHash,
      failure,
      isStopped: this.#isStopped,
      trace: world.trace,
    }
  }

  async #drive(): Promise<void> {
    const world = this.#world
    let idleSteps = 0
    for (;;) {
      world.steps += 1
      const wrong = this.#store.wrong ?? this.#watch.broken()
      if (wrong !== undefined) throw new Error(wrong)
      if (world.steps > STEPS_MAX) throw new Error(`Still not ended after ${STEPS_MAX} steps`)
      const { ended } = this.#process
      if (ended !== undefined) {
        if (ended.error === undefined) {
          await this.#kafka?.settle()
          return this.#checkClosed()
        }
        if (this.#kafka?.isStop(ended.error) === true) {
          this.#isStopped = true
          this.#isResumed = this.#kafka.decides(ended.error)
          if (!this.#isResumed) return
          this.#process = this.#start()
          continue
        }
        if (!isExpected(ended.error)) throw ended.error
        this.#process = this.#start()
        continue
      }
      await this.#maybeFault()
      if (world.random.chance(0.06)) await world.passTime(world.nowMs + world.random.between(1, 5))
      const isBusy = this.#stepSomeSubtask()
      const pending = world.pendingCount
      if (pending > 0 && (!isBusy || world.random.chance(0.5))) await world.happen()
      else if (isBusy && world.steps % 16 === 0) await world.settle()
      if (isBusy || pending > 0) {
        idleSteps = 0
        continue
      }
      await world.settle()
      if (++idleSteps < 20) continue
      // nothing can be done before some time has passed
      const nextMs = Math.min(world.nextTimerMs(), this.#nextWakeMs())
      if (nextMs === Infinity) throw new Error(`Nothing can go on: the job is ${this.#describe()}`)
      await world.passTime(nextMs)
      idleSteps = 0
    }
  }

  /** A job that ended in good order leaves nothing open; a slot that was lost could close nothing. */
  #checkClosed(): void {
    const { slots, resources } = this.#process
    if (slots.some(({ isLost }) => isLost)) return
    const left = resources.left()
    if (left !== undefined) throw new Error(`The job has ended and left open: ${left}`)
  }

  #describe(): string {
    return `${this.#process.coordinator?.status ?? 'starting'}, ${this.#process.phase}`
  }

  #nextWakeMs(): number {
    const now = this.#world.clock.now() - this.#world.nowMs
    return Math.min(
      ...this.#process.slots
        .filter(({ owner }) => !owner.isGone && !owner.isFrozen)
        .map(({ slot }) => slot.nextWakeMs() - now),
      Infinity,
    )
  }

  #stepSomeSubtask(): boolean {
    const { random, clock } = this.#world
    const subtasks: Subtask[] = []
    for (const { owner, slots } of [this.#process, ...this.#zombies]) {
      if (owner.isFrozen || owner.isGone) continue
      for (const { slot, owner: own } of slots) {
        if (!own.isGone && !own.isFrozen) subtasks.push(...slot.subtasks)
      }
    }
    // a few tries, so that one that has nothing to do is no sign that none has
    for (let tries = 0; tries < subtasks.length + 2; tries++) {
      if (subtasks.length === 0) return false
      if (random.pick(subtasks).step(clock.now())) return true
    }
    return false
  }

  // ---- processes

  #start(): SimulatedProcess {
    const { random } = this.#world
    const process: SimulatedProcess = {
      owner: { isGone: false, isFrozen: false },
      slots: [],
      resources: new OpenResources(),
      coordinator: undefined,
      phase: 'restoring',
      isEnding: false,
      unconfirmed: 0,
      subtaskCount: 0,
      ended: undefined,
    }
    const parallelism = random.between(1, this.#kafka === undefined ? 4 : 3)
    const slotCount = random.between(1, Math.min(3, parallelism))
    this.#bringUp(process, { parallelism, slotCount }).catch((error: unknown) => {
      process.ended = { error: toEngineError(error) }
    })
    return process
  }

  async #bringUp(
    process: SimulatedProcess,
    scale: { readonly parallelism: number; readonly slotCount: number },
  ): Promise<void> {
    const world = this.#world
    const { owner } = process
    const files = world.disk.view((what, run) => world.operation(owner, what, run))
    const planOf = (user: Owner): ExecutionPlan => {
      const graph = makeJob(this.#workload, {
        sink: (name) => this.#kafka?.sink(name, user) ?? this.#sink(name, process),
        opened: (kind) => process.resources.open(kind),
        pass: ({ index }) => this.#pass(`The record ${index}`),
        pauseMs: ({ index }) => this.#pauseMs(index),
      }).build(undefined)
      return planExecution(graph, {
        parallelism: scale.parallelism,
        maxParallelism: MAX_PARALLELISM,
      })
    }
    const plan = planOf(owner)
    process.subtaskCount = plan.tasks.reduce((sum, task) => sum + task.parallelism, 0)
    const store = await CheckpointDirectory.open({
      files,
      root: this.#root,
      jobName: plan.graph.name,
      claim: this.#claims,
      lock: async () => this.#lock(owner),
    })
    const publish = store.publish.bind(store)
    store.publish = (manifest, attempt) => {
      process.phase = 'publishing'
      return publish(manifest, attempt)
    }
    // whoever starts it says `latest` where there is a checkpoint, else the savepoint it came from
    const isFirst =
      this.#origin !== undefined && (await store.list()).every((id) => id <= this.#forkedAtId)
    const restore: RestoreFrom = isFirst
      ? { kind: 'manifest', manifest: await loadSavepoint(files, this.#origin ?? '') }
      : { kind: 'latest' }
    const backend = this.#backend(files, process)
    const bells = Array.from({ length: scale.slotCount }, () => new Doorbell(Doorbell.allocate()))
    const bounds = {
      framesInFlightMax: world.random.pick([1, 2, 8]),
      bytesInFlightMax: 1 << 14,
    }
    this.#watch.begin(bounds.framesInFlightMax)
    const coordinator = new JobCoordinator({
      plan,
      slotCount: scale.slotCount,
      openSlot: (slotIndex, events) => {
        const slot = new SimulatedSlot(
          {
            world,
            process: owner,
            plan: this.#kafka === undefined ? () => plan : planOf,
            slotIndex,
            slotCount: scale.slotCount,
            bells,
            backend,
            storage: new SnapshotDirectory({
              files,
              root: this.#root,
              work: `${store.workDirectory}/slot-${slotIndex}`,
              pages: 'files',
            }),
            bounds,
            exactlyOnce: this.#exactlyOnce,
            overflowBytesMax: this.#workload.noteLength > 0 ? 1 << 23 : 1 << 19,
            snapshotEntriesPerStep: this.#snapshotEntriesPerStep,
            observe: (kind) => observe(process, kind),
            watchRings: (rings) => this.#watch.watch(rings),
          },
          events,
        )
        process.slots.push(slot)
        return slot
      },
      store,
      isCheckpointed: true,
      settings: {
        intervalMs: world.random.pick([2, 5, 12]),
        minPauseMs: 0,
        timeoutMs: this.#usesDisk ? 3000 : 400,
        failuresMax: this.#declineRate > 0 ? 50 : world.random.pick([0, 1, 3]),
        retainCount: world.random.between(1, 3),
        selfContainedEvery: 3,
      },
      restart: { kind: 'fixed', delay: '3ms', attemptsMax: 50 },
      closeTimeoutMs: 60_000,
      from: restore,
      claim: this.#claims,
      onPartialCommit: this.#kafka?.decision ?? 'fail',
      allowNonRestoredState: false,
      bounds,
      clock: world.clock,
      scheduler: world.scheduler(owner),
      logger: silentLogger,
      newLineage: () => {
        const lineage = `lineage-${world.random.below(1e9)}`
        this.#kafka?.lines.push(lineage)
        return lineage
      },
      runId: `r${world.random.below(1e6)}`,
    })
    process.coordinator = coordinator
    coordinator.onCheckpointCompleted(({ kind }) => {
      if (kind === 'checkpoint') this.#checkpoints += 1
    })
    coordinator.finished.then(
      () => {
        process.ended = { error: undefined }
      },
      (error: unknown) => {
        process.ended = { error: toEngineError(error) }
      },
    )
    await coordinator.start()
  }

  /** Memory, or the leveldb backend with a cache that is far too small. One for the life of the checkpoints. */
  #backend(files: FileSystem, { owner, resources }: SimulatedProcess): StateBackend {
    if (!this.#usesDisk) return memory
    const world = this.#world
    return levelBackend({
      bounds: this.#storeBounds,
      disk: simulatedTableDisk(files, {
        turn: (what, run) => world.operation(owner, what, run),
        opened: () => resources.open('table'),
      }),
    })
  }

  /** A lock that the next process can always take: as if the file system had lost it. Only the fence holds a former owner off. */
  #lock(owner: Owner): OwnerLock {
    const fence = ++this.#fence as Fence
    const world = this.#world
    return {
      fence,
      check: () =>
        world.operation(owner, 'check fence', () => {
          if (this.#fence !== fence)
            throw new EngineError('FENCED', 'Another process has taken over')
        }),
      reserve: (checkpointId) =>
        world.operation(owner, 'reserve id', () => {
          this.#lastReserved = checkpointId
        }),
      lastReserved: async () => this.#lastReserved,
      close: async () => {},
    }
  }

  /** The source waits now and then, and with its last records for what every run shall have seen. */
  #pauseMs(index: number): number {
    const { random } = this.#world
    if (this.#hasPauses && random.chance(0.1)) return random.between(1, 4)
    if (index < this.#workload.events.length * 0.7) return 0
    const isReady =
      this.#checkpoints >= CHECKPOINTS_MIN &&
      (this.#plan.waitsForEnd ||
        (this.#faults.length > 0 &&
          (this.#kafka === undefined || this.#world.steps > WAIT_STEPS_MAX)))
    return isReady ? 0 : 2
  }

  /** User code sees a record: fails if a failure is due. */
  #pass(what: string): void {
    if (this.#userErrors === 0) return
    this.#userErrors -= 1
    this.#struck('user error')
    throw new Error(`${what} is refused this time`)
  }

  #sink(name: string, { owner, resources }: SimulatedProcess): Sink<OutputRow> {
    const world = this.#world
    return {
      type: 'simulated',
      open: ({ attempt, subtaskIndex }) => {
        let rows: OutputRow[] = []
        const closed = resources.open('sink')
        return {
          close: async () => closed(),
          write: (row) => {
            this.#pass(`The row ${String(row)}`)
            rows.push(row as OutputRow)
          },
          prepare: (checkpointId) => {
            const durable = world.operation(owner, `stage ${checkpointId}`, () => {
              if (world.random.chance(this.#declineRate)) throw new Error('Nothing can be staged')
            })
            if (rows.length === 0) return { durable }
            const committable = { name: `${name}/${attempt}/${subtaskIndex}/${checkpointId}`, rows }
            rows = []
            return { committable, durable }
          },
          commit: ({ checkpointId, data }) => {
            const epoch = data as { readonly name: string; readonly rows: OutputRow[] }
            return world.operation(owner, `commit ${epoch.name}`, () => {
              const fails = this.#commitErrors > 0
              if (fails) {
                this.#commitErrors -= 1
                this.#struck('commit error')
              }
              // the answer may be lost after it was done
              if (!fails || world.random.chance(0.5)) {
                this.#store.apply(epoch.name, { checkpointId, rows: epoch.rows })
              }
              if (fails) throw new Error('The store did not answer')
            })
          },
        }
      },
    }
  }

  // ---- faults

  async #maybeFault(): Promise<void> {
    const world = this.#world
    const { phase, isEnding } = this.#process
    if (this.#plan.nextFault === 'savepoint restored' && this.#savepoint === undefined) {
      // there has to be one to go back to
      if (this.#checkpoints > 0 && world.random.chance(0.02)) this.#takeSavepoint(this.#process)
    }
    const fault = this.#plan.next({
      phase,
      isEnding,
      steps: world.steps,
      checkpoints: this.#checkpoints,
      struck: this.#faults.length,
    })
    if (fault === undefined) return
    switch (await this.#inflict(fault, this.#process)) {
      case 'impossible':
        this.#plan.replace()
        return
      case 'later':
        return
      case 'armed':
        break
      case 'struck':
        this.#struck(fault, phase)
        break
    }
    this.#plan.done(world.steps)
  }

  #struck(fault: Fault, phase = this.#process.phase): void {
    this.#faults.push([fault, phase])
    this.#world.note(`FAULT ${fault} while ${phase}`)
  }

  async #inflict(fault: Fault, process: SimulatedProcess): Promise<Inflicted> {
    const world = this.#world
    const live = process.slots.filter(({ owner }) => !owner.isGone)
    switch (fault) {
      case 'user error':
        this.#userErrors = 1
        return 'armed'
      case 'slot lost':
        if (live.length === 0) return 'impossible'
        world.random.pick(live).lose()
        return 'struck'
      case 'process crash':
        this.#kill(process)
        this.#process = this.#start()
        return 'struck'
      case 'power loss':
        this.#kill(process)
        for (const zombie of this.#zombies.splice(0)) this.#kill(zombie)
        world.disk.crash()
        this.#process = this.#start()
        return 'struck'
      case 'disk error':
        world.failingOperations = world.random.between(1, 4)
        world.failureCode = world.random.pick(['EIO', 'ENOSPC'])
        return 'armed'
      case 'frozen slot': {
        if (live.length === 0) return 'impossible'
        const { owner } = world.random.pick(live)
        owner.isFrozen = true
        world
          .scheduler({ isGone: false, isFrozen: false })
          .after(world.random.pick([5, 50, 900, 4000]), () => {
            owner.isFrozen = false
          })
        return 'struck'
      }
      case 'zombie':
        process.owner.isFrozen = true
        this.#zombies.push(process)
        this.#process = this.#start()
        world
          .scheduler({ isGone: false, isFrozen: false })
          .after(world.random.pick([1, 10, 30]), () => {
            process.owner.isFrozen = false
          })
        return 'struck'
      case 'savepoint':
        return this.#takeSavepoint(process) ? 'struck' : 'impossible'
      case 'savepoint restored': {
        if (this.#savepoint === undefined) {
          // there has to be one first
          if (!this.#isInSavepoint && !this.#takeSavepoint(process)) return 'impossible'
          return 'later'
        }
        this.#kill(process)
        for (const zombie of this.#zombies.splice(0)) this.#kill(zombie)
        this.#rewind(this.#savepoint)
        this.#process = this.#start()
        return 'struck'
      }
      case 'commit error':
        if (this.#kafka === undefined) this.#commitErrors = 1
        else this.#kafka.kafka.lostEnds = world.random.between(1, 3)
        return 'armed'
      case 'broker lost':
        this.#kafka?.kafka.loseBroker()
        return 'struck'
      case 'coordinators move':
        this.#kafka?.kafka.move()
        return 'struck'
      case 'transactions time out':
        this.#kill(process)
        await world.passTime(world.nowMs + (this.#kafka?.timeoutMs ?? 0) * 2)
        this.#process = this.#start()
        return 'struck'
    }
  }

  /** A savepoint belongs to whoever asked for it: some are kept to go on from, others removed at once. */
  #takeSavepoint(process: SimulatedProcess): boolean {
    if (this.#isInSavepoint || process.coordinator?.status !== 'running') return false
    this.#isInSavepoint = true
    const world = this.#world
    process.coordinator.savepoint(SAVEPOINTS).then(
      ({ path = '', checkpointId }) => {
        this.#isInSavepoint = false
        if (world.random.chance(0.6)) {
          void this.#keepSavepoint(path, checkpointId)
          return
        }
        const nobody: Owner = { isGone: false, isFrozen: false }
        void world.disk.view((what, run) => world.operation(nobody, what, run)).remove(path)
      },
      () => {
        this.#isInSavepoint = false
      },
    )
    return true
  }

  async #keepSavepoint(path: string, checkpointId: number): Promise<void> {
    if (this.#kafka === undefined) {
      this.#savepoint = { path, checkpointId, lineage: '' }
      return
    }
    const files = this.#world.disk.view(async (_what, run) => run())
    const { lineage } = await loadSavepoint(files, path)
    this.#savepoint = { path, checkpointId, lineage }
  }

  /**
   * Goes back to a savepoint, in a checkpoint directory of its own. The output goes back too, to what was committed before the
   * savepoint: what the savepoint holds uncommitted comes back when it is restored.
   */
  #rewind({ path, checkpointId, lineage }: Savepoint): void {
    if (this.#kafka === undefined) {
      this.#store.forget((epoch) => epoch.checkpointId >= checkpointId)
      this.#root = `${ROOT}-${++this.#forks}`
    } else {
      this.#kafka.rewind(lineage, checkpointId)
      this.#claims = this.#world.random.chance(0.4)
      this.#forkedAtId = this.#claims ? 0 : this.#lastReserved
      if (this.#claims) {
        this.#root = `${ROOT}-${++this.#forks}`
        this.#lastReserved = 0
      }
    }
    this.#origin = path
    this.#savepoint = undefined
  }

  #kill(process: SimulatedProcess): void {
    process.owner.isGone = true
    for (const { owner } of process.slots) owner.isGone = true
  }
}

function observe(process: SimulatedProcess, kind: string): void {
  const atRest = process.isEnding ? 'ending' : 'running'
  switch (kind) {
    case 'deploy':
      process.isEnding = false
      process.phase = 'restoring'
      break
    case 'start':
    case 'abort':
      process.phase = atRest
      break
    case 'trigger':
      process.phase = 'aligning'
      break
    case 'acknowledged':
      if (process.phase === 'aligning') process.phase = 'snapshotting'
      break
    case 'complete':
      process.phase = 'committing'
      process.unconfirmed = process.subtaskCount
      break
    case 'confirmed':
      process.unconfirmed -= 1
      if (process.phase === 'committing' && process.unconfirmed === 0) process.phase = atRest
      break
    case 'input-ended':
      process.isEnding = true
      if (process.phase === 'running') process.phase = 'ending'
      break
  }
}

/** What ends a process under the faults that are inflicted; whoever runs it starts it again. */
const EXPECTED_ENDS: ReadonlySet<string> = new Set([
  'FENCED',
  'CHECKPOINT_DIRECTORY_UNUSABLE',
  'CHECKPOINT_FAILED',
  'CHECKPOINT_TIMEOUT',
  'CHECKPOINT_FAILURES_EXCEEDED',
  'COMMIT_FAILED',
  'STATE_STORAGE_FAILED',
  'RESTARTS_EXHAUSTED',
])

function isExpected({ code, message }: EngineError): boolean {
  return EXPECTED_ENDS.has(code) || /\b(EIO|ENOSPC): /.test(message)
}
