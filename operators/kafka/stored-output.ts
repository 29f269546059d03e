/**
 * Writes epochs whose records were kept in a checkpoint: one transaction with the records and the marker, by an identity that is fresh.
 *
 * Invariants
 *  - One epoch after the other: `write` is called when the former has settled.
 *  - What fails half-way is not repeated here: the transaction is aborted by whoever takes the id next, and the marker tells
 *    whether it had been committed.
 */
import { Deferred } from '../../src/core/deferred.ts'
import type { EngineError } from '../../src/core/errors.ts'
import { EpochTransaction } from './epoch-transaction.ts'
import { partitionId } from './kafka-client.ts'
import type { ProducerIdentity, TransactionalClient, TransactionIdentity } from './kafka-client.ts'
import type { StoredBatch, StoredEpoch } from './kafka-epoch.ts'
import { ProduceQueue } from './produce-queue.ts'
import type { BatchContents } from './produce-queue.ts'
import { RecordSender } from './record-sender.ts'
import { retrying } from './retrying.ts'
import type { RetryContext } from './retrying.ts'

export class StoredOutput {
  readonly #context: RetryContext
  readonly #client: TransactionalClient
  readonly #queues = new Map<string, ProduceQueue>()
  readonly #sender: RecordSender
  #done: Deferred<void> | undefined
  #failure: EngineError | undefined

  constructor(context: RetryContext, client: TransactionalClient) {
    this.#context = context
    this.#client = client
    const { clock, timers, logger } = context
    this.#sender = new RecordSender({
      client,
      compression: 'none', // they were compressed when they were kept
      clock,
      timers,
      logger,
      acknowledged: ({ epoch, count }) => {
        epoch.unacknowledgedCount -= count
        if (epoch.unacknowledgedCount === 0) this.#done?.resolve()
      },
      fail: (error) => {
        this.#failure = error
        this.#done?.reject(error)
      },
    })
  }

  /** Answers the identity for the next transaction of the id, where the broker gives it. */
  async write(
    epoch: StoredEpoch,
    identity: TransactionIdentity,
  ): Promise<ProducerIdentity | undefined> {
    if (this.#failure !== undefined) throw this.#failure
    const transaction = new EpochTransaction(identity)
    const unacknowledgedCount = epoch.batches.reduce((sum, { count }) => sum + count, 0)
    const outgoing = { unacknowledgedCount, transaction, number: epoch.checkpointId }
    if (unacknowledgedCount > 0) {
      this.#done = new Deferred()
      for (const batch of epoch.batches) this.#queueOf(batch).push(outgoing, contentsOf(batch))
      this.#sender.wake()
      await this.#done.promise
    }
    const { lineage, checkpointId, marker } = epoch
    await retrying(this.#context, () =>
      this.#client.mark(identity, marker, { offset: checkpointId, metadata: lineage }),
    )
    return retrying(this.#context, () => this.#client.endTransaction(identity, 'commit'))
  }

  /** Closes the client too. */
  close(): Promise<void> {
    return this.#sender.close()
  }

  #queueOf({ topic, partition }: StoredBatch): ProduceQueue {
    const id = partitionId(topic, partition)
    let queue = this.#queues.get(id)
    if (queue === undefined) {
      queue = new ProduceQueue(topic, partition)
      this.#queues.set(id, queue)
      this.#sender.add(queue)
    }
    return queue
  }
}

function contentsOf({ count, bytes }: StoredBatch): BatchContents {
  // its own bytes: they are stamped where they lie
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  return { count, bytes: bytes.length, finish: () => buffer }
}
