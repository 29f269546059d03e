/**
 * The client of a cluster over kafkajs' connections; where the installed kafkajs is not the one whose connections are known, over its
 * public interface, which cannot do all (public-client.ts).
 */
import { isEngineError } from '../../src/core/errors.ts'
import type { Logger } from '../../src/core/log.ts'
import { BrokerConnection } from './broker-connection.ts'
import type { TransactionalClient } from './kafka-client.ts'
import { parseBrokers } from './kafka-connection.ts'
import type { KafkaConnection } from './kafka-connection.ts'
import { loadKafkajs } from './kafkajs-internals.ts'
import type { Kafkajs } from './kafkajs-internals.ts'
import { noTransactions, openPublicClient } from './public-client.ts'
import { ProtocolClient } from './protocol-client.ts'

/** Loads kafkajs; connects with the first request. */
export function openKafkajsClient(options: KafkaConnection, logger?: Logger): TransactionalClient {
  const kafkajs = knownKafkajs(logger)
  if (kafkajs === undefined) return openPublicClient(options)
  return new ProtocolClient({
    seeds: parseBrokers(options.brokers),
    connect: (address) => new BrokerConnection(kafkajs, address, options),
  })
}

/** Fails with `KAFKA_CLIENT_LIMITED` where clients have no transactions. */
export function checkTransactions(): void {
  if (knownKafkajs() === undefined) throw noTransactions()
}

/** Undefined where it is another one, or not there at all. */
function knownKafkajs(logger?: Logger): Kafkajs | undefined {
  try {
    return loadKafkajs()
  } catch (error) {
    if (!isEngineError(error)) throw error
    logger?.warn(
      `${error.message}; until then its public interface is used, which is slower and cannot write exactly once`,
    )
    return undefined
  }
}
