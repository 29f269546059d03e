/**
 * One connection to one broker, opened when it is needed and anew after it broke.
 *
 * Invariants
 *  - Requests of one connection reach the broker in the order of `send`.
 *  - After any failure of the connection it is dropped with everything under way on it; the next `send` opens a new one.
 *  - What comes out are `EngineError`s: `KAFKA_UNREACHABLE`, `KAFKA_NOT_AUTHORIZED`, or `KAFKA_FAILED`.
 *  - Opening and each request are bounded in time.
 */
import { EngineError } from '../../src/core/errors.ts'
import { asSpoken, linkClosed } from './broker-link.ts'
import type { BrokerLink, BrokerSpeech } from './broker-link.ts'
import { saslOf } from './sasl.ts'
import type { BrokerAddress, KafkaConnection } from './kafka-connection.ts'
import { brokerError } from './kafka-errors.ts'
import type { Kafkajs, KafkajsConnection } from './kafkajs-internals.ts'
import { ProtocolReader } from './protocol-bytes.ts'
import { apiVersionsRequest, transactionVersionRequest } from './protocol-requests.ts'
import type { Answer, KafkaRequest } from './protocol-requests.ts'

/** For TCP and TLS, and once more for the SASL handshake. */
const connectMsMax = 10_000
/** From sending a request to its answer. */
const requestMsMax = 30_000
const saslAuthenticateKey = 36
const apiVersionsKey = 18

/** Certificates that do not get better by waiting. */
const certificateCodes: ReadonlySet<string> = new Set([
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

interface OpenConnection extends BrokerSpeech {
  readonly connection: KafkajsConnection
}

export class BrokerConnection implements BrokerLink {
  readonly #kafkajs: Kafkajs
  readonly #address: BrokerAddress
  readonly #options: KafkaConnection
  #open: OpenConnection | undefined
  #opening: Promise<void> | undefined
  #isClosed = false

  constructor(kafkajs: Kafkajs, address: BrokerAddress, options: KafkaConnection) {
    this.#kafkajs = kafkajs
    this.#address = address
    this.#options = options
  }

  async send<A>(request: KafkaRequest<A>): Promise<A> {
    await this.#connected()
    const open = this.#open
    if (open === undefined || this.#isClosed) throw linkClosed()
    const chosen = asSpoken(request, open, this.#name)
    try {
      return await exchange(this.#kafkajs, open.connection, chosen)
    } catch (cause) {
      if (this.#open === open) this.#drop(open.connection)
      throw this.#toEngineError(cause)
    }
  }

  /** Whether the broker speaks a request of this number. */
  async speaks(apiKey: number): Promise<boolean> {
    await this.#connected()
    return this.#open?.versions[apiKey] !== undefined
  }

  /** May be called twice. What is under way is rejected. */
  close(): void {
    this.#isClosed = true
    if (this.#open !== undefined) this.#drop(this.#open.connection)
  }

  async #connected(): Promise<void> {
    if (this.#open?.connection.isConnected() === true) return
    this.#opening ??= this.#connect().finally(() => (this.#opening = undefined))
    await this.#opening
  }

  async #connect(): Promise<void> {
    const { clientId = 'millrace', ssl = false, sasl } = this.#options
    const connection = this.#kafkajs.connection({
      ...this.#address,
      clientId,
      ssl,
      sasl: sasl === undefined ? null : saslOf(sasl, this.#name),
      connectionTimeout: connectMsMax,
      requestTimeout: requestMsMax,
    })
    try {
      await within(connectMsMax, connection.connect())
      const versions = await within(
        connectMsMax,
        exchange(this.#kafkajs, connection, apiVersionsRequest()),
      )
      connection.setVersions(versions)
      connection.setSupportAuthenticationProtocol(versions[saslAuthenticateKey] !== undefined)
      await within(connectMsMax, connection.authenticate())
      const tellsFeatures = (versions[apiVersionsKey]?.maxVersion ?? 0) >= 3
      const transactionVersion = tellsFeatures
        ? await within(
            connectMsMax,
            exchange(this.#kafkajs, connection, transactionVersionRequest()),
          )
        : 0
      if (this.#isClosed) throw linkClosed()
      this.#open = { connection, versions, transactionVersion }
    } catch (cause) {
      this.#drop(connection)
      throw this.#toEngineError(cause)
    }
  }

  #drop(connection: KafkajsConnection): void {
    if (this.#open?.connection === connection) this.#open = undefined
    connection.rejectRequests(
      this.#isClosed ? linkClosed() : new Error('the connection was closed'),
    )
    // It has nothing under way any more; a socket that does not close in order is of no further interest.
    connection.disconnect().catch(() => undefined)
  }

  #toEngineError(cause: unknown): EngineError {
    if (cause instanceof EngineError) return cause
    const name = cause instanceof Error ? cause.name : ''
    const text = cause instanceof Error ? cause.message : String(cause)
    if (name === 'KafkaJSSASLAuthenticationError') {
      return new EngineError(
        'KAFKA_NOT_AUTHORIZED',
        `The broker ${this.#name} refused the login: ${text}; check sasl.mechanism, username and password`,
        { cause },
      )
    }
    if (name === 'KafkaJSProtocolError' && cause instanceof Error && 'code' in cause) {
      return brokerError(Number(cause.code), `The login at ${this.#name}`)
    }
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
    return new EngineError(
      'KAFKA_UNREACHABLE',
      `The broker ${this.#name} cannot be reached: ${text}`,
      { cause, retryable: !certificateCodes.has(code) },
    )
  }

  get #name(): string {
    return `${this.#address.host}:${this.#address.port}`
  }
}

async function exchange<A>(
  kafkajs: Kafkajs,
  connection: KafkajsConnection,
  request: KafkaRequest<A>,
): Promise<A> {
  let answer: Answer<A> | undefined
  await connection.send({
    request: {
      apiKey: request.apiKey,
      apiVersion: request.apiVersion,
      apiName: request.name,
      async encode() {
        const bytes = request.encode()
        return kafkajs.encoder(bytes.length).writeBuffer(bytes)
      },
    },
    response: {
      async decode(bytes) {
        answer = request.decode(new ProtocolReader(bytes))
        return { clientSideThrottleTime: answer.throttleMs }
      },
      async parse(decoded) {
        return decoded
      },
    },
    logResponseError: false,
  })
  if (answer === undefined) throw new Error(`${request.name} was not answered`)
  return answer.body
}

async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    return await Promise.race([work, timeout])
  } finally {
    clearTimeout(timer)
  }
}
