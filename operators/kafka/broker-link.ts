/**
 * What the client needs of one broker: `BrokerConnection` fulfils it, and whatever speaks the protocol's bytes.
 *
 * For implementors
 *  - Requests of one link reach the broker in the order of `send`.
 *  - After a failure of the connection everything under way on it fails; the next `send` begins with a new one.
 *  - Errors are `EngineError`s: `KAFKA_UNREACHABLE`, `KAFKA_NOT_AUTHORIZED`, or `KAFKA_FAILED`.
 */
import { EngineError } from '../../src/core/errors.ts'
import type { ApiVersions, KafkaRequest } from './protocol-requests.ts'

export interface BrokerLink {
  send<A>(request: KafkaRequest<A>): Promise<A>
  /** Whether the broker speaks a request of this number. */
  speaks(apiKey: number): Promise<boolean>
  /** May be called twice. What is under way is rejected. */
  close(): void
}

/** What a broker has told of itself. */
export interface BrokerSpeech {
  readonly versions: ApiVersions
  /** The cluster's level of it; 0 where the broker does not tell. */
  readonly transactionVersion: number
}

/** The request in the newest of its versions that the broker speaks; throws where it speaks none. */
export function asSpoken<A>(
  request: KafkaRequest<A>,
  { versions, transactionVersion }: BrokerSpeech,
  brokerName: string,
): KafkaRequest<A> {
  const { newer, ...older } = request
  const range = versions[request.apiKey]
  const isNewer =
    newer !== undefined &&
    newer.transactionVersion <= transactionVersion &&
    newer.apiVersion <= (range?.maxVersion ?? -1)
  const chosen: KafkaRequest<A> = isNewer ? { ...older, ...newer } : request
  const version = chosen.apiVersion
  if (range !== undefined && version >= range.minVersion && version <= range.maxVersion) {
    return chosen
  }
  const spoken = range === undefined ? 'none' : `${range.minVersion} to ${range.maxVersion}`
  throw new EngineError(
    'KAFKA_FAILED',
    `The broker ${brokerName} does not speak ${request.name} version ${version} (it speaks ${spoken}); Kafka 2.3 or newer is needed, 2.5 or newer for exactly-once`,
    { retryable: false },
  )
}

/** For requests that `close` cut off: nobody should repeat them. */
export function linkClosed(): EngineError {
  return new EngineError('KAFKA_FAILED', 'The Kafka client was closed', { retryable: false })
}
