/** Running a job: brings store, slots and coordinator together. The only place where the engine meets the machine. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { randomUUID } from 'node:crypto'
import type { CheckpointStore } from '../checkpoint/checkpoint-store.ts'
import { nullCheckpointStore } from '../checkpoint/null-store.ts'
import { CheckpointDirectory, loadSavepoint } from '../checkpoint/storage/checkpoint-directory.ts'
import { nodeFileSystem } from '../checkpoint/storage/node-file-system.ts'
import { acquireOwnerLock } from '../checkpoint/storage/owner-lock.ts'
import { EngineError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import { silentLogger } from '../core/log.ts'
import { planExecution } from '../plan/execution-plan.ts'
import type { ExecutionPlan } from '../plan/execution-plan.ts'
import type { JobDefinition } from '../plan/job-definition.ts'
import { typeOf } from '../plan/job-graph.ts'
import type { CompletedCheckpoint } from './checkpoint-coordinator.ts'
import { JobCoordinator } from './job-coordinator.ts'
import type { JobTotals } from './job-coordinator.ts'
import type { RestoreFrom } from './recovery.ts'
import type { JobFigures } from './job-figures.ts'
import type { JobStatus } from './job-status.ts'
import { LocalSlot } from './local-slot.ts'
import type { Placement, ResolvedOptions, RunOptions } from './run-options.ts'
import { resolveOptions } from './run-options.ts'
import type { OpenSlot } from './slot-link.ts'
import { slotParts } from './slot-setup.ts'
import type { SlotSetup } from './slot-setup.ts'
import { systemClock, systemScheduler } from './system-clock.ts'
import { WorkerSlots } from './worker-slot.ts'

/** Where a savepoint lies. */
export interface SavepointInfo {
  readonly path: string
  readonly checkpointId: number
}

/** The totals of a job that ended well. */
export interface JobResult {
  readonly status: 'finished' | 'stopped'
  /** Records read again after a restart count again. */
  readonly recordsRead: number
  readonly recordsWritten: number
  /** Records that came after their windows were over. */
  readonly lateRecords: number
  /** Completed checkpoints. */
  readonly checkpoints: number
  readonly savepoint?: SavepointInfo
}

/** A started job. Leaving an `await using` block cancels it. */
export interface RunningJob extends AsyncDisposable {
  readonly name: string
  readonly status: JobStatus
  /** Settles when its beginning is settled, `restored` is known, and its threads come up; rejects with what prevents that. */
  readonly started: Promise<void>
  /** Settles when all its subtasks run for the first time, so that it can be saved; rejects with what ended it before. */
  readonly running: Promise<void>
  /** Settles once: with the totals, or with the error that ended the job. */
  readonly finished: Promise<JobResult>
  /** Takes a savepoint below `directory`; the job goes on. */
  savepoint(directory: string): Promise<SavepointInfo>
  /** Takes a checkpoint now; answers its id. */
  checkpoint(): Promise<number>
  /** Ends after a last checkpoint, and a savepoint if asked for; `drain` first ends the streams, so that every window fires. */
  stop(options?: { readonly savepoint?: string; readonly drain?: boolean }): Promise<JobResult>
  /** Ends it as it is: what was not checkpointed is done again by the next start. */
  cancel(): Promise<void>
  /** What it has done so far. */
  readonly figures: JobFigures
  /** What it was restored from; undefined before it is known, and where it began with nothing. */
  readonly restored: RestoredFrom | undefined
}

/** What a job began with. */
export interface RestoredFrom {
  readonly kind: 'checkpoint' | 'savepoint'
  readonly checkpointId: number
  /** Of the job that took it. */
  readonly jobName: string
  readonly completedAtMs: number
  /** The event time that all its operators had reached; -Infinity where one had heard of none. */
  readonly watermarkMs: number
  /** A line for each operator: what it found. */
  readonly mapping: readonly string[]
}

/**
 * Runs a job until it ends and answers with its totals. In the calling thread, unless `threads` says otherwise: then
 * the job's functions may close over the caller's variables. Rejects with an `EngineError`; compare `code`.
 *
 * @example
 * const rows: number[] = []
 * await run(job('ten', (env) => env.from('n', fromArray([1, 2])).to('rows', arraySink(rows))))
 */
export async function run<P>(
  job: JobDefinition & { readonly params?: unknown },
  options: RunOptions & Placement & { readonly params?: P } = {},
): Promise<JobResult> {
  await using running = start(job, options)
  return await running.finished
}

/** The same for a job that has no end: a handle to watch, save and stop it. */
export function start<P>(
  job: JobDefinition & { readonly params?: unknown },
  options: RunOptions & Placement & { readonly params?: P } = {},
): RunningJob {
  return new StartedJob(job, options)
}

class StartedJob implements RunningJob {
  readonly name: string
  readonly started: Promise<void>
  readonly running: Promise<void>
  readonly finished: Promise<JobResult>
  readonly #coordinator: Promise<JobCoordinator>
  #known: JobCoordinator | undefined
  #failed = false

  constructor(job: JobDefinition, options: RunOptions & Placement & { readonly params?: unknown }) {
    this.name = job.name
    this.#coordinator = bringUp(job, options)
    this.started = this.#coordinator.then((coordinator) => {
      this.#known = coordinator
    })
    this.started.catch(() => {})
    this.running = this.#coordinator.then((coordinator) => coordinator.running)
    this.running.catch(() => {})
    this.finished = this.#coordinator.then(
      async (coordinator) => {
        options.signal?.addEventListener('abort', () => void coordinator.cancel())
        if (options.signal?.aborted === true) void coordinator.cancel()
        return resultOf(await coordinator.finished)
      },
      (error: unknown) => {
        this.#failed = true
        throw error
      },
    )
    // whoever never asks for the result need not hear of its failure
    this.finished.catch(() => {})
  }

  get status(): JobStatus {
    return this.#failed ? 'failed' : (this.#known?.status ?? 'starting')
  }

  get figures(): JobFigures {
    if (this.#known !== undefined) return this.#known.figures
    throw new EngineError('JOB_NOT_RUNNING', `Job '${this.name}' is ${this.status}`)
  }

  get restored(): RunningJob['restored'] {
    const restored = this.#known?.restored
    if (restored === undefined) return undefined
    const { kind, checkpointId, jobName, completedAtMs, operators } = restored.manifest
    const watermarkMs = operators
      .flatMap(({ subtasks }) => subtasks)
      .reduce((lowest, subtask) => Math.min(lowest, subtask.watermarkMs), Infinity)
    return { kind, checkpointId, jobName, completedAtMs, watermarkMs, mapping: restored.mapping }
  }

  async savepoint(directory: string): Promise<SavepointInfo> {
    const coordinator = await this.#coordinator
    return infoOf(await coordinator.savepoint(resolve(directory)))
  }

  async checkpoint(): Promise<number> {
    const coordinator = await this.#coordinator
    return (await coordinator.checkpoint()).checkpointId
  }

  async stop(options: { savepoint?: string; drain?: boolean } = {}): Promise<JobResult> {
    const coordinator = await this.#coordinator
    const savepoint = options.savepoint === undefined ? undefined : resolve(options.savepoint)
    return resultOf(await coordinator.stop({ drain: options.drain ?? false, savepoint }))
  }

  async cancel(): Promise<void> {
    // a job that could not be started has nothing to cancel
    const coordinator = await this.#coordinator.catch(() => undefined)
    await coordinator?.cancel()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cancel()
    await this.finished.catch(() => {})
  }
}

async function bringUp(
  job: JobDefinition,
  options: RunOptions & Placement & { readonly params?: unknown },
): Promise<JobCoordinator> {
  const resolved = resolveOptions(job, options)
  const logger = options.logger ?? silentLogger
  const graph = job.build(options.params)
  const plan = planExecution(graph, resolved)
  if (resolved.threads > 0) checkThreads(plan)
  const store = await openStore(job, resolved)
  const scratch = await mkdtemp(join(tmpdir(), 'millrace-'))
  try {
    const from = await restoreFrom(resolved, store)
    const setup: SlotSetup = {
      state: resolved.state,
      leveldb: resolved.leveldb,
      checkpoints:
        store instanceof CheckpointDirectory
          ? { root: store.root, work: store.workDirectory }
          : undefined,
      scratch,
      exactlyOnce: resolved.exactlyOnce,
      bounds: resolved.bounds,
    }
    const coordinator = new JobCoordinator({
      plan,
      slotCount: Math.max(1, resolved.threads),
      openSlot: await slotOpener(plan, resolved, setup, options.params, logger),
      store,
      isCheckpointed: resolved.directory !== undefined,
      settings: resolved.settings,
      restart: resolved.restart,
      closeTimeoutMs: resolved.closeTimeoutMs,
      from,
      allowNonRestoredState: resolved.allowNonRestoredState,
      onPartialCommit: resolved.onPartialCommit,
      claim: resolved.claim,
      bounds: resolved.bounds,
      clock: systemClock,
      scheduler: systemScheduler,
      logger,
      newLineage: randomUUID,
      runId: randomUUID().slice(0, 8),
    })
    const removeScratch = (): Promise<void> => rm(scratch, { recursive: true, force: true })
    coordinator.finished.then(removeScratch, removeScratch)
    await coordinator.start()
    return coordinator
  } catch (error) {
    await store.close()
    await rm(scratch, { recursive: true, force: true })
    throw error
  }
}

async function openStore(job: JobDefinition, options: ResolvedOptions): Promise<CheckpointStore> {
  if (options.directory === undefined) return nullCheckpointStore()
  return CheckpointDirectory.open({
    files: nodeFileSystem,
    root: resolve(options.directory),
    jobName: job.name,
    claim: options.claim,
    lock: acquireOwnerLock,
  })
}

async function restoreFrom(options: ResolvedOptions, store: CheckpointStore): Promise<RestoreFrom> {
  if (options.from === 'latest') return { kind: 'latest' }
  if (options.from !== 'none') {
    return {
      kind: 'manifest',
      manifest: await loadSavepoint(nodeFileSystem, resolve(options.from)),
    }
  }
  const existing = await store.list()
  if (existing.length > 0 && !options.force) {
    throw new EngineError(
      'CHECKPOINT_DIRECTORY_NOT_EMPTY',
      `The checkpoint directory ${options.directory ?? ''} has checkpoint ${existing.at(-1) ?? ''} of this job; go on from it with from 'latest', ` +
        `or begin anew and forget it with --force`,
    )
  }
  for (const checkpointId of existing) await store.discard(checkpointId)
  return { kind: 'none' }
}

async function slotOpener(
  plan: ExecutionPlan,
  options: ResolvedOptions,
  setup: SlotSetup,
  params: unknown,
  logger: Logger,
): Promise<OpenSlot> {
  if (options.threads > 0 && options.module !== undefined) {
    const workers = new WorkerSlots(
      options.threads,
      {
        module: options.module.href,
        params,
        scale: {
          parallelism: options.parallelism,
          maxParallelism: options.maxParallelism,
          preAggregate: options.preAggregate,
        },
        setup,
      },
      logger,
    )
    return (slotIndex, events) => workers.open(slotIndex, events)
  }
  const parts = await slotParts(setup, 0)
  return (_slotIndex, events) =>
    new LocalSlot(
      {
        plan,
        ...parts,
        exactlyOnce: options.exactlyOnce,
        isCheckpointed: options.directory !== undefined,
        bounds: options.bounds,
        clock: systemClock,
        logger,
      },
      events,
      systemClock,
    )
}

/** Sinks into objects of the caller cannot be reached from another thread. */
function checkThreads(plan: ExecutionPlan): void {
  for (const node of plan.graph.nodes) {
    if (node.kind !== 'sink' || node.sink.needsCallingThread !== true) continue
    throw new EngineError(
      'OPTION_INVALID',
      `The ${typeOf(node)} sink '${node.uid ?? ''}' fills an object of the calling thread; run the job without threads, or use another sink`,
    )
  }
}

function infoOf({ path, checkpointId }: CompletedCheckpoint): SavepointInfo {
  return { path: path ?? '', checkpointId }
}

function resultOf({ savepoint, ...totals }: JobTotals): JobResult {
  return { ...totals, ...(savepoint === undefined ? {} : { savepoint: infoOf(savepoint) }) }
}
