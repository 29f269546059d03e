/**
 * One transaction of a sink: the records of one epoch, and the marker that becomes visible with them.
 *
 * Invariants
 *  - A partition is added before the first batch for it is sent, once; one request is under way at a time.
 *  - `ranges` are the offsets of what was acknowledged, by partition: since nobody else writes under this identity, they tell people
 *    where to look.
 */
import { partitionId } from './kafka-client.ts'
import type { TopicPartition, TransactionalClient, TransactionIdentity } from './kafka-client.ts'

/** Offsets of an epoch's records in one partition; records of others may lie between. */
export interface WrittenRange extends TopicPartition {
  readonly firstOffset: number
  readonly lastOffset: number
}

export class EpochTransaction {
  readonly identity: TransactionIdentity
  readonly #added = new Set<string>()
  readonly #ranges = new Map<string, WrittenRange>()
  #adding: Promise<void> = Promise.resolve()

  constructor(identity: TransactionIdentity) {
    this.identity = identity
  }

  get ranges(): readonly WrittenRange[] {
    return [...this.#ranges.values()]
  }

  /** Settles when all of these belong to the transaction. */
  add(client: TransactionalClient, partitions: readonly TopicPartition[]): Promise<void> {
    const adding = this.#adding
      .catch(() => undefined) // told to whoever asked for it
      .then(() => this.#add(client, partitions))
    this.#adding = adding
    return adding
  }

  acknowledged(topic: string, partition: number, baseOffset: number, count: number): void {
    // a batch that had been written before, and acknowledged only now, does not say where
    if (baseOffset < 0) return
    const id = partitionId(topic, partition)
    const former = this.#ranges.get(id)
    const firstOffset = Math.min(former?.firstOffset ?? Infinity, baseOffset)
    const lastOffset = Math.max(former?.lastOffset ?? -1, baseOffset + count - 1)
    this.#ranges.set(id, { topic, partition, firstOffset, lastOffset })
  }

  async #add(client: TransactionalClient, partitions: readonly TopicPartition[]): Promise<void> {
    const fresh = partitions.filter(
      ({ topic, partition }) => !this.#added.has(partitionId(topic, partition)),
    )
    if (fresh.length === 0) return
    await client.addPartitions(this.identity, fresh)
    for (const { topic, partition } of fresh) this.#added.add(partitionId(topic, partition))
  }
}
