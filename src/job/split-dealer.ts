/**
 * Deals the splits of one source to its subtasks.
 *
 * Invariants
 *  - A split is dealt once in a lineage of checkpoints: what a restored checkpoint knows comes back through its subtasks, and only
 *    what it does not know is dealt again.
 *  - What a checkpoint knows is what had been dealt when it was triggered: commands to a slot keep their order, so a reader
 *    that takes its part has every split that was dealt before.
 */
import type { Source, Split, SplitEnumerator, SplitPosition } from '../contract/source.ts'
import { EngineError, toEngineError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import type { Clock, Scheduler } from '../core/time.ts'

export interface SplitDealerOptions {
  readonly uid: string
  readonly taskId: number
  readonly parallelism: number
  readonly source: Source<unknown>
  readonly clock: Clock
  readonly logger: Logger
  readonly scheduler: Scheduler
  /** Sends splits to a subtask of the running attempt. */
  readonly assign: (subtaskIndex: number, splits: readonly Split[], isLast: boolean) => void
}

export class SplitDealer {
  readonly uid: string
  readonly #options: SplitDealerOptions
  readonly #enumerator: SplitEnumerator
  readonly #abort = new AbortController()
  /** Every split found by this process, in the order it was found. */
  readonly #found: Split[] = []
  /** Ids that were dealt, in this process or before the restored checkpoint. */
  #dealt = new Set<string>()
  #nextSubtask = 0
  #isDealing = false
  #cancelTimer: () => void = () => {}

  constructor(options: SplitDealerOptions) {
    this.#options = options
    this.uid = options.uid
    this.#enumerator = options.source.enumerator({
      operatorUid: options.uid,
      parallelism: options.parallelism,
      clock: options.clock,
      logger: options.logger,
      signal: this.#abort.signal,
    })
  }

  get taskId(): number {
    return this.#options.taskId
  }

  /** The splits that a checkpoint triggered now knows. */
  known(): readonly string[] {
    return [...this.#dealt]
  }

  /** Looks for the first splits. `restored`: what the restored checkpoint knows. */
  async begin(restored: readonly string[]): Promise<void> {
    this.#dealt = new Set(restored)
    await this.#discover()
    this.#schedule()
  }

  /** The source's subtasks have been deployed: deals what the checkpoint they began with does not know. */
  deal(restored: readonly string[]): void {
    this.#dealt = new Set(restored)
    this.#isDealing = true
    this.#nextSubtask = 0
    this.#dealNew({ isFirst: true, isLast: this.#enumerator.discoverEveryMs === undefined })
  }

  /** The source's subtasks are gone for now. */
  pause(): void {
    this.#isDealing = false
  }

  /** A checkpoint is complete: for lag tools and the like. */
  onCheckpointComplete(positions: readonly SplitPosition[]): void {
    this.#enumerator.onCheckpointComplete?.(positions).catch((error: unknown) => {
      this.#options.logger.warn(
        `Source '${this.uid}' could not tell its positions: ${toEngineError(error).message}`,
      )
    })
  }

  async close(): Promise<void> {
    this.#isDealing = false
    this.#cancelTimer()
    this.#abort.abort()
    await this.#enumerator.close?.()
  }

  /** The first time every subtask is told, also those that get nothing: until then they do not know that they are idle. */
  #dealNew({ isFirst, isLast }: { readonly isFirst: boolean; readonly isLast: boolean }): void {
    const { parallelism, assign } = this.#options
    const hands = Array.from({ length: parallelism }, (): Split[] => [])
    for (const split of this.#found) {
      if (this.#dealt.has(split.id)) continue
      this.#dealt.add(split.id)
      hands[this.#nextSubtask]?.push(split)
      this.#nextSubtask = (this.#nextSubtask + 1) % parallelism
    }
    hands.forEach((splits, subtaskIndex) => {
      if (splits.length > 0 || isFirst) assign(subtaskIndex, splits, isLast)
    })
  }

  async #discover(): Promise<void> {
    const known = new Set([...this.#dealt, ...this.#found.map(({ id }) => id)])
    const found = await this.#enumerator.discover(known)
    for (const split of found) {
      if (known.has(split.id)) {
        throw new EngineError('SOURCE_FAILED', `The source names the split '${split.id}' twice`, {
          operatorUid: this.uid,
        })
      }
      known.add(split.id)
      this.#found.push(split)
    }
  }

  #schedule(): void {
    const everyMs = this.#enumerator.discoverEveryMs
    if (everyMs === undefined || this.#abort.signal.aborted) return
    this.#cancelTimer = this.#options.scheduler.after(everyMs, () => {
      void this.#rediscover()
    })
  }

  async #rediscover(): Promise<void> {
    try {
      await this.#discover()
      if (this.#isDealing) this.#dealNew({ isFirst: false, isLast: false })
    } catch (error) {
      // the splits known so far go on; the next look may succeed
      this.#options.logger.warn(
        `Source '${this.uid}' could not look for new splits: ${toEngineError(error).message}`,
      )
    }
    this.#schedule()
  }
}
