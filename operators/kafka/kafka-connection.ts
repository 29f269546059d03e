/** How a cluster is reached: the options that source and sink share, checked when the job is built. */
import type { ConnectionOptions } from 'node:tls'
import { EngineError } from '../../src/core/errors.ts'

export interface KafkaConnection {
  /** `host:port` of one broker or more; the others are learned from them. */
  readonly brokers: readonly string[]
  /** As brokers log it. Default `'millrace'`. */
  readonly clientId?: string
  /** TLS: true, or options of `node:tls`. Default false. */
  readonly ssl?: boolean | ConnectionOptions
  readonly sasl?: KafkaPassword | KafkaToken
}

export interface KafkaPassword {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
  readonly username: string
  readonly password: string
}

export interface KafkaToken {
  readonly mechanism: 'oauthbearer'
  /**
   * Called for each connection that is opened, so a token need not outlive one: brokers end connections whose token is over, and
   * they are opened anew. What it throws is tried again.
   */
  readonly token: () => string | Promise<string>
}

export interface BrokerAddress {
  readonly host: string
  readonly port: number
}

/** The addresses of `brokers`; fails with `OPTION_INVALID` for what is none. An IPv6 address stands in brackets. */
export function parseBrokers(brokers: readonly string[]): readonly BrokerAddress[] {
  if (brokers.length === 0) {
    throw new EngineError(
      'OPTION_INVALID',
      'brokers is empty; name at least one broker as host:port',
    )
  }
  return brokers.map((text) => {
    const match = /^(?:\[([^\]]+)\]|([^:\s]+)):(\d+)$/.exec(text)
    const host = match?.[1] ?? match?.[2]
    const port = Number(match?.[3])
    if (host === undefined || !(port > 0 && port < 65_536)) {
      throw new EngineError(
        'OPTION_INVALID',
        `brokers has '${text.replace(/^.*@/s, '…@')}', which is no host:port, like 'kafka-1.example.org:9092'`,
      )
    }
    return { host, port }
  })
}
