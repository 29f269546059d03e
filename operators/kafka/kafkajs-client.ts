/** The client of a cluster over kafkajs' connections. */
import { BrokerConnection } from './broker-connection.ts'
import type { TransactionalClient } from './kafka-client.ts'
import { parseBrokers } from './kafka-connection.ts'
import type { KafkaConnection } from './kafka-connection.ts'
import { loadKafkajs } from './kafkajs-internals.ts'
import { ProtocolClient } from './protocol-client.ts'

/** Loads kafkajs; connects with the first request. */
export function openKafkajsClient(options: KafkaConnection): TransactionalClient {
  const kafkajs = loadKafkajs()
  return new ProtocolClient({
    seeds: parseBrokers(options.brokers),
    connect: (address) => new BrokerConnection(kafkajs, address, options),
  })
}
