/**
 * Commits the offsets of completed checkpoints to a consumer group, where lag tools look for them.
 *
 * Invariants
 *  - One commit is under way at a time, and a newer checkpoint replaces those that wait: offsets never go back.
 *  - What fails in passing is tried again. Nothing of this holds up the job, but for `close`, which gives the last commit a
 *    little time.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { EnumeratorContext, SplitPosition } from '../../src/contract/source.ts'
import type { GroupOffset, KafkaClient } from './kafka-client.ts'
import { parsePartitionId } from './kafka-splits.ts'
import { retrying } from './retrying.ts'

/** How long `close` waits for a commit that is under way. */
const closeMsMax = 5000

export class GroupOffsets {
  readonly #context: EnumeratorContext
  readonly #client: KafkaClient
  readonly #group: string
  /** Outlives the signal of the context, which is aborted before `close`. */
  readonly #stop = new AbortController()
  #waiting: readonly GroupOffset[] = []
  #committing: Promise<void> | undefined

  constructor(context: EnumeratorContext, client: KafkaClient, group: string) {
    this.#context = context
    this.#client = client
    this.#group = group
  }

  /** Settles when these positions, or newer ones, are committed. */
  async commit(positions: readonly SplitPosition[]): Promise<void> {
    this.#waiting = positions.flatMap(({ splitId, position }) =>
      typeof position === 'bigint' ? [{ ...parsePartitionId(splitId), offset: position }] : [],
    )
    this.#committing ??= this.#commitWaiting()
    await this.#committing
  }

  async close(): Promise<void> {
    const done = new AbortController()
    const committed = this.#committing?.catch(() => undefined) // told to whoever asked for it
    const tooLate = sleep(closeMsMax, undefined, { signal: done.signal }).catch(() => undefined)
    await Promise.race([committed, tooLate])
    done.abort()
    this.#stop.abort()
  }

  async #commitWaiting(): Promise<void> {
    const { clock, logger } = this.#context
    const context = { clock, logger, signal: this.#stop.signal }
    try {
      while (this.#waiting.length > 0) {
        await retrying(context, async () => {
          const offsets = this.#waiting
          await this.#client.commitOffsets(this.#group, offsets)
          if (this.#waiting === offsets) this.#waiting = []
        })
      }
    } finally {
      this.#committing = undefined
    }
  }
}
