/**
 * Sends the batches of a subtask's partitions in the background: to each broker one request at a time, with the oldest
 * batch of each partition that it leads, acknowledged by all replicas in sync.
 *
 * Invariants
 *  - What failed in passing is sent again as it was, so a broker that had written it already does not write it twice.
 *  - Where the broker no longer knows the producer, the batch is sent under a new identity: then it may be there twice. It may
 *    also be there twice after a restart of the broker if its records are older than a day (producer.id.expiration.ms): the
 *    broker goes by their times when it recovers what it knows of producers.
 *  - Batches whose epoch has a transaction are written under its identity, one transaction a request; their partitions are
 *    added to it before. Where the broker does not know that identity any more the transaction is lost, and all fails.
 */
import { EngineError, toEngineError } from '../../src/core/errors.ts'
import type { Logger } from '../../src/core/log.ts'
import type { Clock } from '../../src/core/time.ts'
import { BrokerLoops } from './broker-loops.ts'
import type { Compression } from './compression.ts'
import { partitionId } from './kafka-client.ts'
import type { ProducerIdentity, TransactionalClient } from './kafka-client.ts'
import { brokerCode, brokerError, transactionError } from './kafka-errors.ts'
import type { EpochTransaction } from './epoch-transaction.ts'
import type { Timed } from './pause.ts'
import type { OutgoingBatch, ProduceQueue, SinkEpoch } from './produce-queue.ts'

/** Bytes of one request, unless its first batch alone is larger. */
const requestBytesMax = 8 * 1024 * 1024

const lostProducerCodes: ReadonlySet<number> = new Set([
  brokerCode.outOfOrderSequence,
  brokerCode.invalidProducerEpoch,
  brokerCode.invalidProducerIdMapping,
  brokerCode.unknownProducerId,
])

export interface RecordSenderOptions extends Timed {
  readonly client: TransactionalClient
  readonly compression: Compression
  readonly clock: Clock
  readonly logger: Logger
  acknowledged(batch: OutgoingBatch): void
  fail(error: EngineError): void
}

export class RecordSender {
  readonly #options: RecordSenderOptions
  readonly #loops: BrokerLoops<ProduceQueue>
  #producer: ProducerIdentity | undefined
  #turnCount = 0

  /** `producer`: who writes what belongs to no transaction. */
  constructor(options: RecordSenderOptions, producer?: ProducerIdentity) {
    this.#options = options
    this.#producer = producer
    this.#loops = new BrokerLoops({
      ...options,
      turn: (brokerId, queues) => this.#turn(brokerId, queues),
    })
  }

  add(queue: ProduceQueue): void {
    this.#loops.add(queue)
  }

  /** Sends what is there. */
  wake(): void {
    for (const queue of this.#loops.partitions) if (!queue.isEmpty) this.#loops.wake(queue)
  }

  async close(): Promise<void> {
    const ended = this.#loops.close()
    await this.#options.client.close()
    await ended
  }

  async #turn(brokerId: number, queues: readonly ProduceQueue[]): Promise<boolean> {
    const { client, compression } = this.#options
    const sending = new Map<
      string,
      { readonly queue: ProduceQueue; readonly batch: OutgoingBatch }
    >()
    const request = []
    let requestBytes = 0
    try {
      const transaction = oldestTransaction(queues)
      for (const queue of this.#inTurn(queues)) {
        const batch = queue.head()
        if (batch === undefined || batch.epoch.transaction !== transaction) continue
        const wireBytes = batch.wire(compression).length
        if (requestBytes > 0 && requestBytes + wireBytes > requestBytesMax) break
        requestBytes += wireBytes
        sending.set(queue.id, { queue, batch })
        const producer = transaction?.identity ?? queue.producer ?? (await this.#identity())
        const bytes = queue.stamped(batch, producer, compression)
        request.push({ topic: queue.topic, partition: queue.partition, bytes })
      }
      if (sending.size === 0) return false
      await transaction?.add(client, request)
      const transactionalId = transaction?.identity.transactionalId
      const answer = await client.produce(brokerId, request, transactionalId)
      for (const { topic, partition, errorCode, baseOffset = -1 } of answer) {
        const sent = sending.get(partitionId(topic, partition))
        if (sent === undefined) continue
        sending.delete(sent.queue.id)
        if (errorCode === brokerCode.none) {
          transaction?.acknowledged(topic, partition, baseOffset, sent.batch.count)
        }
        this.#answered(sent.queue, sent.batch, errorCode)
      }
      this.#lost(sending, brokerError(brokerCode.brokerNotAvailable, 'Writing')) // without an answer
    } catch (cause) {
      this.#lost(sending, toEngineError(cause))
    }
    return true
  }

  #lost(sending: ReadonlyMap<string, { readonly queue: ProduceQueue }>, error: EngineError): void {
    const queues = Array.from(sending.values(), ({ queue }) => queue)
    if (queues.length > 0) this.#loops.lost(queues, error)
  }

  #inTurn(queues: readonly ProduceQueue[]): readonly ProduceQueue[] {
    const first = this.#turnCount++ % queues.length
    return [...queues.slice(first), ...queues.slice(0, first)]
  }

  async #identity(): Promise<ProducerIdentity> {
    this.#producer ??= await this.#options.client.initProducer()
    return this.#producer
  }

  #answered(queue: ProduceQueue, batch: OutgoingBatch, errorCode: number): void {
    if (errorCode === brokerCode.none || errorCode === brokerCode.duplicateSequence) {
      queue.backOff.succeeded()
      queue.acknowledged(batch)
      this.#options.acknowledged(batch)
      return
    }
    const isTooLarge =
      errorCode === brokerCode.messageTooLarge || errorCode === brokerCode.recordListTooLarge
    if (isTooLarge && queue.split(batch, this.#options.compression)) return
    if (batch.epoch.transaction !== undefined) {
      const what = `Writing to ${queue.id} in a transaction`
      const error = transactionError(errorCode, what)
      if (error.code === 'KAFKA_TRANSACTION_LOST') return this.#loops.lost([queue], error)
    } else if (lostProducerCodes.has(errorCode)) {
      if (queue.producer === this.#producer) this.#producer = undefined
      queue.producer = undefined
      const what = `Writing to ${queue.id} as the producer that the broker knew`
      this.#loops.lost([queue], passing(brokerError(errorCode, what)))
      return
    }
    this.#loops.lost([queue], refused(errorCode, queue.id))
  }
}

/** Of the batches that are to be sent, the transaction that was begun first: the first epoch's. */
function oldestTransaction(queues: readonly ProduceQueue[]): EpochTransaction | undefined {
  let oldest: SinkEpoch | undefined
  for (const queue of queues) {
    const epoch = queue.head()?.epoch
    if (
      epoch !== undefined &&
      (oldest === undefined || (epoch.number ?? 0) < (oldest.number ?? 0))
    ) {
      oldest = epoch
    }
  }
  return oldest?.transaction
}

/** The same error as one that another attempt may cure. */
function passing(error: EngineError): EngineError {
  return new EngineError(error.code, error.message, { retryable: true })
}

function refused(errorCode: number, id: string): EngineError {
  const error = brokerError(errorCode, `Writing to ${id}`)
  const remedy = remedies.get(errorCode)
  if (remedy === undefined) return error
  return new EngineError(error.code, `${error.message}; ${remedy}`, { retryable: false })
}

const remedies: ReadonlyMap<number, string> = new Map([
  [
    brokerCode.messageTooLarge,
    'a single record is larger than max.message.bytes of the topic allows: raise it, or make records smaller',
  ],
  [
    brokerCode.recordListTooLarge,
    'a single record is larger than segment.bytes of the topic allows: raise it, or make records smaller',
  ],
  [
    brokerCode.invalidTimestamp,
    'the time of a record is too far from the clock of the broker (message.timestamp.after.max.ms and before.max.ms of the topic): raise the bound, or give the records another time with timestampMs',
  ],
  [
    brokerCode.invalidRecord,
    'the topic asks for something that a record lacks; a compacted topic asks for a key',
  ],
])
