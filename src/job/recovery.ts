/**
 * What a job begins with, at its start and after each failure: which checkpoint, what of its output is committed or given up, and
 * which line of checkpoints goes on.
 *
 * Invariants
 *  - When `recover` settles, all output that the answer covers is visible or known to be lost.
 *  - The line goes on only where its newest checkpoint is restored: after going back to an older one a new line begins, so that nothing
 *    that was written under the former is taken for this job's.
 */
import type { CheckpointStore } from '../checkpoint/checkpoint-store.ts'
import { decideLostOutput } from '../checkpoint/lost-output.ts'
import type { OnPartialCommit, SinkOutcome } from '../checkpoint/lost-output.ts'
import type { Manifest } from '../checkpoint/manifest.ts'
import { planRestore } from '../checkpoint/restore-plan.ts'
import type { RestorePlan, RestoreTarget } from '../checkpoint/restore-plan.ts'
import { EngineError, toEngineError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import type { ExecutionPlan } from '../plan/execution-plan.ts'
import { typeOf, uidOf } from '../plan/job-graph.ts'
import type { SinkRecovery } from './sink-recovery.ts'

/** What the job begins with. */
export type RestoreFrom =
  /** The newest checkpoint of the store that is whole, if there is any. */
  | { readonly kind: 'latest' }
  | { readonly kind: 'none' }
  | { readonly kind: 'manifest'; readonly manifest: Manifest }

export interface RecoveryOptions {
  readonly plan: ExecutionPlan
  readonly store: CheckpointStore
  readonly sinks: SinkRecovery
  readonly allowNonRestoredState: boolean
  readonly onPartialCommit?: OnPartialCommit
  readonly claim?: boolean
  readonly newLineage: () => string
  readonly logger: Logger
  /** A checkpoint is not whole and was passed over. */
  readonly onDamaged: (checkpointId: number) => void
  /** A checkpoint was discarded, since its output is lost. */
  readonly onGivenUp: (checkpointId: number) => void
}

interface LostOutputParts {
  readonly from: RestoreFrom
  readonly outcomes: readonly SinkOutcome[]
  /** Checkpoints after this one that were given up. */
  readonly later: readonly Manifest[]
  readonly regions: ReadonlySet<number>
}

export class Recovery {
  readonly #options: RecoveryOptions
  #lineage = ''
  /** The newest checkpoint was passed over or given up since the line was last chosen. */
  #fellBack = false
  /** Checkpoints that were passed over. */
  readonly damaged: Set<number> = new Set()

  constructor(options: RecoveryOptions) {
    this.#options = options
  }

  /** The line of checkpoints of this job; empty before the first `recover`. */
  get lineage(): string {
    return this.#lineage
  }

  /**
   * What the regions begin with. When it settles, all output that this covers is visible, and the line of checkpoints is known: a new one
   * unless the newest checkpoint of this very job goes on.
   */
  async recover(from: RestoreFrom, regions: ReadonlySet<number>): Promise<RestorePlan | undefined> {
    const { store, claim = false } = this.#options
    const later: Manifest[] = []
    for (;;) {
      const plan = await this.#chooseRestore(from)
      if (claim && plan !== undefined) await store.takeLineage(plan.manifest.lineage)
      const outcomes = await this.#options.sinks.examine(plan?.manifest, later)
      const lost =
        plan === undefined ? [] : await this.#lostOutput(plan, { from, outcomes, later, regions })
      if (lost === undefined) {
        if (plan !== undefined) later.push(plan.manifest)
        continue
      }
      await this.#chooseLineage(plan, from, regions)
      try {
        await this.#options.sinks.settle(plan?.manifest, {
          lineage: this.#lineage,
          regions,
          lost,
          later,
        })
        return plan
      } catch (error) {
        // it was there when it was looked for and is lost now: what is to be done is decided again
        if (toEngineError(error).code !== 'KAFKA_TRANSACTION_LOST') throw error
      }
    }
  }

  async #chooseLineage(
    plan: RestorePlan | undefined,
    from: RestoreFrom,
    regions: ReadonlySet<number>,
  ): Promise<void> {
    const { store, newLineage } = this.#options
    const former = plan?.manifest.lineage
    const goesOn =
      former !== undefined &&
      from.kind === 'latest' &&
      !this.#fellBack &&
      (await store.ownsLineage(former))
    this.#fellBack = false
    const isPart = regions.size < this.#options.plan.regionCount
    if (this.#lineage === '') this.#lineage = goesOn ? former : newLineage()
    // while some regions run on, the line goes on with them
    else if (!goesOn && !isPart) this.#lineage = newLineage()
    await store.takeLineage(this.#lineage)
  }

  /** What of the output is given up; undefined where another checkpoint has to be chosen. Throws what the user has to decide. */
  async #lostOutput(
    { manifest }: RestorePlan,
    { from, outcomes, later, regions }: LostOutputParts,
  ): Promise<readonly SinkOutcome[] | undefined> {
    const { checkpointId } = manifest
    const { store, logger, onPartialCommit = 'fail' } = this.#options
    // regions that run on are ahead of an earlier checkpoint
    const canGoBack = from.kind === 'latest' && regions.size === this.#options.plan.regionCount
    const formerId = canGoBack ? await this.#formerOf(manifest) : undefined
    const facts = { checkpointId, formerId, onPartialCommit }
    let decision = decideLostOutput({ ...facts, outcomes })
    if (decision.kind === 'go-back') {
      // what is open might be committed by a request that a former run has sent, as long as nobody has ended it
      const final = await this.#options.sinks.abandon(manifest, later)
      decision = decideLostOutput({ ...facts, outcomes: final })
    }
    switch (decision.kind) {
      case 'restore':
        return decision.lost
      case 'stop':
        throw decision.error
      case 'go-back':
        logger.warn(
          `Checkpoint ${checkpointId} is given up, and the job goes back to ${formerId ?? ''}: ${decision.because}`,
        )
        await store.discard(checkpointId)
        this.#options.onGivenUp(checkpointId)
        this.#fellBack = true
        return undefined
    }
  }

  /**
   * The newest checkpoint before this one in its line. Those of another line may be of what the job was taken back from: undefined where
   * only such are left.
   */
  async #formerOf({ checkpointId, lineage }: Manifest): Promise<number | undefined> {
    const { store } = this.#options
    const ids = (await store.list()).filter((id) => id < checkpointId)
    for (const id of ids.reverse()) {
      try {
        return (await store.load(id)).lineage === lineage ? id : undefined
      } catch (error) {
        if (toEngineError(error).code !== 'CHECKPOINT_CORRUPT') throw error
      }
    }
    return undefined
  }

  /** The checkpoint to begin with: checked, planned, its mapping logged. */
  async #chooseRestore(from: RestoreFrom): Promise<RestorePlan | undefined> {
    const { store, logger } = this.#options
    switch (from.kind) {
      case 'none':
        return undefined
      case 'manifest':
        return this.#planRestore(from.manifest)
      case 'latest': {
        const ids = (await store.list()).reverse()
        for (const checkpointId of ids) {
          let manifest: Manifest
          try {
            manifest = await store.load(checkpointId)
            await store.verify(manifest)
          } catch (error) {
            const known = toEngineError(error)
            if (known.code !== 'CHECKPOINT_CORRUPT') throw error
            this.#fellBack = true
            this.damaged.add(checkpointId)
            this.#options.onDamaged(checkpointId)
            logger.warn(`Checkpoint ${checkpointId} is passed over: ${known.message}`)
            continue
          }
          return this.#planRestore(manifest)
        }
        if (ids.length > 0) {
          throw new EngineError(
            'CHECKPOINT_CORRUPT',
            `None of the ${ids.length} checkpoints of job '${this.#options.plan.graph.name}' is whole; restore one from a copy, or begin anew with from 'none'`,
          )
        }
        return undefined
      }
    }
  }

  #planRestore(manifest: Manifest): RestorePlan {
    const { plan, allowNonRestoredState } = this.#options
    return planRestore(manifest, restoreTargets(plan), {
      maxParallelism: plan.maxParallelism,
      allowNonRestoredState,
    })
  }
}

/** Everything of a plan that may find state. */
export function restoreTargets(plan: ExecutionPlan): RestoreTarget[] {
  return plan.tasks.flatMap((task) =>
    task.nodes.map((node): RestoreTarget => ({
      uid: uidOf(node),
      type: typeOf(node),
      parallelism: task.parallelism,
      states: node.kind === 'operator' ? (node.operator.states ?? []) : [],
      isSource: node.kind === 'source',
      itemsRestore:
        node.kind === 'sink'
          ? 'by-subtask'
          : node.kind === 'operator'
            ? (node.operator.itemsRestore ?? 'split')
            : 'split',
    })),
  )
}
