/**
 * Takes the checkpoints and savepoints of a running job, one at a time.
 *
 * The life of checkpoint n
 *  1. an id is reserved; every subtask is told (`trigger`), sources send the barrier;
 *  2. every subtask acknowledges its part, or one declines, or time runs out: then n is given up (`abort`), and only n;
 *  3. the manifest is published under the owner's fence: from here on n exists;
 *  4. every subtask is told that n is complete; sinks commit, and confirm when all output up to n is visible;
 *  5. when all have confirmed, older checkpoints go as retention says.
 * A savepoint ends with 3: it commits nothing and is no recovery point. What sinks prepared for it is committed with the next
 * checkpoint.
 *
 * Invariants
 *  - At most one is between 1 and 3.
 *  - No checkpoint before n goes while commits of n are unconfirmed, and none is begun.
 *  - While subtasks are restarted none is begun, and one that was under way is given up or, if it was being published, done.
 */
import type { CheckpointMark } from '../checkpoint/alignment.ts'
import type { CheckpointStore } from '../checkpoint/checkpoint-store.ts'
import type { Manifest } from '../checkpoint/manifest.ts'
import { decodeItems } from '../checkpoint/manifest.ts'
import { PendingCheckpoint } from '../checkpoint/pending-checkpoint.ts'
import type { SubtaskAck } from '../checkpoint/pending-checkpoint.ts'
import { expiredCheckpoints } from '../checkpoint/retention.ts'
import { Deferred } from '../core/deferred.ts'
import { EngineError, toEngineError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import type { Clock, Scheduler } from '../core/time.ts'
import type { SlotCommand } from '../runtime/slot-protocol.ts'
import type { SplitState } from '../runtime/source-head.ts'
import type { SplitDealer } from './split-dealer.ts'

/** How checkpoints are taken, in milliseconds and counts. */
export interface CheckpointSettings {
  readonly intervalMs: number
  readonly minPauseMs: number
  readonly timeoutMs: number
  /** Failed checkpoints in a row that the job survives. */
  readonly failuresMax: number
  readonly retainCount: number
  /** Every so many checkpoints one shares no file with those before. */
  readonly selfContainedEvery: number
}

/** A checkpoint or savepoint that was published. */
export interface CompletedCheckpoint {
  readonly checkpointId: number
  readonly kind: 'checkpoint' | 'savepoint'
  /** When it was published. */
  readonly completedAtMs: number
  readonly durationMs: number
  readonly bytes: number
  /** Of savepoints: where it lies. */
  readonly path?: string
}

export interface CheckpointCoordinatorOptions {
  readonly jobName: string
  readonly lineage: () => string
  readonly maxParallelism: number
  readonly attempt: () => string
  readonly store: CheckpointStore
  /** Undefined: none but the last one, and those that are asked for. */
  readonly settings: CheckpointSettings | undefined
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly logger: Logger
  readonly dealers: readonly SplitDealer[]
  /** The subtasks that take part: id and name. */
  readonly subtasks: () => ReadonlyMap<string, string>
  readonly send: (command: SlotCommand) => void
  readonly onCompleted: (checkpoint: CompletedCheckpoint) => void
  readonly onFailed: (error: EngineError) => void
  /** Too many failed in a row, or this process is no longer the owner. */
  readonly onFatal: (error: EngineError) => void
}

interface Running {
  readonly pending: PendingCheckpoint
  readonly startedMs: number
  readonly isSelfContained: boolean
  readonly directory: string | undefined
  readonly result: Deferred<CompletedCheckpoint>
  readonly cancelTimer: () => void
  isPublishing: boolean
}

interface Confirmation {
  readonly checkpointId: number
  readonly missing: Set<string>
  readonly done: Deferred<void>
}

const TIMEOUT_MS_DEFAULT = 600_000

export class CheckpointCoordinator {
  readonly #options: CheckpointCoordinatorOptions
  /** From the request to the manifest, or its failure. */
  #current: Promise<unknown> | undefined
  #running: Running | undefined
  #confirmation: Confirmation | undefined
  #failures = 0
  /** Checkpoints since the last that shares no file with others. */
  #sinceSelfContained = Infinity
  #startedMs = -Infinity
  #endedMs = -Infinity
  /** None is begun by itself. */
  #isHeld = true
  /** None is begun at all: subtasks are being restarted. */
  #isBlocked = true
  #isClosed = false
  #cancelTimer: () => void = () => {}
  /** Settles when no checkpoint is being removed. */
  #expiring: Promise<void> = Promise.resolve()
  /** What retention has to look at. */
  readonly #published: { readonly checkpointId: number; readonly isSelfContained: boolean }[] = []

  constructor(options: CheckpointCoordinatorOptions) {
    this.#options = options
  }

  /** Checkpoints that are there already, oldest first. */
  setPublished(manifests: readonly Manifest[]): void {
    for (const { checkpointId, isSelfContained } of manifests) {
      this.#published.push({ checkpointId, isSelfContained })
      this.#sinceSelfContained = isSelfContained ? 0 : this.#sinceSelfContained + 1
    }
  }

  /** A checkpoint that can never be restored and was discarded. */
  forget(checkpointId: number): void {
    const index = this.#published.findIndex((each) => each.checkpointId === checkpointId)
    if (index >= 0) this.#published.splice(index, 1)
  }

  /** A checkpoint turned out to be damaged: nothing relies on it any more, and the next shares no file with those before. */
  distrust(checkpointId: number): void {
    const index = this.#published.findIndex((one) => one.checkpointId === checkpointId)
    if (index >= 0) this.#published[index] = { checkpointId, isSelfContained: false }
    this.#sinceSelfContained = Infinity
  }

  /** All subtasks run: begins or goes on taking checkpoints. */
  resume(): void {
    this.#isBlocked = false
    this.#isHeld = false
    this.#startedMs = this.#options.clock.elapsed()
    this.#schedule()
  }

  /** Subtasks are gone: gives up what is under way; settles when nothing is being published any more. */
  async block(): Promise<void> {
    this.#isBlocked = true
    this.#cancelTimer()
    const error = new EngineError('CHECKPOINT_FAILED', 'Subtasks ended while it was taken')
    this.#giveUp(error)
    this.#confirmation?.done.reject(error)
    this.#confirmation = undefined
    await this.#settled()
  }

  /** Takes none by itself any more, only those that are asked for; settles when none is under way. */
  async hold(): Promise<void> {
    this.#isHeld = true
    this.#cancelTimer()
    await this.#settled()
  }

  /** Takes a checkpoint now; settles when it is published. */
  takeCheckpoint(): Promise<CompletedCheckpoint> {
    return this.#request('checkpoint', undefined)
  }

  /** Takes a savepoint below `directory`; settles when it is published. */
  takeSavepoint(directory: string): Promise<CompletedCheckpoint> {
    return this.#request('savepoint', directory)
  }

  /** Makes the sinks commit what a savepoint covers: for the last one of a job that takes no checkpoints. */
  complete(checkpointId: number): Promise<void> {
    return this.#complete(checkpointId)
  }

  /** Settles when all output of the last completed checkpoint is committed. */
  async confirmed(): Promise<void> {
    await this.#confirmation?.done.promise
  }

  onAcknowledged(checkpointId: number, ack: SubtaskAck): void {
    const running = this.#running
    if (running === undefined || running.pending.mark.checkpointId !== checkpointId) return
    if (running.pending.acknowledge(ack)) void this.#publish(running)
  }

  onDeclined(checkpointId: number, error: EngineError): void {
    const running = this.#running
    if (running?.pending.mark.checkpointId !== checkpointId) return
    this.#giveUp(
      running.pending.mark.kind === 'checkpoint'
        ? new EngineError(
            'CHECKPOINT_FAILED',
            `Checkpoint ${checkpointId} failed: ${error.message}`,
            { cause: error },
          )
        : new EngineError(
            'SAVEPOINT_FAILED',
            `Savepoint ${checkpointId} failed: ${error.message}; the job runs on, try again`,
            { cause: error },
          ),
    )
  }

  onConfirmed(checkpointId: number, subtask: string): void {
    const confirmation = this.#confirmation
    if (confirmation?.checkpointId !== checkpointId) return
    confirmation.missing.delete(subtask)
    if (confirmation.missing.size > 0) return
    this.#confirmation = undefined
    confirmation.done.resolve()
    this.#schedule()
    this.#expiring = this.#expiring.then(() => this.#expire())
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.block()
    // the directory may be another's as soon as it is let go
    await this.#expiring
  }

  async #settled(): Promise<void> {
    // its failure is told to whoever asked for it
    await this.#current?.catch(() => {})
  }

  async #request(
    kind: CheckpointMark['kind'],
    directory: string | undefined,
  ): Promise<CompletedCheckpoint> {
    while (this.#current !== undefined) await this.#settled()
    if (kind === 'checkpoint' && this.#confirmation !== undefined) {
      // what sinks hold open for unconfirmed checkpoints is bounded; why it is not confirmed is told elsewhere
      await this.#confirmation.done.promise.catch(() => {})
      return this.#request(kind, directory)
    }
    const taking = this.#take(kind, directory)
    this.#current = taking
    try {
      return await taking
    } finally {
      this.#current = undefined
      this.#endedMs = this.#options.clock.elapsed()
      this.#schedule()
    }
  }

  async #take(
    kind: CheckpointMark['kind'],
    directory: string | undefined,
  ): Promise<CompletedCheckpoint> {
    const { store, clock, scheduler, settings, send, attempt } = this.#options
    const startedMs = clock.elapsed()
    this.#startedMs = startedMs
    const checkpointId = await store.reserve()
    const expected = this.#options.subtasks()
    if (this.#isClosed || this.#isBlocked || expected.size === 0) {
      throw new EngineError(
        'JOB_NOT_RUNNING',
        'No checkpoint can be taken now: the job is starting, restarting or over; try again when it runs',
      )
    }
    const every = settings?.selfContainedEvery ?? 1
    const isSelfContained = kind === 'savepoint' || this.#sinceSelfContained + 1 >= every
    const to =
      directory === undefined
        ? undefined
        : store.savepointDirectory(directory, checkpointId, attempt())
    const mark: CheckpointMark = { checkpointId, kind }
    const timeoutMs = settings?.timeoutMs ?? TIMEOUT_MS_DEFAULT
    const result = new Deferred<CompletedCheckpoint>()
    this.#running = {
      pending: new PendingCheckpoint({
        mark,
        expected,
        knownSplits: new Map(this.#options.dealers.map((dealer) => [dealer.uid, dealer.known()])),
      }),
      startedMs,
      isSelfContained,
      directory: to,
      result,
      isPublishing: false,
      cancelTimer: scheduler.after(timeoutMs, () => this.#timeOut(checkpointId, timeoutMs)),
    }
    send({
      kind: 'trigger',
      trigger: {
        mark,
        attempt: attempt(),
        isSelfContained,
        ...(to === undefined ? {} : { directory: to }),
      },
    })
    return result.promise
  }

  #timeOut(checkpointId: number, timeoutMs: number): void {
    const running = this.#running
    if (running?.pending.mark.checkpointId !== checkpointId || running.isPublishing) return
    const missing = running.pending.missing()
    this.#giveUp(
      new EngineError(
        'CHECKPOINT_TIMEOUT',
        `Checkpoint ${checkpointId} timed out after ${timeoutMs} ms waiting for ${someOf(missing)}; ` +
          `if they are slow rather than stuck, raise the checkpoint timeout`,
      ),
    )
  }

  /** Ends the running checkpoint without a result, unless it is being published. */
  #giveUp(error: EngineError): void {
    const running = this.#running
    if (running === undefined || running.isPublishing) return
    const { checkpointId, kind } = running.pending.mark
    this.#running = undefined
    running.cancelTimer()
    this.#options.send({ kind: 'abort', checkpointId })
    running.result.reject(error)
    if (this.#isBlocked) return
    if (running.directory !== undefined) {
      this.#options.store.discardSavepoint(running.directory).catch(() => {})
    }
    if (kind === 'checkpoint') this.#countFailure(error)
  }

  #countFailure(error: EngineError): void {
    this.#failures += 1
    const failuresMax = this.#options.settings?.failuresMax ?? 0
    this.#options.onFailed(error)
    if (this.#failures <= failuresMax) return
    const count = this.#failures
    this.#failures = 0
    this.#options.onFatal(
      new EngineError(
        'CHECKPOINT_FAILURES_EXCEEDED',
        `${count} checkpoint(s) in a row failed, ${failuresMax} are tolerated; the last: ${error.message}`,
        { cause: error },
      ),
    )
  }

  async #publish(running: Running): Promise<void> {
    const { store, clock, attempt, lineage, jobName, maxParallelism } = this.#options
    const { mark } = running.pending
    running.isPublishing = true
    running.cancelTimer()
    try {
      const completedAtMs = clock.now()
      const manifest = running.pending.manifest({
        jobName,
        lineage: lineage(),
        completedAtMs,
        maxParallelism,
        isSelfContained: running.isSelfContained,
      })
      if (running.directory === undefined) await store.publish(manifest, attempt())
      else await store.publishSavepoint(running.directory, manifest)
      this.#running = undefined
      const completed: CompletedCheckpoint = {
        checkpointId: mark.checkpointId,
        kind: mark.kind,
        completedAtMs,
        durationMs: clock.elapsed() - running.startedMs,
        bytes: bytesOf(manifest),
        ...(running.directory === undefined ? {} : { path: running.directory }),
      }
      if (mark.kind === 'checkpoint') this.#onPublished(manifest)
      this.#options.onCompleted(completed)
      running.result.resolve(completed)
    } catch (error) {
      this.#running = undefined
      const known = toEngineError(error)
      this.#options.send({ kind: 'abort', checkpointId: mark.checkpointId })
      running.result.reject(known)
      if (known.code === 'FENCED') this.#options.onFatal(known)
      else if (mark.kind === 'checkpoint') this.#countFailure(known)
    }
  }

  #onPublished(manifest: Manifest): void {
    const { checkpointId, isSelfContained } = manifest
    this.#failures = 0
    this.#sinceSelfContained = isSelfContained ? 0 : this.#sinceSelfContained + 1
    this.#published.push({ checkpointId, isSelfContained })
    void this.#complete(checkpointId).catch(() => {
      // told to whoever waits for the confirmation; the commits are repeated after the restart
    })
    for (const dealer of this.#options.dealers) {
      const operator = manifest.operators.find(({ uid }) => uid === dealer.uid)
      const splits = (operator?.subtasks ?? []).flatMap(
        ({ items }) => decodeItems(items) as readonly SplitState[],
      )
      dealer.onCheckpointComplete(splits.map(({ id, position }) => ({ splitId: id, position })))
    }
  }

  /** Makes the sinks commit. What is to be confirmed is known at once: whoever asks next waits for it. */
  async #complete(checkpointId: number): Promise<void> {
    const former = this.#confirmation
    if (this.#isBlocked) {
      // it was being published when they ended: nobody is there to commit, whoever restores it will
      throw new EngineError(
        'CHECKPOINT_FAILED',
        `Subtasks ended before checkpoint ${checkpointId} was committed`,
      )
    }
    const confirmation: Confirmation = {
      checkpointId,
      missing: new Set(this.#options.subtasks().keys()),
      done: new Deferred<void>(),
    }
    // whoever waits for the former waits for this one, which covers it
    confirmation.done.promise.then(
      () => former?.done.resolve(),
      (reason: unknown) => former?.done.reject(reason),
    )
    this.#confirmation = confirmation
    try {
      await this.#options.store.checkOwner()
    } catch (error) {
      confirmation.done.reject(error)
      this.#options.onFatal(toEngineError(error))
      throw error
    }
    this.#options.send({ kind: 'complete', checkpointId })
    const cancelLimit = this.#limit(confirmation)
    await confirmation.done.promise.finally(cancelLimit)
  }

  /**
   * Until a checkpoint is confirmed none follows it, so a subtask that hangs or can't commit must not hold the job for ever: each time-out
   * that passes counts as a failed checkpoint.
   */
  #limit(confirmation: Confirmation): () => void {
    const { scheduler, settings } = this.#options
    const timeoutMs = settings?.timeoutMs ?? TIMEOUT_MS_DEFAULT
    let cancel: () => void
    const expect = (): void => {
      cancel = scheduler.after(timeoutMs, () => {
        if (this.#confirmation !== confirmation) return
        expect()
        const names = this.#options.subtasks()
        const missing = [...confirmation.missing].map((id) => names.get(id) ?? id)
        this.#countFailure(
          new EngineError(
            'CHECKPOINT_TIMEOUT',
            `Checkpoint ${confirmation.checkpointId} was taken but not committed within ${timeoutMs} ms by ` +
              `${someOf(missing)}; if they are slow rather than stuck, raise the checkpoint timeout`,
          ),
        )
      })
    }
    expect()
    return () => cancel()
  }

  async #expire(): Promise<void> {
    const { settings, store, logger } = this.#options
    const expired = new Set(
      expiredCheckpoints(this.#published, { retainCount: settings?.retainCount ?? 1 }),
    )
    if (expired.size === 0) return
    const kept = this.#published.filter(({ checkpointId }) => !expired.has(checkpointId))
    this.#published.splice(0, this.#published.length, ...kept)
    for (const checkpointId of expired) {
      try {
        await store.checkOwner()
        await store.discard(checkpointId)
      } catch (error) {
        // the next start sweeps what is left of it
        logger.warn(
          `Checkpoint ${checkpointId} could not be removed: ${toEngineError(error).message}`,
        )
      }
    }
  }

  #schedule(): void {
    const { settings, scheduler, clock } = this.#options
    if (settings === undefined || this.#isHeld || this.#isBlocked || this.#isClosed) return
    this.#cancelTimer()
    const nextMs = Math.max(
      this.#startedMs + settings.intervalMs,
      this.#endedMs + settings.minPauseMs,
    )
    this.#cancelTimer = scheduler.after(Math.max(0, nextMs - clock.elapsed()), () => {
      if (this.#current !== undefined || this.#isHeld || this.#isBlocked) return
      // what sinks hold open for unconfirmed checkpoints is bounded: the confirmation begins the next
      if (this.#confirmation !== undefined) return
      // failures are counted where they happen
      this.takeCheckpoint().catch(() => {})
    })
  }
}

/** The first few names, and how many more there are. */
function someOf(names: readonly string[]): string {
  const more = names.length > 10 ? ` and ${names.length - 10} others` : ''
  return `${names.slice(0, 10).join(', ')}${more}`
}

function bytesOf(manifest: Manifest): number {
  let bytes = 0
  for (const { subtasks } of manifest.operators) {
    for (const { keyed, items } of subtasks) {
      bytes += items?.length ?? 0
      for (const file of keyed?.files ?? []) bytes += file.bytes
    }
  }
  return bytes
}
