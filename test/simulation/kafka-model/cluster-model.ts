/**
 * A cluster of Kafka brokers in memory: topics, groups and transactions, and which broker answers for what. Answers at once; what brokers
 * do among themselves takes its time by `CoordinatorParts.later`.
 *
 * Left out: replication, retention, quotas, group members. Each is of no effect on what the sink relies on.
 */
import { partitionId } from '../../../operators/kafka/kafka-client.ts'
import type {
  Isolation,
  Marker,
  MarkerPlace,
  ProducerIdentity,
  TopicPartition,
  TransactionIdentity,
} from '../../../operators/kafka/kafka-client.ts'
import { code } from './codes.ts'
import { GroupLog } from './group-log.ts'
import { PartitionLog, stampOf } from './partition-log.ts'
import type { LogEntry } from './partition-log.ts'
import { TransactionCoordinator } from './transaction-coordinator.ts'
import type { CoordinatorParts, Refused } from './transaction-coordinator.ts'

export interface ClusterModelOptions extends Omit<CoordinatorParts, 'writeEnd' | 'timeoutMsMax'> {
  readonly brokerCount: number
}

/** What a transaction had in a partition where it has ended. */
export interface EndedPart extends TopicPartition, ProducerIdentity {
  readonly end: 'commit' | 'abort'
  readonly entries: readonly LogEntry[]
}

const timeoutMsMax = 900_000
const groupPrefix = 'group '

export class ClusterModel {
  readonly version: 0 | 2
  readonly brokerCount: number
  readonly transactions: TransactionCoordinator
  readonly topics: Map<string, readonly PartitionLog[]> = new Map()
  readonly #groups = new Map<string, GroupLog>()
  /** Grows when leaders and coordinators move on. */
  #shift = 0
  /** The ids and groups whose new coordinator has not loaded its log yet. */
  isLoading = false
  readonly down: Set<number> = new Set()
  /** The marker that each producer wrote last in an epoch. */
  readonly markers: Map<string, Marker> = new Map()
  /** Told when a transaction has ended in a partition. */
  onEnded: (ended: EndedPart) => void = () => {}
  /** Told of each marker whose transaction has ended. */
  onMarkerEnded: (marker: Marker, end: 'commit' | 'abort') => void = () => {}
  /** Refuses the next request in passing. */
  hiccup: number | undefined

  constructor(options: ClusterModelOptions) {
    this.version = options.version
    this.brokerCount = options.brokerCount
    this.transactions = new TransactionCoordinator({
      ...options,
      timeoutMsMax,
      writeEnd: (place, identity, end) => this.#writeEnd(place, identity, end),
    })
  }

  addTopic(topic: string, partitionCount: number): void {
    this.topics.set(
      topic,
      Array.from({ length: partitionCount }, () => new PartitionLog()),
    )
  }

  /** Everything gets another leader and another coordinator, if there is one. */
  move(): void {
    this.#shift += 1
  }

  leaderOf({ partition }: TopicPartition): number {
    return this.#upFrom(partition)
  }

  coordinatorOf(name: string): number {
    let hash = 0
    for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) >>> 0
    return this.#upFrom(hash)
  }

  log({ topic, partition }: TopicPartition): PartitionLog | undefined {
    return this.topics.get(topic)?.[partition]
  }

  group(name: string): GroupLog {
    let group = this.#groups.get(name)
    if (group === undefined) {
      group = new GroupLog()
      this.#groups.set(name, group)
    }
    return group
  }

  /** A refusal by whoever is not, or not yet, the coordinator. */
  coordinatorRefusal(brokerId: number, name: string): number | undefined {
    const { hiccup } = this
    this.hiccup = undefined
    if (hiccup !== undefined) return hiccup
    if (this.coordinatorOf(name) !== brokerId) return code.notCoordinator
    return this.isLoading ? code.coordinatorLoading : undefined
  }

  addPartitions(identity: TransactionIdentity, partitions: readonly TopicPartition[]): number {
    return this.transactions.add(
      identity,
      partitions.map(({ topic, partition }) => partitionId(topic, partition)),
    )
  }

  addGroup(identity: TransactionIdentity, group: string): number {
    return this.transactions.add(identity, [groupPrefix + group])
  }

  produce(
    brokerId: number,
    place: TopicPartition,
    bytes: Uint8Array,
    transactionalId: string | null,
  ): { readonly errorCode: number; readonly baseOffset: number } {
    const refuse = (errorCode: number) => ({ errorCode, baseOffset: -1 })
    const log = this.log(place)
    const { hiccup } = this
    if (hiccup !== undefined && hiccup !== code.notEnoughReplicasAfterAppend) return refuse(hiccup)
    if (log === undefined) return refuse(code.unknownTopicOrPartition)
    if (this.leaderOf(place) !== brokerId) return refuse(code.notLeader)
    const stamp = stampOf(bytes)
    if (stamp.isTransactional && !log.hasOngoing(stamp)) {
      log.tries(stamp)
      const identity = { ...stamp, transactionalId: transactionalId ?? '' }
      const verdict = this.transactions.verify(identity, partitionId(place.topic, place.partition))
      if (verdict === code.concurrentTransactions) return refuse(code.notEnoughReplicas)
      if (verdict !== code.none) return refuse(verdict)
    }
    const answer = log.append(bytes)
    // it is written, and the broker cannot promise that it stays
    return hiccup === undefined || answer.errorCode !== code.none ? answer : refuse(hiccup)
  }

  commitInTransaction(identity: TransactionIdentity, place: MarkerPlace, marker: Marker): number {
    const group = this.group(place.group)
    if (!group.hasOngoing(identity)) {
      const verdict = this.transactions.verify(identity, groupPrefix + place.group)
      if (verdict === code.concurrentTransactions) return code.coordinatorLoading
      if (verdict === code.invalidProducerIdMapping) return code.invalidProducerEpoch
      if (verdict !== code.none) return verdict
    }
    this.markers.set(`${identity.producerId}/${identity.epoch}`, marker)
    return group.write(identity, partitionId(place.topic, place.partition), marker)
  }

  end(
    identity: TransactionIdentity,
    isCommit: boolean,
    raisesEpoch: boolean,
  ): Refused | ProducerIdentity {
    return this.transactions.end(identity, isCommit ? 'commit' : 'abort', raisesEpoch)
  }

  endOffset(place: TopicPartition, isolation: Isolation): number | undefined {
    const log = this.log(place)
    return isolation === 'read_committed' ? log?.stableOffset : log?.endOffset
  }

  #upFrom(hash: number): number {
    for (let i = 0; i < this.brokerCount; i++) {
      const brokerId = 1 + ((hash + this.#shift + i) % this.brokerCount)
      if (!this.down.has(brokerId)) return brokerId
    }
    return -1
  }

  #writeEnd(place: string, identity: ProducerIdentity, end: 'commit' | 'abort'): void {
    if (place.startsWith(groupPrefix)) {
      const group = this.group(place.slice(groupPrefix.length))
      for (const marker of group.appendEnd(identity, end)) this.onMarkerEnded(marker, end)
    } else {
      const at = place.lastIndexOf('-')
      const partition = { topic: place.slice(0, at), partition: Number(place.slice(at + 1)) }
      const entries = this.log(partition)?.appendEnd(identity, end) ?? []
      this.onEnded({ ...partition, ...identity, end, entries })
    }
  }
}
