/**
 * One simulated run: a job brought up, fed, hit by faults, restored, ended; and what came out compared with the reference.
 *
 * The output goes to a store outside of the machine that takes whole epochs by name, each once: what a transactional sink writes to.
 * At every moment it must hold nothing twice and nothing wrong; in the end, everything.
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
import type { RestoreFrom } from '../../src/job/job-coordinator.ts'
import { planExecution } from '../../src/plan/execution-plan.ts'
import type { StateBackend } from '../../src/contract/state-backend.ts'
import { levelBackend } from '../../state-backends/leveldb/level-backend.ts'
import { memory } from '../../state-backends/memory/index.ts'
import type { Sink } from 'millrace'
import type { FileSystem } from '../../src/checkpoint/storage/file-system.ts'
import { SimulatedSlot } from './simulated-slot.ts'
import { simulatedTableDisk } from './simulated-tables.ts'
import { World } from './world.ts'
import type { Owner } from './world.ts'
import { makeJob, makeWorkload, reference } from './workload.ts'
import type { OutputRow, SimulatedEvent, Workload } from './workload.ts'

const ROOT = '/checkpoints'
const SAVEPOINTS = '/savepoints'
const MAX_PARALLELISM = 16
const STEPS_MAX = 200_000

export const FAULTS = [
  'user error',
  'slot lost',
  'process crash',
  'power loss',
  'disk error',
  'frozen slot',
  'zombie',
  'savepoint',
  'savepoint restored',
  'commit error',
] as const

export type Fault = (typeof FAULTS)[number]

/** What the job was doing when a fault hit it. */
export const PHASES = [
  'restoring',
  'running',
  'aligning',
  'snapshotting',
  'publishing',
  'committing',
  'ending',
] as const

export type Phase = (typeof PHASES)[number]

export interface SimulationResult {
  readonly seed: number
  readonly records: number
  readonly checkpoints: number
  readonly faults: readonly (readonly [Fault, Phase])[]
  readonly steps: number
  /** What was wrong; undefined if all was right. */
  readonly failure: string | undefined
  readonly trace: readonly string[]
}

export interface SimulationOptions {
  readonly isTraced?: boolean
}

/** The store outside: epochs by name. */
class OutputStore {
  readonly epochs = new Map<
    string,
    { readonly checkpointId: number; readonly rows: readonly OutputRow[] }
  >()

  apply(name: string, checkpointId: number, rows: readonly OutputRow[]): void {
    if (!this.epochs.has(name)) this.epochs.set(name, { checkpointId, rows })
  }

  rows(): OutputRow[] {
    return [...this.epochs.values()].flatMap(({ rows }) => rows)
  }
}

interface Savepoint {
  readonly path: string
  readonly checkpointId: number
}

/** A process of the job: a coordinator, its slots, and its view of the world. */
interface SimulatedProcess {
  readonly owner: { isGone: boolean; isFrozen: boolean }
  readonly slots: SimulatedSlot[]
  coordinator: JobCoordinator | undefined
  phase: Phase
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
  readonly #expected: Map<OutputRow, number>
  readonly #faults: (readonly [Fault, Phase])[] = []
  #store = new OutputStore()
  #process: SimulatedProcess
  /** Processes that were frozen while another took over. */
  readonly #zombies: SimulatedProcess[] = []
  /** Thrown by the next record that passes the source. */
  #userErrors = 0
  #commitErrors = 0
  #checkpoints = 0
  readonly #usesDisk: boolean
  readonly #storeBounds: { readonly cacheBytesMax: number; readonly dirtyBytesMax: number }
  #fence = 0
  #lastReserved = 0
  #faultsLeft: number
  /** What is wrong with the output so far. */
  #wrong: string | undefined
  #savepoint: Savepoint | undefined
  #isInSavepoint = false
  /** The checkpoint directory, and the savepoint that was restored into it. */
  #root = ROOT
  #origin: string | undefined
  #forks = 0

  constructor(seed: number, options: SimulationOptions) {
    this.#world = new World(seed, options)
    this.#workload = makeWorkload(this.#world.random)
    this.#expected = countRows(reference(this.#workload))
    this.#faultsLeft = this.#world.random.between(1, 4)
    this.#usesDisk = this.#world.random.chance(0.4)
    this.#storeBounds = this.#world.random.pick([
      { cacheBytesMax: 1, dirtyBytesMax: 1 },
      { cacheBytesMax: 3000, dirtyBytesMax: 1500 },
      { cacheBytesMax: 100_000, dirtyBytesMax: 50_000 },
    ])
    this.#process = this.#start()
  }

  async run(): Promise<SimulationResult> {
    let failure: string | undefined
    try {
      await this.#drive()
      failure = this.#compare(true)
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
      failure,
      trace: world.trace,
    }
  }

  async #drive(): Promise<void> {
    const world = this.#world
    let idleSteps = 0
    for (;;) {
      world.steps += 1
      if (this.#wrong !== undefined) throw new Error(this.#wrong)
      if (world.steps > STEPS_MAX) throw new Error(`Still not ended after ${STEPS_MAX} steps`)
      const { ended } = this.#process
      if (ended !== undefined) {
        if (ended.error === undefined) return
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
    const processes = [this.#process, ...this.#zombies].filter(
      ({ owner }) => !owner.isFrozen && !owner.isGone,
    )
    const subtasks = processes.flatMap(({ slots }) =>
      slots.flatMap(({ slot, owner }) => (owner.isGone || owner.isFrozen ? [] : slot.subtasks)),
    )
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
      coordinator: undefined,
      phase: 'restoring',
      ended: undefined,
    }
    const parallelism = random.between(1, 4)
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
    const graph = makeJob(this.#workload, {
      sink: (name) => this.#sink(name, owner),
      pass: (event) => this.#pass(event),
    }).build(undefined)
    const plan = planExecution(graph, {
      parallelism: scale.parallelism,
      maxParallelism: MAX_PARALLELISM,
    })
    const store = await CheckpointDirectory.open({
      files,
      root: this.#root,
      jobName: graph.name,
      lock: async () => this.#lock(owner),
    })
    const publish = store.publish.bind(store)
    store.publish = (manifest, attempt) => {
      process.phase = 'publishing'
      return publish(manifest, attempt)
    }
    // whoever starts it says `latest` where there is a checkpoint, else the savepoint it came from
    const isFirst = this.#origin !== undefined && (await store.list()).length === 0
    const restore: RestoreFrom = isFirst
      ? { kind: 'manifest', manifest: await loadSavepoint(files, this.#origin ?? '') }
      : { kind: 'latest' }
    const backend = this.#backend(files, owner)
    const bells = Array.from({ length: scale.slotCount }, () => new Doorbell(Doorbell.allocate()))
    const bounds = {
      framesInFlightMax: world.random.pick([1, 2, 8]),
      bytesInFlightMax: 1 << 14,
    }
    const coordinator = new JobCoordinator({
      plan,
      slotCount: scale.slotCount,
      openSlot: (slotIndex, events) => {
        const slot = new SimulatedSlot(
          {
            world,
            process: owner,
            plan,
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
            exactlyOnce: true,
            observe: (kind) => observe(process, kind),
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
        timeoutMs: 400,
        failuresMax: world.random.pick([0, 1, 3]),
        retainCount: world.random.between(1, 3),
        selfContainedEvery: 3,
      },
      restart: { kind: 'fixed', delay: '3ms', attemptsMax: 50 },
      from: restore,
      allowNonRestoredState: false,
      bounds,
      clock: world.clock,
      scheduler: world.scheduler(owner),
      logger: silentLogger,
      newLineage: () => `lineage-${world.random.below(1e9)}`,
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
  #backend(files: FileSystem, owner: Owner): StateBackend {
    if (!this.#usesDisk) return memory
    const world = this.#world
    return levelBackend({
      bounds: this.#storeBounds,
      disk: simulatedTableDisk(files, (what, run) => world.operation(owner, what, run)),
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

  #pass(event: SimulatedEvent): void {
    if (this.#userErrors === 0) return
    this.#userErrors -= 1
    throw new Error(`The record ${event.index} is refused this time`)
  }

  #sink(name: string, owner: Owner): Sink<OutputRow> {
    const world = this.#world
    return {
      type: 'simulated',
      open: ({ attempt, subtaskIndex }) => {
        let rows: OutputRow[] = []
        return {
          write: (row) => rows.push(row as OutputRow),
          prepare: (checkpointId) => {
            if (rows.length === 0) return {}
            const committable = { name: `${name}/${attempt}/${subtaskIndex}/${checkpointId}`, rows }
            rows = []
            return { committable }
          },
          commit: ({ checkpointId, data }) => {
            const epoch = data as { readonly name: string; readonly rows: OutputRow[] }
            return world.operation(owner, `commit ${epoch.name}`, () => {
              const fails = this.#commitErrors > 0
              if (fails) this.#commitErrors -= 1
              // the answer may be lost after it was done
              if (!fails || world.random.chance(0.5)) {
                this.#store.apply(epoch.name, checkpointId, epoch.rows)
                const wrong = this.#compare(false)
                this.#wrong ??= wrong
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
    const { random } = this.#world
    const process = this.#process
    if (this.#faultsLeft === 0 || !random.chance(this.#faultRate())) return
    const goesBack = this.#savepoint !== undefined && random.chance(0.5)
    const fault = goesBack ? 'savepoint restored' : random.pick(FAULTS)
    if (!(await this.#inflict(fault, process))) return
    this.#faults.push([fault, process.phase])
    this.#faultsLeft -= 1
    this.#world.note(`FAULT ${fault} while ${process.phase}`)
  }

  /** Faults come evenly over the run, and not before there is something to lose. */
  #faultRate(): number {
    if (this.#checkpoints < 1) return 0.0005
    if (this.#process.phase === 'ending' && this.#faults.length === 0) return 0.5
    return this.#process.phase === 'running' ? 0.004 : 0.02
  }

  async #inflict(fault: Fault, process: SimulatedProcess): Promise<boolean> {
    const world = this.#world
    const live = process.slots.filter(({ owner }) => !owner.isGone)
    switch (fault) {
      case 'user error':
        this.#userErrors = 1
        return true
      case 'slot lost':
        if (live.length === 0) return false
        world.random.pick(live).lose()
        return true
      case 'process crash':
        this.#kill(process)
        this.#process = this.#start()
        return true
      case 'power loss':
        this.#kill(process)
        for (const zombie of this.#zombies.splice(0)) this.#kill(zombie)
        world.disk.crash()
        this.#process = this.#start()
        return true
      case 'disk error':
        world.failingOperations = world.random.between(1, 4)
        world.failureCode = world.random.pick(['EIO', 'ENOSPC'])
        return true
      case 'frozen slot': {
        if (live.length === 0) return false
        const { owner } = world.random.pick(live)
        owner.isFrozen = true
        world
          .scheduler({ isGone: false, isFrozen: false })
          .after(world.random.pick([5, 50, 900]), () => {
            owner.isFrozen = false
          })
        return true
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
        return true
      case 'savepoint':
        return this.#takeSavepoint(process)
      case 'savepoint restored': {
        if (this.#savepoint === undefined) {
          // there has to be one first
          if (this.#takeSavepoint(process)) this.#faultsLeft += 1
          return false
        }
        this.#kill(process)
        for (const zombie of this.#zombies.splice(0)) this.#kill(zombie)
        this.#rewind(this.#savepoint)
        this.#process = this.#start()
        return true
      }
      case 'commit error':
        this.#commitErrors = 1
        return true
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
          this.#savepoint = { path, checkpointId }
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

  /**
   * Goes back to a savepoint, in a checkpoint directory of its own. The output goes back too, to what was committed before the
   * savepoint: what the savepoint holds uncommitted comes back when it is restored.
   */
  #rewind({ path, checkpointId }: Savepoint): void {
    for (const [name, epoch] of this.#store.epochs) {
      if (epoch.checkpointId >= checkpointId) this.#store.epochs.delete(name)
    }
    this.#root = `${ROOT}-${++this.#forks}`
    this.#origin = path
    this.#savepoint = undefined
  }

  #kill(process: SimulatedProcess): void {
    process.owner.isGone = true
    for (const { owner } of process.slots) owner.isGone = true
  }

  // ---- checking

  /** What is wrong with the output; undefined if nothing is. */
  #compare(isOver: boolean): string | undefined {
    const rows = this.#store.rows()
    const counts = countRows(rows)
    for (const [row, count] of counts) {
      const allowed = this.#expected.get(row) ?? 0
      if (count > allowed) {
        return allowed === 0
          ? `The output has '${row}', which is wrong`
          : `The output has '${row}' ${count} times`
      }
    }
    if (!isOver) return undefined
    for (const [row, count] of this.#expected) {
      if ((counts.get(row) ?? 0) < count) return `The output lacks '${row}'`
    }
    return undefined
  }
}

function observe(process: SimulatedProcess, kind: string): void {
  switch (kind) {
    case 'deploy':
      process.phase = 'restoring'
      break
    case 'start':
    case 'abort':
      process.phase = 'running'
      break
    case 'trigger':
      process.phase = 'aligning'
      break
    case 'acknowledged':
      if (process.phase === 'aligning') process.phase = 'snapshotting'
      break
    case 'complete':
      process.phase = 'committing'
      break
    case 'confirmed':
      if (process.phase === 'committing') process.phase = 'running'
      break
    case 'input-ended':
      process.phase = 'ending'
      break
  }
}

function countRows(rows: readonly OutputRow[]): Map<OutputRow, number> {
  const counts = new Map<OutputRow, number>()
  for (const row of rows) counts.set(row, (counts.get(row) ?? 0) + 1)
  return counts
}

/** What ends a process under the faults that are inflicted; whoever runs it starts it again. */
function isExpected(error: EngineError): boolean {
  return error.code !== 'INVARIANT_BROKEN' && error.code !== 'CHECKPOINT_CORRUPT'
}
