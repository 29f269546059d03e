/**
 * `KafkaClient` by the requests of the protocol, over links to brokers: finds brokers, keeps two connections to each (one for fetches,
 * which wait at the broker, one for all else), and speaks the requests of protocol-requests.ts on them.
 *
 * Invariants
 *  - Nothing is repeated here but the search for a broker that answers; leaders and coordinators that a broker disowns are forgotten,
 *    so that the caller's next attempt asks anew.
 *  - A client belongs to one reader, writer or enumerator, and lives on its thread.
 */
import { EngineError, toEngineError } from '../../src/core/errors.ts'
import type { BrokerLink } from './broker-link.ts'
import type {
  FetchedPartition,
  FetchRequest,
  GroupOffset,
  Isolation,
  Marker,
  MarkerPlace,
  OffsetAt,
  ProduceBatch,
  ProducedPartition,
  ProducerIdentity,
  TopicMetadata,
  TopicPartition,
  TransactionalClient,
  TransactionIdentity,
  TransactionState,
} from './kafka-client.ts'
import { partitionId } from './kafka-client.ts'
import type { BrokerAddress } from './kafka-connection.ts'
import { brokerCode, brokerError, transactionError } from './kafka-errors.ts'
import {
  fetchRequest,
  findCoordinatorRequest,
  initProducerIdRequest,
  listOffsetsRequest,
  metadataRequest,
  offsetCommitRequest,
  offsetFetchRequest,
  produceRequest,
} from './protocol-requests.ts'
import type { KafkaRequest, ListedOffset } from './protocol-requests.ts'
import {
  addOffsetsRequest,
  addPartitionsRequest,
  describeTransactionRequest,
  endTransactionRequest,
  markerRequest,
  transactionOffsetRequest,
} from './transaction-requests.ts'

type Lane = 'fetch' | 'other'

export interface ProtocolClientOptions {
  /** The brokers that are known beforehand. */
  readonly seeds: readonly BrokerAddress[]
  readonly connect: (address: BrokerAddress) => BrokerLink
}

export class ProtocolClient implements TransactionalClient {
  readonly #options: ProtocolClientOptions
  readonly #links = new Map<string, BrokerLink>()
  readonly #leaders = new Map<string, readonly number[]>()
  readonly #coordinators = new Map<string, BrokerAddress>()
  #brokers: ReadonlyMap<number, BrokerAddress> = new Map()
  /** The broker that answered last is asked first. */
  #preferred: BrokerAddress | undefined
  #isClosed = false

  constructor(options: ProtocolClientOptions) {
    this.#options = options
  }

  async metadata(topics?: readonly string[]): Promise<readonly TopicMetadata[]> {
    const cluster = await this.#sendToAny(metadataRequest(topics))
    this.#brokers = cluster.brokers
    for (const { topic, leaders } of cluster.topics) this.#leaders.set(topic, leaders)
    return cluster.topics
  }

  async offsets(
    partitions: readonly TopicPartition[],
    at: OffsetAt,
    isolation: Isolation,
  ): Promise<ReadonlyMap<string, number>> {
    try {
      const byLeader = await this.#byLeader(partitions)
      const answers = await Promise.all(
        [...byLeader].map(([brokerId, own]) =>
          this.#send(this.#addressOf(brokerId), listOffsetsRequest(own, at, isolation)),
        ),
      )
      return offsetsOf(answers.flat(), 'Asking for the offsets of')
    } catch (error) {
      for (const { topic } of partitions) this.#leaders.delete(topic)
      throw error
    }
  }

  async fetch(brokerId: number, request: FetchRequest): Promise<readonly FetchedPartition[]> {
    return this.#send(this.#addressOf(brokerId), fetchRequest(request), 'fetch')
  }

  async initProducer(): Promise<ProducerIdentity> {
    const { errorCode, value } = await this.#sendToAny(initProducerIdRequest())
    if (errorCode !== brokerCode.none) throw brokerError(errorCode, 'Asking for a producer id')
    return value
  }

  async produce(
    brokerId: number,
    batches: readonly ProduceBatch[],
    transactionalId?: string,
  ): Promise<readonly ProducedPartition[]> {
    return this.#send(this.#addressOf(brokerId), produceRequest(batches, transactionalId))
  }

  async initTransactions(transactionalId: string, timeoutMs: number): Promise<ProducerIdentity> {
    const what = `Beginning with the transactional id '${transactionalId}'`
    const { errorCode, value } = await this.#ofTransaction(
      transactionalId,
      initProducerIdRequest(transactionalId, timeoutMs),
    )
    if (errorCode === brokerCode.none) return value
    if (errorCode === brokerCode.invalidTransactionTimeout) throw timeoutRefused(timeoutMs)
    // a former owner's epoch may be changing: asked again, the broker has a new one
    throw this.#transactionError(transactionalId, errorCode, what)
  }

  async addPartitions(
    transaction: TransactionIdentity,
    partitions: readonly TopicPartition[],
  ): Promise<void> {
    const { transactionalId } = transaction
    const answer = await this.#ofTransaction(
      transactionalId,
      addPartitionsRequest(transaction, partitions),
    )
    this.#throwRefusal(
      answer,
      ({ topic, partition }) => `Adding ${partitionId(topic, partition)} to a transaction`,
      transactionalId,
    )
  }

  async mark(transaction: TransactionIdentity, place: MarkerPlace, marker: Marker): Promise<void> {
    const { transactionalId } = transaction
    const what = `Writing the marker of '${place.group}'`
    const added = await this.#ofTransaction(
      transactionalId,
      addOffsetsRequest(transaction, place.group),
    )
    if (added !== brokerCode.none) throw this.#transactionError(transactionalId, added, what)
    const answer = await this.#sendToCoordinator(
      place.group,
      transactionOffsetRequest(transaction, place, marker),
    )
    for (const { errorCode } of answer) {
      if (errorCode === brokerCode.none) continue
      this.#coordinators.delete(coordinatorKey(place.group, 'group'))
      throw transactionError(errorCode, what)
    }
  }

  async endTransaction(
    transaction: TransactionIdentity,
    as: 'commit' | 'abort',
  ): Promise<ProducerIdentity | undefined> {
    const { transactionalId } = transaction
    const { errorCode, value } = await this.#ofTransaction(
      transactionalId,
      endTransactionRequest(transaction, as === 'commit'),
    )
    if (errorCode === brokerCode.none) return value
    const what = `The ${as} of a transaction of '${transactionalId}'`
    throw this.#transactionError(transactionalId, errorCode, what)
  }

  async describeTransaction(
    transactionalId: string,
  ): Promise<TransactionState | 'unsaid' | undefined> {
    const request = describeTransactionRequest(transactionalId)
    const coordinator = await this.#coordinatorOf(transactionalId, 'transaction')
    if (!(await this.#link(coordinator, 'other').speaks(request.apiKey))) return 'unsaid'
    const { errorCode, value } = await this.#ofTransaction(transactionalId, request)
    if (errorCode === brokerCode.none) return value
    if (errorCode === brokerCode.transactionalIdNotFound) return undefined
    const what = `Asking for the transaction of '${transactionalId}'`
    throw this.#transactionError(transactionalId, errorCode, what)
  }

  async marker(
    place: MarkerPlace,
    { isStable }: { readonly isStable: boolean },
  ): Promise<Marker | 'unstable' | undefined> {
    const what = `Asking for the marker of '${place.group}'`
    const { errorCode, value } = await this.#sendToCoordinator(
      place.group,
      markerRequest(place, isStable),
    )
    const [found] = value
    const code = errorCode || (found?.errorCode ?? brokerCode.none)
    if (code === brokerCode.unstableOffset) return 'unstable'
    if (code !== brokerCode.none) throw this.#groupError(place.group, code, what)
    if (found?.offset === undefined) return undefined
    return { offset: found.offset, metadata: found.metadata }
  }

  async committedOffsets(
    group: string,
    partitions: readonly TopicPartition[],
  ): Promise<ReadonlyMap<string, number>> {
    const what = `Asking for the offsets of group '${group}'`
    const { errorCode, value } = await this.#sendToCoordinator(
      group,
      offsetFetchRequest(group, partitions),
    )
    if (errorCode !== brokerCode.none) throw this.#groupError(group, errorCode, what)
    return offsetsOf(value, `${what} for`)
  }

  async commitOffsets(group: string, offsets: readonly GroupOffset[]): Promise<void> {
    const answer = await this.#sendToCoordinator(group, offsetCommitRequest(group, offsets))
    for (const { topic, partition, errorCode } of answer) {
      const what = `Committing the offset of ${partitionId(topic, partition)} for group '${group}'`
      if (errorCode !== brokerCode.none) throw this.#groupError(group, errorCode, what)
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const link of this.#links.values()) link.close()
  }

  async #byLeader(
    partitions: readonly TopicPartition[],
  ): Promise<ReadonlyMap<number, readonly TopicPartition[]>> {
    const leaderOf = ({ topic, partition }: TopicPartition): number =>
      this.#leaders.get(topic)?.[partition] ?? -1
    const lost = partitions.filter((partition) => leaderOf(partition) < 0)
    if (lost.length > 0) await this.metadata([...new Set(lost.map(({ topic }) => topic))])
    const byLeader = new Map<number, TopicPartition[]>()
    for (const partition of partitions) {
      const leader = leaderOf(partition)
      if (leader < 0) throw this.#leaderless(partition)
      const others = byLeader.get(leader)
      if (others === undefined) byLeader.set(leader, [partition])
      else others.push(partition)
    }
    return byLeader
  }

  #leaderless({ topic, partition }: TopicPartition): EngineError {
    const isKnown = (this.#leaders.get(topic)?.length ?? 0) > partition
    const code = isKnown ? brokerCode.leaderNotAvailable : brokerCode.unknownTopicOrPartition
    return brokerError(code, `Finding the leader of ${partitionId(topic, partition)}`)
  }

  #sendToCoordinator<A>(group: string, request: KafkaRequest<A>): Promise<A> {
    return this.#sendTo(group, 'group', request)
  }

  #ofTransaction<A>(transactionalId: string, request: KafkaRequest<A>): Promise<A> {
    return this.#sendTo(transactionalId, 'transaction', request)
  }

  async #sendTo<A>(
    name: string,
    of: 'group' | 'transaction',
    request: KafkaRequest<A>,
  ): Promise<A> {
    const coordinator = await this.#coordinatorOf(name, of)
    try {
      return await this.#send(coordinator, request)
    } catch (error) {
      this.#coordinators.delete(coordinatorKey(name, of))
      throw error
    }
  }

  async #coordinatorOf(name: string, of: 'group' | 'transaction'): Promise<BrokerAddress> {
    const known = this.#coordinators.get(coordinatorKey(name, of))
    if (known !== undefined) return known
    const { errorCode, value } = await this.#sendToAny(findCoordinatorRequest(name, of))
    if (errorCode !== brokerCode.none) {
      throw brokerError(errorCode, `Finding the coordinator of ${of} '${name}'`)
    }
    this.#coordinators.set(coordinatorKey(name, of), value)
    return value
  }

  #throwRefusal(
    answer: readonly ProducedPartition[],
    what: (partition: TopicPartition) => string,
    transactionalId: string,
  ): void {
    // a partition that would have been taken says so, and another why it was not
    const operationNotAttempted = 55
    const refused = answer.filter(({ errorCode }) => errorCode !== brokerCode.none)
    const first = refused.find(({ errorCode }) => errorCode !== operationNotAttempted) ?? refused[0]
    if (first !== undefined) {
      throw this.#transactionError(transactionalId, first.errorCode, what(first))
    }
  }

  #transactionError(transactionalId: string, code: number, what: string): EngineError {
    this.#coordinators.delete(coordinatorKey(transactionalId, 'transaction'))
    return transactionError(code, what)
  }

  #groupError(group: string, code: number, what: string): EngineError {
    this.#coordinators.delete(coordinatorKey(group, 'group'))
    if (code !== brokerCode.unknownMember) return brokerError(code, what)
    return new EngineError(
      'KAFKA_FAILED',
      `${what} was refused: the group has members of its own; give the job a group that no consumer joins`,
      { retryable: false },
    )
  }

  /** Sends to the broker that answered last, else to the next that can be reached. */
  async #sendToAny<A>(request: KafkaRequest<A>): Promise<A> {
    const candidates = new Map<string, BrokerAddress>()
    const known = [...this.#brokers.values(), ...this.#options.seeds]
    for (const address of this.#preferred === undefined ? known : [this.#preferred, ...known]) {
      candidates.set(nameOf(address), address)
    }
    let failure: EngineError | undefined
    for (const address of candidates.values()) {
      try {
        const answer = await this.#send(address, request)
        this.#preferred = address
        return answer
      } catch (cause) {
        failure = toEngineError(cause)
        if (failure.code !== 'KAFKA_UNREACHABLE') throw failure
      }
    }
    this.#preferred = undefined
    throw toEngineError(failure)
  }

  async #send<A>(
    address: BrokerAddress,
    request: KafkaRequest<A>,
    lane: Lane = 'other',
  ): Promise<A> {
    return this.#link(address, lane).send(request)
  }

  #link(address: BrokerAddress, lane: Lane): BrokerLink {
    const name = `${lane} ${nameOf(address)}`
    let link = this.#links.get(name)
    if (link === undefined) {
      link = this.#options.connect(address)
      this.#links.set(name, link)
      if (this.#isClosed) link.close()
    }
    return link
  }

  #addressOf(brokerId: number): BrokerAddress {
    const address = this.#brokers.get(brokerId)
    if (address !== undefined) return address
    throw brokerError(brokerCode.brokerNotAvailable, `Finding broker ${brokerId}`)
  }
}

function nameOf({ host, port }: BrokerAddress): string {
  return `${host}:${port}`
}

/** Offsets by partition id; throws for the first partition that was refused. */
function offsetsOf(listed: readonly ListedOffset[], what: string): ReadonlyMap<string, number> {
  const offsets = new Map<string, number>()
  for (const { topic, partition, errorCode, offset } of listed) {
    const id = partitionId(topic, partition)
    if (errorCode !== brokerCode.none) throw brokerError(errorCode, `${what} ${id}`)
    if (offset !== undefined) offsets.set(id, offset)
  }
  return offsets
}

function coordinatorKey(name: string, of: 'group' | 'transaction'): string {
  return `${of} ${name}`
}

function timeoutRefused(timeoutMs: number): EngineError {
  return new EngineError(
    'KAFKA_TIMEOUT_REFUSED',
    `The brokers allow no transaction of ${timeoutMs} ms; raise their transaction.max.timeout.ms, choose a shorter timeout for the sink, or use transactions: 'stored'`,
  )
}
