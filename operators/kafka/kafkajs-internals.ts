/**
 * kafkajs as far as the engine leans on it: one TCP or TLS connection with its SASL handshake and its queue of requests.
 *
 * Invariants
 *  - kafkajs is loaded when the first client is opened, never by importing this file.
 *  - It is pinned to one version; what is used of it beyond its public interface is looked for here, and its absence is an
 *    error that names it, before the first connection. Then public-client.ts does without.
 *  - What is used here is typed here: nothing of kafkajs' own types reaches other files.
 *
 * Cured here: the request queue of kafkajs 2.2.4 keeps a timer of about 1 ms running on each idle connection, which also makes
 * Node 24 warn of negative time-outs. It is needed only while requests wait or the broker asked for a pause.
 */
import { createRequire } from 'node:module'
import type { ConnectionOptions } from 'node:tls'
import { EngineError } from '../../src/core/errors.ts'
import type { ApiVersions } from './protocol-requests.ts'

const kafkajsVersion = '2.2.4'

/** Of kafkajs/src/network/connection. One use only: a connection that broke keeps half an answer, so it is thrown away. */
export interface KafkajsConnection {
  isConnected(): boolean
  connect(): Promise<unknown>
  /** Waits for the requests under way. */
  disconnect(): Promise<unknown>
  authenticate(): Promise<void>
  setVersions(versions: ApiVersions): void
  setSupportAuthenticationProtocol(isSupported: boolean): void
  send(call: KafkajsCall): Promise<unknown>
  rejectRequests(error: Error): void
}

export interface KafkajsCall {
  readonly request: {
    readonly apiKey: number
    readonly apiVersion: number
    readonly apiName: string
    encode(): Promise<KafkajsEncoder>
  }
  readonly response: {
    decode(answer: Buffer): Promise<{ readonly clientSideThrottleTime: number }>
    parse(decoded: unknown): Promise<unknown>
  }
  readonly logResponseError: boolean
}

/** Of kafkajs/src/protocol/encoder: a buffer that kafkajs puts its header before. */
export interface KafkajsEncoder {
  writeBuffer(bytes: Buffer): KafkajsEncoder
}

export interface KafkajsConnectionOptions {
  readonly host: string
  readonly port: number
  readonly clientId: string
  readonly ssl: boolean | ConnectionOptions
  /** kafkajs keeps state in it: give each connection an object of its own. */
  readonly sasl: object | null
  readonly connectionTimeout: number
  readonly requestTimeout: number
}

export interface Kafkajs {
  connection(options: KafkajsConnectionOptions): KafkajsConnection
  encoder(bytes: number): KafkajsEncoder
}

type ConnectionConstructor = new (options: object) => KafkajsConnection
type EncoderConstructor = new (bytes: number) => KafkajsEncoder

interface RequestQueuePrototype {
  scheduleCheckPendingRequests: (this: RequestQueue) => void
}

interface RequestQueue {
  readonly pending: readonly unknown[]
  readonly throttledUntil: number
}

const load = createRequire(import.meta.url)
let loaded: Kafkajs | undefined

/** Fails with `KAFKA_FAILED` where kafkajs is not there or not the one that is known to work. */
export function loadKafkajs(): Kafkajs {
  loaded ??= open()
  return loaded
}

function open(): Kafkajs {
  const { version } = part<{ readonly version: string }>('package.json', isObject, [])
  if (version !== kafkajsVersion) throw unusable(`its version is ${version}`)
  const Connection = part<ConnectionConstructor>('src/network/connection', isClass, [
    'isConnected',
    'connect',
    'disconnect',
    'authenticate',
    'setVersions',
    'send',
    'setSupportAuthenticationProtocol',
    'rejectRequests',
  ])
  const Encoder = part<EncoderConstructor>('src/protocol/encoder', isClass, ['writeBuffer'])
  const queueMethods = ['scheduleCheckPendingRequests', 'checkPendingRequests']
  const queue = part<{ readonly prototype: RequestQueuePrototype }>(
    'src/network/requestQueue',
    isClass,
    queueMethods,
  )
  const logger = part<{ createLogger(options: object): unknown }>('src/loggers', isObject, [])
  const sockets = part<() => unknown>('src/network/socketFactory', isClass, [])
  stopIdleTimer(queue.prototype)
  const silent = logger.createLogger({ level: 0, logCreator: () => () => undefined })
  return {
    connection(options) {
      return new Connection({
        ...options,
        logger: silent, // what fails is an error here, and logged by who knows what it means
        socketFactory: sockets(),
        enforceRequestTimeout: true,
      })
    },
    encoder: (bytes) => new Encoder(bytes),
  }
}

function stopIdleTimer(prototype: RequestQueuePrototype): void {
  const schedule = prototype.scheduleCheckPendingRequests
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0 || this.throttledUntil > Date.now()) schedule.call(this)
  }
}

/** A module of kafkajs, of the kind and with the methods that are expected. */
function part<T>(
  path: string,
  isExpected: (module: unknown) => boolean,
  methods: readonly string[],
): T {
  let module: unknown
  try {
    module = load(`kafkajs/${path}`)
  } catch (cause) {
    throw unusable(`${path} cannot be loaded`, cause)
  }
  if (!isExpected(module)) throw unusable(`${path} is not what it was`)
  for (const method of methods) {
    const prototype: unknown = Reflect.get(Object(module), 'prototype')
    if (typeof Reflect.get(Object(prototype), method) !== 'function') {
      throw unusable(`${path} has no ${method}`)
    }
  }
  return module as T
}

function isClass(module: unknown): boolean {
  return typeof module === 'function'
}

function isObject(module: unknown): boolean {
  return typeof module === 'object' && module !== null
}

function unusable(why: string, cause?: unknown): EngineError {
  return new EngineError(
    'KAFKA_FAILED',
    `The installed kafkajs cannot be used: ${why}; install exactly kafkajs@${kafkajsVersion}`,
    { retryable: false, cause },
  )
}
