/**
 * `KafkaClient` over kafkajs' connections: finds brokers, keeps two connections to each (one for fetches, which wait at the
 * broker, one for all else), and speaks the requests of protocol-requests.ts on them.
 *
 * Invariants
 *  - Nothing is repeated here but the search for a broker that answers; leaders and coordinators that a broker disowns are forgotten,
 *    so that the caller's next attempt asks anew.
 *  - A client belongs to one reader, writer or enumerator, and lives on its thread.
 */
import { EngineError, toEngineError } from '../../src/core/errors.ts'
import { BrokerConnection } from './broker-connection.ts'
import type {
  FetchedPartition,
  FetchRequest,
  GroupOffset,
  Isolation,
  KafkaClient,
  OffsetAt,
  ProduceBatch,
  ProducedPartition,
  ProducerIdentity,
  TopicMetadata,
  TopicPartition,
} from './kafka-client.ts'
import { partitionId } from './kafka-client.ts'
import { parseBrokers } from './kafka-connection.ts'
import type { BrokerAddress, KafkaConnection } from './kafka-connection.ts'
import { brokerCode, brokerError } from './kafka-errors.ts'
import { loadKafkajs } from './kafkajs-internals.ts'
import type { Kafkajs } from './kafkajs-internals.ts'
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

type Lane = 'fetch' | 'other'

/** Loads kafkajs; connects with the first request. */
export function openKafkajsClient(options: KafkaConnection): KafkaClient {
  return new KafkajsClient(loadKafkajs(), options)
}

class KafkajsClient implements KafkaClient {
  readonly #kafkajs: Kafkajs
  readonly #options: KafkaConnection
  readonly #seeds: readonly BrokerAddress[]
  readonly #connections = new Map<string, BrokerConnection>()
  readonly #leaders = new Map<string, readonly number[]>()
  readonly #coordinators = new Map<string, BrokerAddress>()
  #brokers: ReadonlyMap<number, BrokerAddress> = new Map()
  /** The broker that answered last is asked first. */
  #preferred: BrokerAddress | undefined
  #isClosed = false

  constructor(kafkajs: Kafkajs, options: KafkaConnection) {
    this.#kafkajs = kafkajs
    this.#options = options
    this.#seeds = parseBrokers(options.brokers)
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
  ): Promise<readonly ProducedPartition[]> {
    return this.#send(this.#addressOf(brokerId), produceRequest(batches))
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
    for (const connection of this.#connections.values()) connection.close()
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

  async #sendToCoordinator<A>(group: string, request: KafkaRequest<A>): Promise<A> {
    let coordinator = this.#coordinators.get(group)
    if (coordinator === undefined) {
      const { errorCode, value } = await this.#sendToAny(findCoordinatorRequest(group))
      const what = `Finding the coordinator of group '${group}'`
      if (errorCode !== brokerCode.none) throw this.#groupError(group, errorCode, what)
      coordinator = value
      this.#coordinators.set(group, coordinator)
    }
    try {
      return await this.#send(coordinator, request)
    } catch (error) {
      this.#coordinators.delete(group)
      throw error
    }
  }

  #groupError(group: string, code: number, what: string): EngineError {
    this.#coordinators.delete(group)
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
    const known = [...this.#brokers.values(), ...this.#seeds]
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
    const name = `${lane} ${nameOf(address)}`
    let connection = this.#connections.get(name)
    if (connection === undefined) {
      connection = new BrokerConnection(this.#kafkajs, address, this.#options)
      this.#connections.set(name, connection)
      if (this.#isClosed) connection.close()
    }
    return connection.send(request)
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
