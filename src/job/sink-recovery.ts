/**
 * The sinks of a job that have a coordinator's side: asked before a checkpoint is restored, and made to commit what it covers, while none
 * of their subtasks lives.
 *
 * Invariants
 *  - `settle` comes after every `examine` and `abandon`, and before any subtask of these sinks is deployed.
 *  - Nothing is committed by an owner that was superseded: the store is asked before.
 */
import { decodeItems } from '../checkpoint/manifest.ts'
import type { Manifest } from '../checkpoint/manifest.ts'
import type { CheckpointStore } from '../checkpoint/checkpoint-store.ts'
import { reportOf } from '../checkpoint/lost-output.ts'
import type { SinkOutcome } from '../checkpoint/lost-output.ts'
import type { Committable, EpochOutcome, RestoredEpoch, SinkCoordinator } from '../contract/sink.ts'
import { toEngineError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import type { Clock } from '../core/time.ts'
import type { ExecutionPlan } from '../plan/execution-plan.ts'
import { uidOf } from '../plan/job-graph.ts'

export interface SinkRecoveryOptions {
  readonly plan: ExecutionPlan
  readonly store: CheckpointStore
  readonly isCheckpointed: boolean
  readonly checkpointIntervalMs: number | undefined
  readonly clock: Clock
  readonly logger: Logger
}

interface CoordinatedSink {
  readonly uid: string
  readonly region: number
  readonly coordinator: SinkCoordinator
}

export class SinkRecovery {
  readonly #options: SinkRecoveryOptions
  readonly #abort = new AbortController()
  readonly #sinks: CoordinatedSink[] = []

  constructor(options: SinkRecoveryOptions) {
    this.#options = options
    const { plan, store, isCheckpointed, checkpointIntervalMs, clock, logger } = options
    for (const task of plan.tasks) {
      for (const node of task.nodes) {
        if (node.kind !== 'sink') continue
        const uid = uidOf(node)
        const coordinator = node.sink.coordinator?.({
          jobName: plan.graph.name,
          operatorUid: uid,
          parallelism: task.parallelism,
          isCheckpointed,
          checkpointIntervalMs,
          clock,
          logger,
          signal: this.#abort.signal,
          ledger: store.ledger(uid),
        })
        if (coordinator !== undefined) this.#sinks.push({ uid, region: task.region, coordinator })
      }
    }
  }

  /** Whether the commits of a restore are made here, not by the subtasks of this operator. */
  has(operatorUid: string): boolean {
    return this.#sinks.some(({ uid }) => uid === operatorUid)
  }

  /**
   * What became of the output of every sink that the checkpoint covers and that was not confirmed. `later`: checkpoints after it that
   * were given up.
   */
  examine(manifest: Manifest | undefined, later: readonly Manifest[]): Promise<SinkOutcome[]> {
    return this.#outcomes(manifest, later, (coordinator, epochs) => coordinator.examine(epochs))
  }

  /** The same, once nothing of it can become visible any more. */
  async abandon(manifest: Manifest, later: readonly Manifest[]): Promise<SinkOutcome[]> {
    await this.#options.store.checkOwner()
    return this.#outcomes(manifest, later, (coordinator, epochs) =>
      coordinator.abandon === undefined ? coordinator.examine(epochs) : coordinator.abandon(epochs),
    )
  }

  async #outcomes(
    manifest: Manifest | undefined,
    later: readonly Manifest[],
    ask: (
      coordinator: SinkCoordinator,
      epochs: readonly RestoredEpoch[],
    ) => Promise<readonly EpochOutcome[]>,
  ): Promise<SinkOutcome[]> {
    const all = await Promise.all(
      this.#sinks.map(async ({ uid, coordinator }) => {
        const outcomes = await this.#of(uid, ask(coordinator, epochsOf(manifest, uid, later)))
        return outcomes.map((outcome) => ({ operatorUid: uid, ...outcome }))
      }),
    )
    return all.flat()
  }

  /** Makes it visible, but for what is lost, and ends everything else that former runs of the sinks in these regions have begun. */
  async settle(
    manifest: Manifest | undefined,
    plan: {
      readonly lineage: string
      readonly regions: ReadonlySet<number>
      readonly lost: readonly SinkOutcome[]
      readonly later: readonly Manifest[]
    },
  ): Promise<void> {
    const { store, logger } = this.#options
    const sinks = this.#sinks.filter(({ region }) => plan.regions.has(region))
    if (sinks.length === 0) return
    await store.checkOwner()
    if (plan.lost.length > 0) {
      logger.warn(`Output is given up, as onPartialCommit says:${reportOf(plan.lost)}`)
    }
    await Promise.all(
      sinks.map(({ uid, coordinator }) => {
        const epochs = epochsOf(manifest, uid, plan.later).filter(
          (epoch) =>
            !plan.lost.some(
              (lost) =>
                lost.operatorUid === uid &&
                lost.subtaskIndex === epoch.subtaskIndex &&
                lost.checkpointId === epoch.checkpointId,
            ),
        )
        return this.#of(uid, coordinator.settle(epochs, plan.lineage))
      }),
    )
  }

  async close(): Promise<void> {
    this.#abort.abort()
    for (const { coordinator } of this.#sinks) await coordinator.close?.()
  }

  async #of<T>(operatorUid: string, work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      throw toEngineError(error).at({ job: this.#options.plan.graph.name, operatorUid })
    }
  }
}

/**
 * The unconfirmed epochs of a sink, of one former subtask after the other. What was unconfirmed at a checkpoint and is not named by a
 * later one was confirmed in between.
 */
function epochsOf(
  manifest: Manifest | undefined,
  operatorUid: string,
  later: readonly Manifest[],
): RestoredEpoch[] {
  const named = later.map((each) => new Set(namedEpochs(each, operatorUid).map(nameOf)))
  return namedEpochs(manifest, operatorUid).filter((epoch) =>
    named.every((names) => names.has(nameOf(epoch))),
  )
}

function namedEpochs(manifest: Manifest | undefined, operatorUid: string): RestoredEpoch[] {
  const operator = manifest?.operators.find(({ uid }) => uid === operatorUid)
  return (operator?.subtasks ?? []).flatMap((subtask) =>
    (decodeItems(subtask.items) as readonly Committable[]).map((committable) => ({
      subtaskIndex: subtask.subtaskIndex,
      ...committable,
    })),
  )
}

function nameOf({ subtaskIndex, checkpointId }: RestoredEpoch): string {
  return `${subtaskIndex}/${checkpointId}`
}
