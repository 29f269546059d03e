/**
 * The transactional ids of one subtask: each is ready for a transaction, in one, or on its way from one to the next.
 *
 * Invariants
 *  - An id is handed out with an identity that nobody has used: that which the broker gave with the end of its last transaction, or
 *    a new one. So a zombie of an earlier transaction is refused.
 *  - Ids are handed out in turn.
 */
import type { ProducerIdentity, TransactionalClient, TransactionIdentity } from './kafka-client.ts'
import { retrying } from './retrying.ts'
import type { RetryContext } from './retrying.ts'

export interface TransactionPoolOptions {
  readonly context: RetryContext
  readonly client: TransactionalClient
  readonly ids: readonly string[]
  readonly timeoutMs: number
}

export class TransactionPool {
  readonly #options: TransactionPoolOptions
  readonly #ready: TransactionIdentity[] = []

  private constructor(options: TransactionPoolOptions) {
    this.#options = options
  }

  /** Settles when all ids are ready: what former runs had open under them is aborted. */
  static async open(options: TransactionPoolOptions): Promise<TransactionPool> {
    const pool = new TransactionPool(options)
    pool.#ready.push(...(await Promise.all(options.ids.map((id) => pool.#renew(id)))))
    return pool
  }

  get readyCount(): number {
    return this.#ready.length
  }

  take(): TransactionIdentity | undefined {
    return this.#ready.shift()
  }

  /**
   * Its transaction was ended; `next` is what the broker answered. Settles when the id is ready: at once, or when the broker has given
   * it a new identity.
   */
  async release(transactionalId: string, next: ProducerIdentity | undefined): Promise<void> {
    const identity = next === undefined ? undefined : { transactionalId, ...next }
    this.#ready.push(identity ?? (await this.#renew(transactionalId)))
  }

  async #renew(transactionalId: string): Promise<TransactionIdentity> {
    const { context, client, timeoutMs } = this.#options
    const identity = await retrying(context, () =>
      client.initTransactions(transactionalId, timeoutMs),
    )
    return { transactionalId, ...identity }
  }
}
