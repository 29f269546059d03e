/**
 * What the numbers mean by which a broker refuses, and for how long a failure is worth further attempts. Pure.
 * Names and numbers are those of the Kafka protocol.
 */
import { EngineError } from '../../src/core/errors.ts'

/** For how long an unreachable broker or a passing refusal is tried again before the subtask fails. */
export const RETRY_MS_MAX = 60_000
/** For how long an unknown topic is asked for again: a broker learns of a new topic a little later than the one that made it. */
export const TOPIC_UNKNOWN_MS_MAX = 5000

/** Refusals that are told apart by name. */
export const brokerCode = {
  none: 0,
  offsetOutOfRange: 1,
  corruptMessage: 2,
  unknownTopicOrPartition: 3,
  leaderNotAvailable: 5,
  brokerNotAvailable: 8,
  messageTooLarge: 10,
  recordListTooLarge: 18,
  unknownMember: 25,
  invalidTimestamp: 32,
  outOfOrderSequence: 45,
  duplicateSequence: 46,
  invalidProducerEpoch: 47,
  invalidProducerIdMapping: 49,
  invalidTransactionTimeout: 50,
  unknownProducerId: 59,
  offsetNotAvailable: 78,
  invalidRecord: 87,
  unstableOffset: 88,
  transactionalIdNotFound: 105,
} as const

const unknownTopicCodes: ReadonlySet<number> = new Set([3, 100, 103])

const passing: ReadonlyMap<number, string> = new Map([
  [2, 'CORRUPT_MESSAGE'],
  [5, 'LEADER_NOT_AVAILABLE'],
  [6, 'NOT_LEADER_OR_FOLLOWER'],
  [7, 'REQUEST_TIMED_OUT'],
  [8, 'BROKER_NOT_AVAILABLE'],
  [9, 'REPLICA_NOT_AVAILABLE'],
  [13, 'NETWORK_EXCEPTION'],
  [14, 'COORDINATOR_LOAD_IN_PROGRESS'],
  [15, 'COORDINATOR_NOT_AVAILABLE'],
  [16, 'NOT_COORDINATOR'],
  [19, 'NOT_ENOUGH_REPLICAS'],
  [20, 'NOT_ENOUGH_REPLICAS_AFTER_APPEND'],
  [51, 'CONCURRENT_TRANSACTIONS'],
  [52, 'TRANSACTION_COORDINATOR_FENCED'],
  [56, 'KAFKA_STORAGE_ERROR'],
  [74, 'FENCED_LEADER_EPOCH'],
  [75, 'UNKNOWN_LEADER_EPOCH'],
  [78, 'OFFSET_NOT_AVAILABLE'],
  [88, 'UNSTABLE_OFFSET_COMMIT'],
  [89, 'THROTTLING_QUOTA_EXCEEDED'],
])

const unauthorized: ReadonlyMap<number, string> = new Map([
  [29, 'TOPIC_AUTHORIZATION_FAILED'],
  [30, 'GROUP_AUTHORIZATION_FAILED'],
  [31, 'CLUSTER_AUTHORIZATION_FAILED'],
  [33, 'UNSUPPORTED_SASL_MECHANISM'],
  [53, 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED'],
  [58, 'SASL_AUTHENTICATION_FAILED'],
])

const final: ReadonlyMap<number, string> = new Map([
  [1, 'OFFSET_OUT_OF_RANGE'],
  [10, 'MESSAGE_TOO_LARGE'],
  [17, 'INVALID_TOPIC_EXCEPTION'],
  [18, 'RECORD_LIST_TOO_LARGE'],
  [22, 'ILLEGAL_GENERATION'],
  [25, 'UNKNOWN_MEMBER_ID'],
  [32, 'INVALID_TIMESTAMP'],
  [35, 'UNSUPPORTED_VERSION'],
  [45, 'OUT_OF_ORDER_SEQUENCE_NUMBER'],
  [47, 'INVALID_PRODUCER_EPOCH'],
  [48, 'INVALID_TXN_STATE'],
  [49, 'INVALID_PRODUCER_ID_MAPPING'],
  [50, 'INVALID_TRANSACTION_TIMEOUT'],
  [59, 'UNKNOWN_PRODUCER_ID'],
  [76, 'UNSUPPORTED_COMPRESSION_TYPE'],
  [87, 'INVALID_RECORD'],
  [90, 'PRODUCER_FENCED'],
  [105, 'TRANSACTIONAL_ID_NOT_FOUND'],
  [120, 'TRANSACTION_ABORTABLE'],
])

/** Refusals that say: this transaction will not be committed by this identity any more. */
const lostTransaction: ReadonlySet<number> = new Set([45, 47, 48, 49, 59, 90, 120])

/** The error for a refusal of something that belongs to a transaction. */
export function transactionError(code: number, what: string): EngineError {
  if (!lostTransaction.has(code)) return brokerError(code, what)
  return new EngineError(
    'KAFKA_TRANSACTION_LOST',
    `${what} was refused (${final.get(code) ?? code}): the transaction has timed out, or another run of the job has taken over`,
  )
}

/** The error for a refusal; `what` is what was asked for, as in "Reading orders-3". */
export function brokerError(code: number, what: string): EngineError {
  if (unknownTopicCodes.has(code)) return topicUnknown(what)
  const forbidden = unauthorized.get(code)
  if (forbidden !== undefined) {
    return new EngineError(
      'KAFKA_NOT_AUTHORIZED',
      `${what} is not allowed (${forbidden}); check the credentials and the ACLs of their user`,
    )
  }
  const temporary = passing.get(code)
  const name = temporary ?? final.get(code) ?? `error ${code}`
  return new EngineError('KAFKA_FAILED', `${what} was refused: ${name}`, {
    retryable: temporary !== undefined,
  })
}

export function topicUnknown(what: string): EngineError {
  return new EngineError(
    'KAFKA_TOPIC_UNKNOWN',
    `${what} is not possible: the cluster has no such topic or partition; create it, or correct the name`,
  )
}

/** For how long it is worth trying again what failed with `error`; 0: not at all. */
export function patienceMs(error: EngineError): number {
  switch (error.code) {
    case 'KAFKA_TOPIC_UNKNOWN':
      return TOPIC_UNKNOWN_MS_MAX
    case 'KAFKA_UNREACHABLE':
    case 'KAFKA_FAILED':
      return error.retryable ? RETRY_MS_MAX : 0
    default:
      return 0
  }
}
