/**
 * The transactions of a cluster as its coordinators keep them: one state per transactional id (Kafka's TransactionMetadata), moved by
 * requests and by the clock.
 *
 * A transaction ends in two steps: it is prepared, which decides how it ends and is what the request waits for; then its end is
 * written to each partition and group that it has, one by one; then it is complete. In between the id takes no other transaction.
 *
 * Differences of the levels of `transaction.version`: under 2 each end that is asked for raises the epoch, so the repetition of a
 * request is known by its epoch, and what comes late is refused.
 */
import type {
  ProducerIdentity,
  TransactionIdentity,
} from '../../../operators/kafka/kafka-client.ts'
import { code } from './codes.ts'

export type TransactionPhase =
  'Empty' | 'Ongoing' | 'PrepareCommit' | 'PrepareAbort' | 'CompleteCommit' | 'CompleteAbort'

export interface Transaction {
  readonly transactionalId: string
  producerId: bigint
  epoch: number
  phase: TransactionPhase
  timeoutMs: number
  /** Partitions and groups that have a part in it. */
  readonly places: Set<string>
  /** Calls off the end by time-out. */
  ended: () => void
}

export interface CoordinatorParts {
  /** The level of `transaction.version`. */
  readonly version: 0 | 2
  readonly timeoutMsMax: number
  /** Something that the brokers do among themselves, at a time of their choice. */
  readonly later: (what: string, run: () => void) => void
  /** The answer cancels it. */
  readonly after: (delayMs: number, run: () => void) => () => void
  /** Writes the end of a transaction to one of its places. */
  readonly writeEnd: (place: string, identity: ProducerIdentity, end: 'commit' | 'abort') => void
}

export interface Refused {
  readonly errorCode: number
}

export class TransactionCoordinator {
  readonly #parts: CoordinatorParts
  readonly #transactions = new Map<string, Transaction>()
  #producerIds = 1000n

  constructor(parts: CoordinatorParts) {
    this.#parts = parts
  }

  newProducerId(): bigint {
    return this.#producerIds++
  }

  find(transactionalId: string): Transaction | undefined {
    return this.#transactions.get(transactionalId)
  }

  initProducer(transactionalId: string, timeoutMs: number): Refused | ProducerIdentity {
    if (timeoutMs <= 0 || timeoutMs > this.#parts.timeoutMsMax) {
      return { errorCode: code.invalidTransactionTimeout }
    }
    const known = this.#transactions.get(transactionalId)
    if (known === undefined) {
      const fresh: Transaction = {
        transactionalId,
        producerId: this.newProducerId(),
        epoch: 0,
        phase: 'Empty',
        timeoutMs,
        places: new Set(),
        ended: () => {},
      }
      this.#transactions.set(transactionalId, fresh)
      return { producerId: fresh.producerId, epoch: fresh.epoch }
    }
    switch (known.phase) {
      case 'PrepareCommit':
      case 'PrepareAbort':
        return { errorCode: code.concurrentTransactions }
      case 'Ongoing':
        this.#fence(known)
        return { errorCode: code.concurrentTransactions }
      default:
        known.epoch += 1
        known.phase = 'Empty'
        known.timeoutMs = timeoutMs
        return { producerId: known.producerId, epoch: known.epoch }
    }
  }

  /** Adds partitions or a group; the first begins the transaction. */
  add(identity: TransactionIdentity, places: readonly string[]): number {
    const known = this.#transactions.get(identity.transactionalId)
    if (known === undefined || known.producerId !== identity.producerId) {
      return code.invalidProducerIdMapping
    }
    if (known.epoch !== identity.epoch) return code.producerFenced
    if (isPrepared(known)) return code.concurrentTransactions
    if (known.phase !== 'Ongoing') this.#begin(known)
    for (const place of places) known.places.add(place)
    return code.none
  }

  /** Whether the identity's transaction is open and has the place: asked before anything is written in it. */
  verify(identity: TransactionIdentity, place: string): number {
    const known = this.#transactions.get(identity.transactionalId)
    if (known === undefined || known.producerId !== identity.producerId) {
      return code.invalidProducerIdMapping
    }
    if (known.epoch !== identity.epoch) return code.invalidProducerEpoch
    if (isPrepared(known)) return code.concurrentTransactions
    return known.phase === 'Ongoing' && known.places.has(place)
      ? code.none
      : code.invalidTransactionState
  }

  /** `raisesEpoch`: as version 5 of the request does. */
  end(
    { transactionalId, producerId, epoch }: TransactionIdentity,
    end: 'commit' | 'abort',
    raisesEpoch: boolean,
  ): Refused | ProducerIdentity {
    const known = this.#transactions.get(transactionalId)
    if (known === undefined || known.producerId !== producerId) {
      return { errorCode: code.invalidProducerIdMapping }
    }
    const isRepetition = raisesEpoch && known.epoch === epoch + 1
    const isOwn = known.epoch === epoch
    const refusal = raisesEpoch
      ? refusalOfNewer(known, end, { isOwn, isRepetition })
      : refusalOfOlder(known, end, isOwn)
    if (refusal !== undefined && refusal !== code.none) return { errorCode: refusal }
    if (refusal === undefined) {
      if (raisesEpoch) known.epoch += 1
      this.#prepare(known, end)
    }
    return { producerId: known.producerId, epoch: known.epoch }
  }

  #begin(transaction: Transaction): void {
    transaction.phase = 'Ongoing'
    transaction.ended = this.#parts.after(transaction.timeoutMs, () => this.#fence(transaction))
  }

  /** Nobody can go on with what is open: it is aborted under an epoch that nobody has. */
  #fence(transaction: Transaction): void {
    transaction.epoch += 1
    this.#prepare(transaction, 'abort')
  }

  #prepare(transaction: Transaction, end: 'commit' | 'abort'): void {
    const { later, writeEnd } = this.#parts
    const { producerId, epoch, places } = transaction
    const complete = (): void => {
      transaction.phase = end === 'commit' ? 'CompleteCommit' : 'CompleteAbort'
    }
    transaction.ended()
    transaction.phase = end === 'commit' ? 'PrepareCommit' : 'PrepareAbort'
    if (places.size === 0) return later(`complete ${transaction.transactionalId}`, complete)
    for (const place of places) {
      later(`${end} ${place}`, () => {
        writeEnd(place, { producerId, epoch }, end)
        places.delete(place)
        if (places.size === 0) complete()
      })
    }
  }
}

function isPrepared({ phase }: Transaction): boolean {
  return phase === 'PrepareCommit' || phase === 'PrepareAbort'
}

/** Undefined: it is to be ended. */
function refusalOfOlder(
  { phase }: Transaction,
  end: 'commit' | 'abort',
  isOwn: boolean,
): number | undefined {
  if (!isOwn) return code.producerFenced
  const isSame = phase.endsWith(end === 'commit' ? 'Commit' : 'Abort')
  switch (phase) {
    case 'Ongoing':
      return undefined
    case 'CompleteCommit':
    case 'CompleteAbort':
      return isSame ? code.none : code.invalidTransactionState
    case 'PrepareCommit':
    case 'PrepareAbort':
      return isSame ? code.concurrentTransactions : code.invalidTransactionState
    case 'Empty':
      return code.invalidTransactionState
  }
}

/** An own epoch asks for the end of the next transaction, which may have nothing in it if it is aborted. */
function refusalOfNewer(
  { phase }: Transaction,
  end: 'commit' | 'abort',
  { isOwn, isRepetition }: { readonly isOwn: boolean; readonly isRepetition: boolean },
): number | undefined {
  const isSame = phase.endsWith(end === 'commit' ? 'Commit' : 'Abort')
  switch (phase) {
    case 'Ongoing':
      return isOwn ? undefined : code.producerFenced
    case 'Empty':
      if (!isOwn) return code.producerFenced
      return end === 'abort' ? undefined : code.invalidTransactionState
    case 'PrepareCommit':
    case 'PrepareAbort':
      if (!isRepetition) return code.producerFenced
      return isSame ? code.concurrentTransactions : code.invalidTransactionState
    case 'CompleteCommit':
    case 'CompleteAbort':
      if (isRepetition) return isSame ? code.none : code.invalidTransactionState
      if (!isOwn) return code.producerFenced
      return end === 'abort' ? undefined : code.invalidTransactionState
  }
}
