/**
 * One broker of the model: reads a request's bytes and answers with bytes, in the versions that the client speaks
 * (operators/kafka/protocol-requests.ts and transaction-requests.ts).
 */
import type { BrokerSpeech } from '../../../operators/kafka/broker-link.ts'
import type { Isolation, TopicPartition } from '../../../operators/kafka/kafka-client.ts'
import { ProtocolReader, ProtocolWriter } from '../../../operators/kafka/protocol-bytes.ts'
import { readByTopic, writeByTopic } from '../../../operators/kafka/protocol-requests.ts'
import type { ApiVersions, KafkaRequest } from '../../../operators/kafka/protocol-requests.ts'
import type { ClusterModel } from './cluster-model.ts'
import { code } from './codes.ts'

export function hostOf(brokerId: number): string {
  return `broker-${brokerId}`
}

/** What the brokers of a cluster say that they speak. `describes`: whether they tell what became of transactions, as since Kafka 3.0. */
export function speechOf({ version }: ClusterModel, describes: boolean = true): BrokerSpeech {
  const versions: Record<number, { minVersion: number; maxVersion: number }> = {}
  for (const [apiKey, maxVersion] of [
    [0, 11],
    [1, 17],
    [2, 10],
    [3, 13],
    [8, 9],
    [9, 9],
    [10, 6],
    [22, 5],
    [24, 5],
    [25, 4],
    [26, 5],
    [28, 5],
    ...(describes ? [[65, 0]] : []),
  ] as [number, number][]) {
    versions[apiKey] = { minVersion: 0, maxVersion }
  }
  return { versions: versions as ApiVersions, transactionVersion: version }
}

/** The bytes that a broker answers with. */
export function answerOf(
  cluster: ClusterModel,
  brokerId: number,
  { apiKey, apiVersion }: Pick<KafkaRequest<unknown>, 'apiKey' | 'apiVersion'>,
  bytes: Buffer,
): Buffer {
  const request = new ProtocolReader(bytes)
  const handle = handlers[apiKey]
  if (handle === undefined) throw new Error(`The model knows no request ${apiKey}`)
  const out = new ProtocolWriter()
  handle({ cluster, brokerId, apiVersion, request, out })
  return out.copy()
}

interface Exchange {
  readonly cluster: ClusterModel
  readonly brokerId: number
  readonly apiVersion: number
  readonly request: ProtocolReader
  readonly out: ProtocolWriter
}

const noThrottle = 0

const handlers: Readonly<Record<number, (exchange: Exchange) => void>> = {
  0: produce,
  1: fetch,
  2: listOffsets,
  3: metadata,
  8: commitOffsets,
  9: fetchOffsets,
  10: findCoordinator,
  22: initProducerId,
  24: addPartitions,
  25: addOffsets,
  26: endTransaction,
  28: commitInTransaction,
  65: describeTransactions,
}

function produce({ cluster, brokerId, request, out }: Exchange): void {
  const transactionalId = request.string()
  request.skip(6) // acknowledgements, time-out
  const answer = readByTopic(request, (topic) => {
    const place = { topic, partition: request.int32() }
    return { ...place, ...cluster.produce(brokerId, place, request.bytes(), transactionalId) }
  })
  writeByTopic(out, answer, ({ partition, errorCode, baseOffset }) => {
    out.int32(partition).int16(errorCode).int64(BigInt(baseOffset)).int64(-1n).int64(0n)
  })
  out.int32(noThrottle)
}

function fetch({ cluster, brokerId, request, out }: Exchange): void {
  request.skip(16) // replica, waiting time, least and most bytes
  const isolation = isolationOf(request.int8())
  request.skip(8) // session
  const answer = readByTopic(request, (topic) => {
    const place = { topic, partition: request.int32() }
    request.skip(4) // leader epoch
    const offset = Number(request.int64())
    request.skip(12) // log start, most bytes
    return { ...place, offset }
  })
  out.int32(noThrottle).int16(code.none).int32(0)
  writeByTopic(out, answer, ({ topic, partition, offset }) => {
    const place = { topic, partition }
    const log = cluster.log(place)
    const end = cluster.endOffset(place, isolation) ?? 0
    const errorCode =
      log === undefined
        ? code.unknownTopicOrPartition
        : cluster.leaderOf(place) !== brokerId
          ? code.notLeader
          : offset > log.endOffset
            ? code.offsetOutOfRange
            : code.none
    const read = errorCode === code.none ? log?.read(offset, end) : undefined
    out.int32(partition).int16(errorCode)
    out
      .int64(BigInt(log?.endOffset ?? -1))
      .int64(BigInt(log?.stableOffset ?? -1))
      .int64(0n)
    out.array(isolation === 'read_committed' ? (read?.aborted ?? []) : [], (aborted) => {
      out.int64(aborted.producerId).int64(BigInt(aborted.firstOffset))
    })
    const records = read?.bytes ?? Buffer.alloc(0)
    out.int32(-1).int32(records.length).bytes(records)
  })
}

function listOffsets({ cluster, brokerId, request, out }: Exchange): void {
  request.skip(4)
  const isolation = isolationOf(request.int8())
  const answer = readByTopic(request, (topic) => ({
    topic,
    partition: request.int32(),
    at: request.int64(),
  }))
  out.int32(noThrottle)
  writeByTopic(out, answer, ({ topic, partition, at }) => {
    const place = { topic, partition }
    const end = cluster.endOffset(place, isolation)
    const isLeader = cluster.leaderOf(place) === brokerId
    out.int32(partition)
    if (end === undefined) out.int16(code.unknownTopicOrPartition).int64(-1n).int64(-1n)
    else if (!isLeader) out.int16(code.notLeader).int64(-1n).int64(-1n)
    else
      out
        .int16(code.none)
        .int64(-1n)
        .int64(BigInt(at === -2n ? 0 : end))
  })
}

function metadata({ cluster, request, out }: Exchange): void {
  const names = request.array(() => request.string() ?? '')
  out.int32(noThrottle)
  const brokers = Array.from({ length: cluster.brokerCount }, (_, index) => index + 1)
  out.array(
    brokers.filter((id) => !cluster.down.has(id)),
    (id) => out.int32(id).string(hostOf(id)).int32(9092).string(null),
  )
  out.string('model').int32(1)
  out.array(names, (topic) => {
    const partitions = cluster.topics.get(topic)
    out.int16(partitions === undefined ? code.unknownTopicOrPartition : code.none)
    out.string(topic).int8(0)
    out.array([...(partitions ?? []).keys()], (partition) => {
      out.int16(code.none).int32(partition).int32(cluster.leaderOf({ topic, partition }))
      for (let list = 0; list < 3; list++) out.array([], () => undefined)
    })
  })
}

function commitOffsets({ cluster, brokerId, request, out }: Exchange): void {
  const group = request.string() ?? ''
  request.skip(4) // generation
  request.string()
  const errorCode = cluster.coordinatorRefusal(brokerId, group) ?? code.none
  const answer = readByTopic(request, (topic) => {
    const partition = request.int32()
    const offset = Number(request.int64())
    const metadata = request.string() ?? ''
    if (errorCode === code.none) {
      cluster.group(group).commit(`${topic}-${partition}`, { offset, metadata })
    }
    return { topic, partition }
  })
  out.int32(noThrottle)
  writeByTopic(out, answer, ({ partition }) => void out.int32(partition).int16(errorCode))
}

function fetchOffsets({ cluster, brokerId, request, out }: Exchange): void {
  request.skipTags()
  const name = request.compactString() ?? ''
  const topics = request.compactArray(() => {
    const topic = request.compactString() ?? ''
    const partitions = request.compactArray(() => request.int32())
    request.skipTags()
    return { topic, partitions }
  })
  const isStable = request.int8() !== 0
  const refusal = cluster.coordinatorRefusal(brokerId, name)
  const group = cluster.group(name)
  out.tags().int32(noThrottle)
  out.compactArray(refusal === undefined ? topics : [], ({ topic, partitions }) => {
    out.compactString(topic)
    out.compactArray(partitions, (partition) => {
      const id = `${topic}-${partition}`
      const isUnstable = isStable && group.isUnstable(id)
      const marker = isUnstable ? undefined : group.read(id)
      out
        .int32(partition)
        .int64(BigInt(marker?.offset ?? -1))
        .int32(-1)
      out.compactString(marker?.metadata ?? '')
      out.int16(isUnstable ? code.unstableOffset : code.none).tags()
    })
    out.tags()
  })
  out.int16(refusal ?? code.none).tags()
}

function findCoordinator({ cluster, request, out }: Exchange): void {
  const brokerId = cluster.coordinatorOf(request.string() ?? '')
  out.int32(noThrottle).int16(code.none).string(null)
  out.int32(brokerId).string(hostOf(brokerId)).int32(9092)
}

function initProducerId({ cluster, brokerId, request, out }: Exchange): void {
  const transactionalId = request.string()
  const timeoutMs = request.int32()
  out.int32(noThrottle)
  if (transactionalId === null) {
    out.int16(code.none).int64(cluster.transactions.newProducerId()).int16(0)
    return
  }
  const refusal = cluster.coordinatorRefusal(brokerId, transactionalId)
  const answer =
    refusal === undefined
      ? cluster.transactions.initProducer(transactionalId, timeoutMs)
      : { errorCode: refusal }
  if ('errorCode' in answer) out.int16(answer.errorCode).int64(-1n).int16(-1)
  else out.int16(code.none).int64(answer.producerId).int16(answer.epoch)
}

function addPartitions({ cluster, brokerId, request, out }: Exchange): void {
  const identity = readIdentity(request)
  const partitions: TopicPartition[] = readByTopic(request, (topic) => ({
    topic,
    partition: request.int32(),
  }))
  const unknown = partitions.filter((each) => cluster.log(each) === undefined)
  const errorCode =
    cluster.coordinatorRefusal(brokerId, identity.transactionalId) ??
    (unknown.length > 0
      ? code.operationNotAttempted
      : fencedAsEpoch(cluster.addPartitions(identity, partitions)))
  out.int32(noThrottle)
  writeByTopic(out, partitions, (each) => {
    const own = unknown.includes(each) ? code.unknownTopicOrPartition : errorCode
    out.int32(each.partition).int16(own)
  })
}

function addOffsets({ cluster, brokerId, request, out }: Exchange): void {
  const identity = readIdentity(request)
  const group = request.string() ?? ''
  const errorCode =
    cluster.coordinatorRefusal(brokerId, identity.transactionalId) ??
    fencedAsEpoch(cluster.addGroup(identity, group))
  out.int32(noThrottle).int16(errorCode)
}

function endTransaction({ cluster, brokerId, apiVersion, request, out }: Exchange): void {
  const isNewer = apiVersion >= 5
  if (isNewer) request.skipTags()
  const transactionalId = (isNewer ? request.compactString() : request.string()) ?? ''
  const identity = { transactionalId, producerId: request.int64(), epoch: request.int16() }
  const isCommit = request.int8() !== 0
  const refusal = cluster.coordinatorRefusal(brokerId, transactionalId)
  const answer =
    refusal === undefined ? cluster.end(identity, isCommit, isNewer) : { errorCode: refusal }
  if (isNewer) out.tags()
  out.int32(noThrottle)
  const errorCode = 'errorCode' in answer ? answer.errorCode : code.none
  out.int16(isNewer ? errorCode : fencedAsEpoch(errorCode))
  if (!isNewer) return
  if ('errorCode' in answer) out.int64(-1n).int16(-1)
  else out.int64(answer.producerId).int16(answer.epoch)
  out.tags()
}

function commitInTransaction({ cluster, brokerId, request, out }: Exchange): void {
  const transactionalId = request.string() ?? ''
  const group = request.string() ?? ''
  const identity = { transactionalId, producerId: request.int64(), epoch: request.int16() }
  const refusal = cluster.coordinatorRefusal(brokerId, group)
  const answer = readByTopic(request, (topic) => {
    const partition = request.int32()
    const offset = Number(request.int64())
    request.skip(4) // leader epoch
    const marker = { offset, metadata: request.string() ?? '' }
    const place = { group, topic, partition }
    const errorCode = refusal ?? cluster.commitInTransaction(identity, place, marker)
    return { topic, partition, errorCode }
  })
  out.int32(noThrottle)
  writeByTopic(out, answer, ({ partition, errorCode }) => {
    out.int32(partition).int16(errorCode)
  })
}

function describeTransactions({ cluster, brokerId, request, out }: Exchange): void {
  request.skipTags()
  const ids = request.compactArray(() => request.compactString() ?? '')
  out.tags().int32(noThrottle)
  out.compactArray(ids, (transactionalId) => {
    const found = cluster.transactions.find(transactionalId)
    const errorCode =
      cluster.coordinatorRefusal(brokerId, transactionalId) ??
      (found === undefined ? code.transactionalIdNotFound : code.none)
    const known = errorCode === code.none ? found : undefined
    out
      .int16(errorCode)
      .compactString(transactionalId)
      .compactString(known?.phase ?? '')
    out.int32(known?.timeoutMs ?? -1).int64(-1n)
    out.int64(known?.producerId ?? -1n).int16(known?.epoch ?? -1)
    out.compactArray([], () => undefined).tags()
  })
  out.tags()
}

function readIdentity(request: ProtocolReader) {
  const transactionalId = request.string() ?? ''
  return { transactionalId, producerId: request.int64(), epoch: request.int16() }
}

/** Older versions of requests know no fenced producer. */
function fencedAsEpoch(errorCode: number): number {
  return errorCode === code.producerFenced ? code.invalidProducerEpoch : errorCode
}

function isolationOf(level: number): Isolation {
  return level === 1 ? 'read_committed' : 'read_uncommitted'
}
