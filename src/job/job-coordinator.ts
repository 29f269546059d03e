/**
 * One job from the coordinator's side: brings its subtasks up, watches them, restarts what fails, and ends it.
 *
 * The life of a region (tasks that are connected) in one attempt
 *  1. deploy: every slot opens its subtasks from the restored checkpoint, and answers;
 *  2. the sources get their splits, and all subtasks start;
 *  3. on a failure of any of them: close in every slot, wait for all answers, ask the restart strategy, and begin again with
 *     the newest checkpoint whose files all verify.
 * The end of a job whose input ends: all subtasks have ended; then a checkpoint begun after that, its commits confirmed; then close.
 *
 * Invariants
 *  - What a slot says of an attempt that is not the region's present one is dropped.
 *  - A region is deployed again only when every slot has closed its former attempt, and a lost slot is replaced only when it
 *    is gone.
 *  - Nothing is committed by this coordinator after another owner has come (store.checkOwner).
 * Runs on one thread, in callbacks; control plane only: a few messages a second.
 */
import { CHANNEL_BOUNDS_DEFAULT } from '../channel/channel.ts'
import type { ChannelBounds } from '../channel/channel.ts'
import { allocateRing } from '../channel/ring.ts'
import type { CheckpointStore } from '../checkpoint/checkpoint-store.ts'
import type { OnPartialCommit } from '../checkpoint/lost-output.ts'
import { subtaskId } from '../checkpoint/pending-checkpoint.ts'
import type { OperatorRestore, RestorePlan } from '../checkpoint/restore-plan.ts'
import { Deferred } from '../core/deferred.ts'
import { EngineError, assert, fromErrorData, toEngineError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import type { Clock, Scheduler } from '../core/time.ts'
import type { ExecutionPlan } from '../plan/execution-plan.ts'
import { slotOf, taskName } from '../plan/execution-plan.ts'
import { fingerprintOf, firstDifference } from '../plan/fingerprint.ts'
import type { RestartOptions } from '../plan/job-definition.ts'
import type { GraphNode } from '../plan/job-graph.ts'
import { uidOf } from '../plan/job-graph.ts'
import type { SlotCommand, SlotEvent, SubtaskName, UidRestore } from '../runtime/slot-protocol.ts'
import { channelId, channelsOf, ringCapacity } from '../runtime/slot.ts'
import { CheckpointCoordinator } from './checkpoint-coordinator.ts'
import type { CheckpointSettings, CompletedCheckpoint } from './checkpoint-coordinator.ts'
import { JobFigures } from './job-figures.ts'
import type { JobStatus } from './job-status.ts'
import { isOver, moveStatus } from './job-status.ts'
import { Recovery } from './recovery.ts'
import type { RestoreFrom } from './recovery.ts'
import { RestartPolicy } from './restart-strategy.ts'
import { SinkRecovery } from './sink-recovery.ts'
import type { OpenSlot, SlotLink } from './slot-link.ts'
import { SplitDealer } from './split-dealer.ts'

export interface JobCoordinatorOptions {
  readonly plan: ExecutionPlan
  readonly slotCount: number
  readonly openSlot: OpenSlot
  readonly store: CheckpointStore
  /** Whether the store keeps anything: without, a restart begins empty. */
  readonly isCheckpointed: boolean
  readonly settings: CheckpointSettings | undefined
  readonly restart: RestartOptions
  readonly from: RestoreFrom
  readonly allowNonRestoredState: boolean
  /** What to do where output of the checkpoint is lost in part. Default: stop with a report. */
  readonly onPartialCommit?: OnPartialCommit
  /** Whether output of another job that the restored checkpoint names is this one's now. Default false. */
  readonly claim?: boolean
  /** How long subtasks that are to be restarted may take to close before their slot is ended. */
  readonly closeTimeoutMs: number
  readonly bounds?: ChannelBounds
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly logger: Logger
  /** A name for a new line of checkpoints, never used before. */
  readonly newLineage: () => string
  /** Of this process: a few letters or digits, so that names of attempts never repeat, even in a directory that was emptied. */
  readonly runId: string
}

/** The totals of a job that ended well. */
export interface JobTotals {
  readonly status: 'finished' | 'stopped'
  /** Records read again after a restart count again. */
  readonly recordsRead: number
  readonly recordsWritten: number
  readonly lateRecords: number
  readonly checkpoints: number
  readonly savepoint?: CompletedCheckpoint
}

type RegionPhase = 'deploying' | 'running' | 'closing' | 'waiting'

interface Region {
  readonly index: number
  attempt: string
  phase: RegionPhase
  /** Slots whose answer to `deploy` or `close` is awaited. */
  awaited: Set<number>
  restored: RestorePlan | undefined
  /** Subtasks, by id, whose input has ended; sources that stopped reading. */
  readonly ended: Set<string>
  readonly suspended: Set<string>
}

export class JobCoordinator {
  readonly figures: JobFigures
  readonly #options: JobCoordinatorOptions
  readonly #checkpoints: CheckpointCoordinator
  readonly #sinks: SinkRecovery
  readonly #recovery: Recovery
  readonly #policy: RestartPolicy
  readonly #regions: Region[]
  readonly #dealers: SplitDealer[] = []
  readonly #slots: (SlotLink | undefined)[] = []
  readonly #ready: boolean[] = []
  /** Slots that did not close in time and are being ended; what they still say is not heard. */
  readonly #leaving = new Set<number>()
  readonly #finished = new Deferred<JobTotals>()
  readonly #running = new Deferred<void>()
  #status: JobStatus = 'starting'
  #attemptCount = 0
  #first: RestorePlan | undefined
  #stopping: { readonly drain: boolean; readonly savepoint: string | undefined } | undefined
  #savepoint: CompletedCheckpoint | undefined
  /** The last checkpoint is being taken. */
  #isEnding = false
  /** Nothing is restarted any more. */
  #isClosing = false
  readonly #completedListeners: ((checkpoint: CompletedCheckpoint) => void)[] = []

  constructor(options: JobCoordinatorOptions) {
    const { plan, store, clock, scheduler, logger } = options
    this.#options = options
    this.#policy = new RestartPolicy(options.restart)
    this.figures = new JobFigures(plan)
    this.#regions = Array.from({ length: plan.regionCount }, (_, index) => ({
      index,
      attempt: '',
      phase: 'waiting' as const,
      awaited: new Set<number>(),
      restored: undefined,
      ended: new Set<string>(),
      suspended: new Set<string>(),
    }))
    for (const task of plan.tasks) {
      const head = task.nodes[0] as GraphNode
      if (head.kind !== 'source') continue
      this.#dealers.push(
        new SplitDealer({
          uid: uidOf(head),
          taskId: task.id,
          parallelism: task.parallelism,
          source: head.source,
          clock,
          logger,
          scheduler,
          assign: (subtaskIndex, splits, isLast) => {
            const region = this.#regions[task.region] as Region
            this.#sendTo(slotOf(subtaskIndex, options.slotCount), {
              kind: 'assign',
              attempt: region.attempt,
              taskId: task.id,
              subtaskIndex,
              splits,
              isLast,
            })
          },
        }),
      )
    }
    this.#sinks = new SinkRecovery({
      plan,
      store,
      isCheckpointed: options.isCheckpointed,
      checkpointIntervalMs: options.settings?.intervalMs,
      clock,
      logger,
    })
    this.#checkpoints = new CheckpointCoordinator({
      jobName: plan.graph.name,
      lineage: () => this.#recovery.lineage,
      maxParallelism: plan.maxParallelism,
      attempt: () => `${store.fence}-${options.runId}`,
      store,
      settings: options.settings,
      clock,
      scheduler,
      logger,
      dealers: this.#dealers,
      subtasks: () => this.#runningSubtasks(),
      send: (command) => this.#sendAll(command),
      onCompleted: (checkpoint) => {
        this.figures.onCheckpoint(checkpoint)
        for (const listener of this.#completedListeners) listener(checkpoint)
      },
      onFailed: (error) => {
        this.figures.onCheckpointFailed()
        logger.warn(error.message)
      },
      onFatal: (error) => {
        if (error.retryable) this.#failAll(error)
        else void this.#end('failed', error)
      },
    })
    this.#recovery = new Recovery({
      ...options,
      sinks: this.#sinks,
      onDamaged: (checkpointId) => this.#checkpoints.distrust(checkpointId),
      onGivenUp: (checkpointId) => this.#checkpoints.forget(checkpointId),
    })
    // whoever never asks for the result need not hear of its failure
    this.#finished.promise.catch(() => {})
    this.#running.promise.catch(() => {})
  }

  get status(): JobStatus {
    return this.#status
  }

  /** Settles once: with the totals, or with the error that ended the job. */
  get finished(): Promise<JobTotals> {
    return this.#finished.promise
  }

  /** Settles when all subtasks run for the first time; rejects with what ended the job before. */
  get running(): Promise<void> {
    return this.#running.promise
  }

  /** What the first start found, once it is known. */
  get restored(): RestorePlan | undefined {
    return this.#first
  }

  onCheckpointCompleted(listener: (checkpoint: CompletedCheckpoint) => void): void {
    this.#completedListeners.push(listener)
  }

  /** Brings the job up. Settles when it runs; rejects when it can't be started at all. */
  async start(): Promise<void> {
    try {
      await this.#prepare()
      for (let index = 0; index < this.#options.slotCount; index++) this.#openSlot(index)
    } catch (error) {
      await this.#end('failed', toEngineError(error))
      throw error
    }
  }

  async savepoint(directory: string): Promise<CompletedCheckpoint> {
    this.#checkRunning()
    return this.#checkpoints.takeSavepoint(directory)
  }

  /** Takes a checkpoint now. */
  async checkpoint(): Promise<CompletedCheckpoint> {
    this.#checkRunning()
    return this.#checkpoints.takeCheckpoint()
  }

  /** Ends the job after a last checkpoint; `drain` first ends its streams, so that every window fires. */
  stop(options: {
    readonly drain: boolean
    readonly savepoint: string | undefined
  }): Promise<JobTotals> {
    if (isOver(this.#status) || this.#stopping !== undefined) return this.finished
    const wasRunning = this.#status === 'running'
    // it would end without the savepoint that whoever stops it goes on from
    if (options.savepoint !== undefined) this.#checkRunning()
    this.#stopping = options
    this.#move('stopping')
    if (wasRunning) void this.#beginStop()
    else void this.#end('stopped', undefined)
    return this.finished
  }

  /** Ends the job as it is. What was not checkpointed is done again by the next start. */
  async cancel(): Promise<void> {
    if (isOver(this.#status)) return
    await this.#end(
      'failed',
      new EngineError('JOB_CANCELLED', `Job '${this.#options.plan.graph.name}' was cancelled`),
    )
  }

  async #prepare(): Promise<void> {
    const { store, from } = this.#options
    this.#first = await this.#recovery.recover(from, indicesOf(this.#regions))
    await store.sweep(new Set())
    const published = await Promise.all(
      (await store.list()).map((id) => store.load(id).catch(() => undefined)),
    )
    this.#checkpoints.setPublished(published.filter((manifest) => manifest !== undefined))
    for (const checkpointId of this.#recovery.damaged) this.#checkpoints.distrust(checkpointId)
    for (const dealer of this.#dealers) {
      await dealer.begin(this.#first?.knownSplits.get(dealer.uid) ?? [])
    }
  }

  #openSlot(index: number): void {
    this.#ready[index] = false
    this.#slots[index] = this.#options.openSlot(index, {
      onEvent: (event) => this.#onEvent(index, event),
      onLost: (error) => this.#onLost(index, error),
    })
  }

  #onEvent(slotIndex: number, event: SlotEvent): void {
    if (this.#leaving.has(slotIndex)) return
    if (isOver(this.#status) && event.kind !== 'closed' && event.kind !== 'figures') return
    switch (event.kind) {
      case 'ready': {
        const difference = firstDifference(
          fingerprintOf(this.#options.plan.graph),
          event.fingerprint,
        )
        if (difference !== undefined) {
          void this.#end('failed', graphDiffers(this.#options.plan.graph.name, difference))
          return
        }
        this.#ready[slotIndex] = true
        this.#deployWaiting()
        return
      }
      case 'unusable':
        void this.#end('failed', fromErrorData(event.error))
        return
      case 'deployed':
        this.#onAnswer(slotIndex, event.attempt, 'deploying')
        return
      case 'closed':
        this.#onAnswer(slotIndex, event.attempt, 'closing')
        return
      case 'failed':
        this.#onFailed(event.attempt, fromErrorData(event.error))
        return
      case 'acknowledged':
        this.#checkpoints.onAcknowledged(event.checkpointId, event.ack)
        return
      case 'declined':
        this.#checkpoints.onDeclined(event.checkpointId, fromErrorData(event.error))
        return
      case 'confirmed':
        if (this.#regionOf(event) !== undefined) {
          this.#checkpoints.onConfirmed(
            event.checkpointId,
            subtaskId(event.taskId, event.subtaskIndex),
          )
        }
        return
      case 'input-ended':
        this.#regionOf(event)?.ended.add(subtaskId(event.taskId, event.subtaskIndex))
        this.#checkEnd()
        return
      case 'suspended':
        this.#regionOf(event)?.suspended.add(subtaskId(event.taskId, event.subtaskIndex))
        this.#checkEnd()
        return
      case 'figures':
        this.figures.onFigures(event.subtasks)
        return
    }
  }

  #regionOf(name: SubtaskName): Region | undefined {
    return this.#regions.find(
      ({ attempt, phase }) => attempt === name.attempt && phase === 'running',
    )
  }

  // ---- deploying

  /** Deploys every region that waits, once all slots are there. */
  #deployWaiting(): void {
    if (this.#isClosing || this.#ready.includes(false)) return
    for (const region of this.#regions) if (region.phase === 'waiting') this.#deploy(region)
  }

  #deploy(region: Region): void {
    const { plan, slotCount, store, runId } = this.#options
    this.#attemptCount += 1
    region.attempt = `${store.fence}-${runId}-${this.#attemptCount}`
    region.phase = 'deploying'
    region.ended.clear()
    region.suspended.clear()
    region.restored ??= this.#first
    region.awaited = new Set(this.#slots.keys())
    const rings = new Map<string, SharedArrayBuffer>()
    const bounds = this.#options.bounds ?? CHANNEL_BOUNDS_DEFAULT
    for (const exchange of plan.exchanges) {
      if (plan.tasks[exchange.fromTask]?.region !== region.index) continue
      for (const [producer, consumer] of channelsOf(exchange, plan.tasks)) {
        if (slotOf(producer, slotCount) === slotOf(consumer, slotCount)) continue
        const ring = allocateRing({
          capacityBytes: ringCapacity(bounds),
          framesInFlightMax: bounds.framesInFlightMax,
        })
        rings.set(channelId(exchange, producer, consumer), ring)
      }
    }
    const restores: UidRestore[] = []
    for (const [uid, subtasks] of region.restored?.operators ?? []) {
      restores.push({ uid, subtasks: this.#sinks.has(uid) ? subtasks.map(withoutItems) : subtasks })
    }
    this.#sendAll({
      kind: 'deploy',
      region: region.index,
      attempt: region.attempt,
      lineage: this.#recovery.lineage,
      restores,
      rings,
    })
  }

  #onAnswer(slotIndex: number, attempt: string, phase: RegionPhase): void {
    const region = this.#regions.find((each) => each.attempt === attempt)
    if (region === undefined || region.phase !== phase) return
    region.awaited.delete(slotIndex)
    if (region.awaited.size > 0) return
    if (phase === 'deploying') void this.#startRegion(region)
    else this.#onClosed(region)
  }

  /**
   * Only an owner starts: whatever its subtasks found when they opened is then of this owner or of former ones, so they may
   * remove leftovers without harm to one that comes later.
   */
  async #startRegion(region: Region): Promise<void> {
    const { attempt } = region
    try {
      await this.#options.store.checkOwner()
    } catch (error) {
      this.#onFailed(attempt, toEngineError(error))
      return
    }
    if (this.#isClosing || region.attempt !== attempt || region.phase !== 'deploying') return
    region.phase = 'running'
    this.#sendAll({ kind: 'start', attempt: region.attempt })
    for (const dealer of this.#dealersOf(region)) {
      dealer.deal(region.restored?.knownSplits.get(dealer.uid) ?? [])
    }
    if (this.#regions.some(({ phase }) => phase !== 'running')) return
    if (this.#status !== 'stopping') this.#move('running')
    this.#running.resolve()
    this.#checkpoints.resume()
    if (this.#stopping !== undefined) void this.#beginStop()
  }

  #dealersOf(region: Region): SplitDealer[] {
    const { tasks } = this.#options.plan
    return this.#dealers.filter(({ taskId }) => tasks[taskId]?.region === region.index)
  }

  // ---- failing

  #onFailed(attempt: string, error: EngineError): void {
    const region = this.#regions.find((each) => each.attempt === attempt)
    if (region === undefined || region.phase === 'closing' || region.phase === 'waiting') return
    this.#failRegions([region], error)
  }

  #onLost(slotIndex: number, error: EngineError): void {
    this.#leaving.delete(slotIndex)
    this.#slots[slotIndex] = undefined
    this.#ready[slotIndex] = false
    if (isOver(this.#status) || this.#isClosing) {
      // whoever waits for its answers would wait for ever
      for (const { attempt, phase } of this.#regions) this.#onAnswer(slotIndex, attempt, phase)
      return
    }
    for (const region of this.#regions) {
      if (region.phase === 'closing') this.#onAnswer(slotIndex, region.attempt, 'closing')
    }
    // a region that is being closed brings the slot back when it restarts; so do those that fail now
    const hit = this.#regions.filter(({ phase }) => phase !== 'closing')
    if (hit.length > 0) this.#failRegions(hit, error)
  }

  #failAll(error: EngineError): void {
    const hit = this.#regions.filter(({ phase }) => phase === 'running' || phase === 'deploying')
    this.#failRegions(hit, error)
  }

  /** Closes regions and, if the restart strategy allows, brings them up again. */
  #failRegions(regions: readonly Region[], error: EngineError): void {
    const { clock, logger, scheduler } = this.#options
    if (this.#isClosing) return
    if (!error.retryable) {
      void this.#end('failed', error)
      return
    }
    const decision = this.#policy.onFailure(clock.elapsed())
    if (decision.kind === 'give-up') {
      logger.error(error.message)
      void this.#end(
        'failed',
        this.#options.restart.kind === 'none' ? error : exhausted(error, decision.reason),
      )
      return
    }
    logger.warn(`${error.message}; restarting in ${decision.delayMs} ms`)
    this.figures.onRestart({ message: error.message, atMs: clock.now() })
    if (this.#status !== 'stopping') this.#move('restarting')
    for (const region of regions) {
      for (const dealer of this.#dealersOf(region)) dealer.pause()
      // one that waits for a slot has nothing to close
      const isOpen = region.phase !== 'waiting'
      region.phase = 'closing'
      region.awaited = new Set(isOpen ? this.#slots.keys() : [])
      for (const [index, slot] of this.#slots.entries()) {
        if (slot === undefined) region.awaited.delete(index)
      }
    }
    const published = this.#checkpoints.block()
    for (const region of regions) this.#sendAll({ kind: 'close', attempt: region.attempt })
    const closed = Promise.all(regions.map((region) => this.#whenClosed(region)))
    const cancelLimit = scheduler.after(this.#options.closeTimeoutMs, () => {
      for (const region of regions) this.#endSlotsOf(region)
    })
    void closed.then(cancelLimit)
    scheduler.after(decision.delayMs, () => {
      void Promise.all([published, closed])
        .then(() => this.#restart(regions))
        .catch((cause: unknown) => this.#end('failed', toEngineError(cause)))
    })
  }

  /**
   * Ends the slots that have not closed the region in time: a user function that never returns holds its thread for good. The slot is
   * brought up again with the region.
   */
  #endSlotsOf(region: Region): void {
    if (this.#isClosing) return
    for (const index of region.awaited) {
      const slot = this.#slots[index]
      if (slot === undefined || this.#leaving.has(index)) continue
      this.#leaving.add(index)
      this.#ready[index] = false
      const error = this.#slotStuck(index)
      this.#options.logger.warn(error.message)
      void slot.close().then(() => this.#onLost(index, error))
    }
  }

  #slotStuck(slotIndex: number): EngineError {
    const { plan, closeTimeoutMs } = this.#options
    return new EngineError(
      'WORKER_STUCK',
      `Job '${plan.graph.name}': the worker thread of slot ${slotIndex} did not close its subtasks within ${closeTimeoutMs} ms ` +
        `(closeTimeout) and is ended; look for a function in the job that does not return`,
      { job: plan.graph.name },
    )
  }

  readonly #closedWaiters = new Map<Region, Deferred<void>>()

  #whenClosed(region: Region): Promise<void> {
    if (region.awaited.size === 0) return Promise.resolve()
    const waiter = new Deferred<void>()
    this.#closedWaiters.set(region, waiter)
    return waiter.promise
  }

  #onClosed(region: Region): void {
    this.#closedWaiters.get(region)?.resolve()
    this.#closedWaiters.delete(region)
  }

  async #restart(regions: readonly Region[]): Promise<void> {
    if (this.#isClosing) return
    let latest: RestorePlan | undefined
    try {
      // what failed may be the work of another owner, and what would be restored is that one's now
      await this.#options.store.checkOwner()
      latest = await this.#recovery.recover(await this.#latest(), indicesOf(regions))
    } catch (cause) {
      const error = toEngineError(cause)
      const { clock, scheduler, logger } = this.#options
      const decision = error.retryable ? this.#policy.onFailure(clock.elapsed()) : undefined
      if (decision?.kind !== 'restart') throw error
      logger.warn(`${error.message}; trying again in ${decision.delayMs} ms`)
      scheduler.after(decision.delayMs, () => {
        this.#restart(regions).catch((last: unknown) => this.#end('failed', toEngineError(last)))
      })
      return
    }
    if (this.#isClosing) return
    for (const region of regions) {
      region.restored = latest
      region.phase = 'waiting'
    }
    for (const [index, slot] of this.#slots.entries()) {
      if (slot === undefined) this.#openSlot(index)
    }
    this.#deployWaiting()
  }

  /** Where the newest whole checkpoint is; what the job was started from where it has taken none. */
  async #latest(): Promise<RestoreFrom> {
    const { store, from, isCheckpointed } = this.#options
    if (!isCheckpointed) return { kind: 'none' }
    const hasOwn = (await store.list()).length > 0
    const isFromElsewhere = from.kind !== 'latest' && this.figures.checkpoints === 0
    return hasOwn && !isFromElsewhere ? { kind: 'latest' } : from
  }

  // ---- ending

  #checkRunning(): void {
    if (this.#status === 'running') return
    throw new EngineError(
      'JOB_NOT_RUNNING',
      `Job '${this.#options.plan.graph.name}' is ${this.#status}; wait until it runs`,
    )
  }

  async #beginStop(): Promise<void> {
    const { drain } = this.#stopping as { drain: boolean }
    await this.#checkpoints.hold()
    if (this.#isClosing || this.#regions.some(({ phase }) => phase !== 'running')) return
    this.#sendAll({ kind: 'stop', drain })
    this.#checkEnd()
  }

  /** Whether all that should happen before the last checkpoint has happened; then takes it. */
  #checkEnd(): void {
    if (this.#isEnding || this.#isClosing) return
    if (this.#regions.some(({ phase }) => phase !== 'running')) return
    const isStopping = this.#stopping !== undefined
    const isDrained = this.#tasksEnded()
    const isSuspended = isStopping && this.#stopping?.drain !== true && this.#sourcesStopped()
    if (!isDrained && !isSuspended) return
    this.#isEnding = true
    void this.#finish(isStopping ? 'stopped' : 'finished')
  }

  #tasksEnded(): boolean {
    return this.#options.plan.tasks.every((task) => {
      const { ended } = this.#regions[task.region] as Region
      return indices(task.parallelism).every((index) => ended.has(subtaskId(task.id, index)))
    })
  }

  #sourcesStopped(): boolean {
    return this.#options.plan.tasks.every((task) => {
      if (task.nodes[0]?.kind !== 'source') return true
      const { ended, suspended } = this.#regions[task.region] as Region
      return indices(task.parallelism).every((index) => {
        const id = subtaskId(task.id, index)
        return ended.has(id) || suspended.has(id)
      })
    })
  }

  /**
   * The last savepoint, if asked for, the last checkpoint and its commits. A region that fails meanwhile restarts, ends again,
   * and all of it is done again: what was checkpointed before the restart says nothing about what was read again after it.
   */
  async #finish(status: 'finished' | 'stopped'): Promise<void> {
    const failuresMax = this.#options.settings?.failuresMax ?? 0
    const attempts = this.#regions.map(({ attempt }) => attempt)
    const hasRestarted = (): boolean =>
      this.#regions.some(
        ({ attempt, phase }, index) => phase !== 'running' || attempt !== attempts[index],
      )
    const beginAgain = (): void => {
      this.#isEnding = false
      this.#checkEnd()
    }
    try {
      await this.#checkpoints.hold()
      const directory = this.#stopping?.savepoint
      if (directory !== undefined) {
        this.#savepoint = await this.#checkpoints.takeSavepoint(directory)
      }
      for (let failures = 0; ; failures++) {
        try {
          await this.#checkpoints.takeCheckpoint()
          break
        } catch (error) {
          if (failures >= failuresMax || hasRestarted()) throw error
        }
      }
      await this.#checkpoints.confirmed()
    } catch (error) {
      const known = toEngineError(error)
      if (hasRestarted()) {
        beginAgain()
        return
      }
      const path = this.#savepoint?.path
      const at = path === undefined ? '' : `; go on from the savepoint ${path}`
      await this.#end(
        'failed',
        new EngineError(known.code, `${known.message}${at}`, { cause: error }),
      )
      return
    }
    if (hasRestarted()) beginAgain()
    else await this.#end(status, undefined)
  }

  /** Closes everything and settles `finished`. Called once with effect. */
  async #end(
    status: 'finished' | 'stopped' | 'failed',
    cause: EngineError | undefined,
  ): Promise<void> {
    if (isOver(this.#status) || this.#isClosing) return
    this.#isClosing = true
    const error = cause === undefined ? undefined : await this.#orFenced(cause)
    const parts = [
      this.#checkpoints,
      ...this.#slots,
      ...this.#dealers,
      this.#sinks,
      this.#options.store,
    ]
    for (const part of parts) {
      try {
        await part?.close()
      } catch (failure) {
        // the job is over all the same; what was left behind is removed by the next start
        this.#options.logger.warn(`Closing failed: ${toEngineError(failure).message}`)
      }
    }
    // a slot that was ended tells nothing of its regions any more, and their time limit would keep the process alive
    for (const region of this.#regions) this.#onClosed(region)
    this.#move(status)
    // without effect where it ran
    this.#running.reject(
      error ??
        new EngineError(
          'JOB_NOT_RUNNING',
          `Job '${this.#options.plan.graph.name}' was ${status} before it ran`,
        ),
    )
    if (status === 'failed' || error !== undefined) {
      this.#finished.reject(error ?? new EngineError('UNEXPECTED', 'The job failed'))
      return
    }
    this.#finished.resolve({
      status,
      ...this.figures.totals(),
      ...(this.#savepoint === undefined ? {} : { savepoint: this.#savepoint }),
    })
  }

  /** What became of a job that another owner has superseded follows from that, whatever failed first. */
  async #orFenced(error: EngineError): Promise<EngineError> {
    if (error.code === 'FENCED' || error.code === 'JOB_CANCELLED') return error
    try {
      await this.#options.store.checkOwner()
      return error
    } catch (cause) {
      const known = toEngineError(cause)
      // that it cannot be known who the owner is, is no better reason
      if (known.code !== 'FENCED') return error
      return new EngineError('FENCED', known.message, { cause: error })
    }
  }

  #move(to: JobStatus): void {
    if (this.#status === to) return
    this.#status = moveStatus(this.#status, to)
  }

  // ---- sending

  #sendAll(command: SlotCommand): void {
    for (const slot of this.#slots) slot?.send(command)
  }

  #sendTo(slotIndex: number, command: SlotCommand): void {
    assert(slotIndex < this.#slots.length, `Slot ${slotIndex} is one of ${this.#slots.length}`)
    this.#slots[slotIndex]?.send(command)
  }

  #runningSubtasks(): ReadonlyMap<string, string> {
    const names = new Map<string, string>()
    for (const task of this.#options.plan.tasks) {
      for (const index of indices(task.parallelism)) {
        names.set(subtaskId(task.id, index), `${taskName(task)}#${index}`)
      }
    }
    return names
  }
}

function withoutItems({ watermarkMs, keyed }: OperatorRestore): OperatorRestore {
  return { watermarkMs, keyed }
}

/** The last failure, where it happened, and why nothing is tried any more. */
function exhausted(error: EngineError, reason: string): EngineError {
  const { job, operatorUid, subtaskIndex } = error
  return new EngineError('RESTARTS_EXHAUSTED', `${error.message} (no restart: ${reason})`, {
    cause: error,
    ...(job === undefined ? {} : { job }),
    ...(operatorUid === undefined ? {} : { operatorUid }),
    ...(subtaskIndex === undefined ? {} : { subtaskIndex }),
  })
}

function graphDiffers(jobName: string, operator: string): EngineError {
  return new EngineError(
    'GRAPH_DIFFERS',
    `Job '${jobName}' was built differently in another thread, first at '${operator}'; a job must describe the same graph ` +
      `each time: take what varies from env.params, not from a clock, a random number or a variable that changes`,
    { job: jobName },
  )
}

function indicesOf(regions: readonly Region[]): ReadonlySet<number> {
  return new Set(regions.map(({ index }) => index))
}

function indices(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}
