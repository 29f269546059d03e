/**
 * A real Kafka broker (KRaft) on loopback, or three of them, for tests.
 *
 * Invariants
 *  - No broker outlives the process that started it, even when that is killed: a keeper process each (broker-keeper.ts) ends it.
 *  - A broker that nobody stops does not keep the test process alive.
 *  - `startKafka` and `restart` return when the broker answers. Ports and data stay the same over `kill` and `restart`.
 *
 * A start takes some seconds, so tests share one broker per process: `sharedKafka`, and a topic of its own for each test.
 */
import { execFile, fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Kafka, logLevel } from 'kafkajs'
import { loadKafkajs } from '../../../operators/kafka/kafkajs-internals.ts'
import type { KeeperMessage, KeeperOrder } from './broker-keeper.ts'
import { java, kafkaJars, kafkaMissing, kafkaVersion, keytool, log4jFile } from './kafka-jars.ts'

const startMsMax = 120_000

type Properties = Readonly<Record<string, string | number | boolean>>

/**
 * `properties`: broker properties beside, or instead of, those that suit tests. `isSecure`: with a second listener, for TLS and
 * SASL (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER with unsigned tokens), and a third that asks for a client's certificate.
 */
export interface StartKafkaOptions {
  readonly properties?: Properties
  readonly isSecure?: boolean
  /** Levels of features: `{ 'transaction.version': 0 }` gives the transactions of Kafka 3. Older releases have no others. */
  readonly features?: Readonly<Record<string, number>>
  /** Of Kafka. Default: `kafkaVersion`. */
  readonly version?: string
  /** Three have three replicas of all, of which two must be in sync. Default 1. Not with `isSecure`. */
  readonly brokerCount?: 1 | 3
}

/** The user of the secure listener. */
export const testUser = { username: 'alice', password: 'alice-secret' } as const

export interface SecureListeners {
  readonly bootstrap: string
  readonly ca: string
  /** Of the listener that takes only clients with a certificate. */
  readonly mutualBootstrap: string
  /** A client's key and certificate, as PKCS #12, and its passphrase. */
  readonly client: { readonly pfx: Buffer; readonly passphrase: string }
}

export interface RunningKafka {
  /** `host:port`, of the first broker. */
  readonly bootstrap: string
  readonly brokers: readonly RunningBroker[]
  /** The secure listener, and the certificate that it is trusted by. */
  readonly secure: SecureListeners | undefined
  /** Configuration, data and logs; removed by `stop`. */
  readonly directory: string
  /** Ends all brokers with SIGKILL: connections break, what was written stays. */
  kill(): Promise<void>
  /** Starts them again, on the same ports and data. */
  restart(): Promise<void>
  /** Ends the brokers and removes their directory. */
  stop(): Promise<void>
}

export interface RunningBroker {
  readonly id: number
  /** `host:port`. */
  readonly address: string
  kill(): Promise<void>
  restart(): Promise<void>
}

/**
 * The `skip` option of tests that need a broker: the reason why there can be none, or false. With MILLRACE_REQUIRE_KAFKA=1
 * nothing is skipped, and those tests fail instead.
 */
export function skipWithoutKafka(): string | false {
  if (process.env['MILLRACE_REQUIRE_KAFKA'] === '1') return false
  const missing = kafkaMissing()
  return missing === undefined ? false : `no Kafka for tests: ${missing}`
}

let shared: Promise<RunningKafka> | undefined

/** The one broker of this process, started by whoever asks first. It ends with the process. */
export function sharedKafka(): Promise<RunningKafka> {
  shared ??= startKafka()
  return shared
}

export async function startKafka(options: StartKafkaOptions = {}): Promise<RunningKafka> {
  const missing = kafkaMissing()
  if (missing !== undefined) throw new Error(`No Kafka can be started: ${missing}`)
  const jars = await kafkaJars(options.version)
  const directory = await mkdtemp(join(tmpdir(), 'millrace-kafka-'))
  const places = await placesFor(directory, options.brokerCount ?? 1)
  const secure = options.isSecure === true ? await secureListeners(directory, places) : undefined
  const clusterId = `a${randomBytes(16).toString('base64url').slice(1)}`
  const brokers = await Promise.all(
    places.map(async (place) => {
      const broker = new Broker(place, jars)
      await broker.format(places, options, clusterId)
      return broker
    }),
  )
  const restart = async (): Promise<void> => {
    await Promise.all(brokers.map((broker) => broker.start(brokers.length)))
  }
  await restart()
  return {
    bootstrap: addressOf(places[0] as Place),
    brokers: brokers.map((broker) => ({
      id: broker.place.id,
      address: addressOf(broker.place),
      kill: () => broker.end('SIGKILL'),
      restart: () => broker.start(1),
    })),
    secure,
    directory,
    kill: () => inTurn(brokers, (broker) => broker.end('SIGKILL')),
    restart,
    async stop() {
      await Promise.all(brokers.map((broker) => broker.end('SIGTERM')))
      for (const broker of brokers) broker.dismiss()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

function hasFeatures(version: string): boolean {
  return Number.parseInt(version) >= 4
}

async function inTurn<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  for (const item of items) await work(item)
}

/** Where a broker is. */
interface Place {
  readonly id: number
  readonly directory: string
  readonly port: number
  readonly controllerPort: number
  readonly securePort: number
  readonly mutualPort: number
}

function addressOf({ port }: Place): string {
  return `127.0.0.1:${port}`
}

async function placesFor(directory: string, count: number): Promise<readonly Place[]> {
  const ports = await freePorts(4 * count)
  return Promise.all(
    Array.from({ length: count }, async (_, index): Promise<Place> => {
      const own = count === 1 ? directory : join(directory, `broker-${index + 1}`)
      await mkdir(own, { recursive: true })
      const [port = 0, controllerPort = 0, securePort = 0, mutualPort = 0] = ports.slice(4 * index)
      return { id: index + 1, directory: own, port, controllerPort, securePort, mutualPort }
    }),
  )
}

class Broker {
  readonly place: Place
  readonly #keeper: Keeper
  readonly #configuration: string
  readonly #jvm: readonly string[]

  constructor(place: Place, jars: string) {
    this.place = place
    this.#keeper = new Keeper(place.directory, join(place.directory, 'log'))
    this.#configuration = join(place.directory, 'server.properties')
    this.#jvm = [
      '-Xmx512m',
      '-XX:+UseSerialGC',
      '-XX:TieredStopAtLevel=1',
      '-Djava.awt.headless=true',
      `-Dlog4j2.configurationFile=${log4jFile}`,
      '-cp',
      join(jars, '*'),
    ]
  }

  async format(
    places: readonly Place[],
    options: StartKafkaOptions,
    clusterId: string,
  ): Promise<void> {
    const lines = Object.entries({
      ...propertiesFor(this.place, places),
      ...(options.isSecure === true ? secureProperties(this.place) : {}),
      ...options.properties,
    }).map(([name, value]) => `${name}=${value}\n`)
    await writeFile(this.#configuration, lines.join(''))
    await promisify(execFile)(java, [
      ...this.#jvm,
      'kafka.tools.StorageTool',
      'format',
      '-t',
      clusterId,
      '-c',
      this.#configuration,
      // releases before 4.0 have one level of each, and do not know the names
      ...(hasFeatures(options.version ?? kafkaVersion)
        ? Object.entries(options.features ?? {}).flatMap(([name, level]) => [
            '--feature',
            `${name}=${level}`,
          ])
        : []),
      // older releases than 3.5 do not know them
      ...(options.isSecure === true
        ? scramMechanisms.flatMap((mechanism) => ['--add-scram', scramOf(mechanism)])
        : []),
    ])
  }

  /** Settles when it answers and knows so many brokers. */
  async start(knownMin: number): Promise<void> {
    await this.#keeper.ask({
      kind: 'start',
      command: java,
      args: [...this.#jvm, 'kafka.Kafka', this.#configuration],
    })
    await this.#keeper.whileRunning(answering(addressOf(this.place), knownMin))
  }

  end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    return this.#keeper.ask({ kind: 'end', signal })
  }

  dismiss(): void {
    this.#keeper.dismiss()
  }
}

/** The test's end of the channel to the keeper. It holds the event loop only while an answer is awaited. */
class Keeper {
  readonly #process: ChildProcess
  readonly #logFile: string

  constructor(directory: string, logFile: string) {
    const file = new URL(`./broker-keeper${extname(import.meta.url)}`, import.meta.url)
    this.#process = fork(fileURLToPath(file), [directory, logFile], {
      detached: true,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      execArgv: [],
    })
    this.#logFile = logFile
    this.#process.unref()
    this.#process.channel?.unref()
  }

  async ask(order: KeeperOrder): Promise<void> {
    const answer = this.#next('done')
    this.#process.send(order)
    await answer
  }

  /** What `work` gives, unless the broker ends before. */
  async whileRunning<T>(work: Promise<T>): Promise<T> {
    const abort = new AbortController()
    const ended = this.#next('ended', abort.signal).then(
      async () => {
        const log = await readFile(this.#logFile, 'utf8')
        throw new Error(`The broker ended while starting; its log ends:\n${log.slice(-3000)}`)
      },
      () => work, // aborted: the work is done
    )
    try {
      return await Promise.race([work, ended])
    } finally {
      abort.abort()
    }
  }

  dismiss(): void {
    this.#process.disconnect()
  }

  async #next(kind: KeeperMessage['kind'], signal?: AbortSignal): Promise<void> {
    this.#process.channel?.ref()
    try {
      for (;;) {
        const [message] = await once(
          this.#process,
          'message',
          signal === undefined ? {} : { signal },
        )
        if ((message as KeeperMessage).kind === kind) return
      }
    } finally {
      this.#process.channel?.unref()
    }
  }
}

/** Settles when the broker answers requests and knows so many brokers, itself among them. */
async function answering(bootstrap: string, knownMin: number): Promise<void> {
  loadKafkajs() // cures its endless timer, here too
  const kafka = new Kafka({
    brokers: [bootstrap],
    logLevel: logLevel.NOTHING,
    retry: { retries: 0 },
  })
  const until = performance.now() + startMsMax
  for (;;) {
    const admin = kafka.admin()
    try {
      await admin.connect()
      if ((await admin.describeCluster()).brokers.length >= knownMin) return
    } catch (error) {
      if (performance.now() > until) {
        throw new Error(`The broker at ${bootstrap} does not answer`, { cause: error })
      }
    } finally {
      await admin.disconnect()
    }
    await sleep(100)
  }
}

function propertiesFor(
  { id, directory, port, controllerPort }: Place,
  places: readonly Place[],
): Record<string, string | number | boolean> {
  const replicaCount = places.length
  const inSyncMin = replicaCount > 1 ? 2 : 1
  const voters = places.map((place) => `${place.id}@127.0.0.1:${place.controllerPort}`)
  return {
    'process.roles': 'broker,controller',
    'node.id': id,
    'controller.quorum.voters': voters.join(','),
    'controller.listener.names': 'CONTROLLER',
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': join(directory, 'data'),
    'auto.create.topics.enable': false,
    // of the coordinators' topics there is one partition a broker
    'offsets.topic.num.partitions': replicaCount,
    'offsets.topic.replication.factor': replicaCount,
    'transaction.state.log.num.partitions': replicaCount,
    'transaction.state.log.replication.factor': replicaCount,
    'transaction.state.log.min.isr': inSyncMin,
    'default.replication.factor': replicaCount,
    'min.insync.replicas': inSyncMin,
    'controlled.shutdown.enable': false,
    // small and quick
    'num.network.threads': 2,
    'num.io.threads': 4,
    'log.cleaner.dedupe.buffer.size': 4_194_304,
    'group.initial.rebalance.delay.ms': 0,
    'transaction.abort.timed.out.transaction.cleanup.interval.ms': 500,
    // Kafka deletes by the dates of the records, and those of tests are old
    'log.retention.ms': -1,
    // a killed broker may register again only when its former session is over
    'broker.session.timeout.ms': 4000,
    'broker.heartbeat.interval.ms': 500,
  }
}

const scramMechanisms = ['SCRAM-SHA-256', 'SCRAM-SHA-512'] as const

function scramOf(mechanism: string): string {
  return `${mechanism}=[name=${testUser.username},password=${testUser.password}]`
}

function secureProperties(place: Place): Properties {
  const { directory, ...ports } = place
  const login = 'org.apache.kafka.common.security'
  const scram = `${login}.scram.ScramLoginModule required;`
  const listener = 'listener.name.secure'
  const plainListeners = `PLAINTEXT://127.0.0.1:${ports.port},CONTROLLER://127.0.0.1:${ports.controllerPort}`
  return {
    listeners: `${plainListeners},SECURE://127.0.0.1:${ports.securePort},MUTUAL://127.0.0.1:${ports.mutualPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${ports.port},SECURE://localhost:${ports.securePort},MUTUAL://localhost:${ports.mutualPort}`,
    'listener.security.protocol.map':
      'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL,MUTUAL:SSL',
    'ssl.keystore.type': 'PKCS12',
    'ssl.keystore.location': join(directory, 'broker.p12'),
    'ssl.keystore.password': storePassword,
    'ssl.key.password': storePassword,
    'ssl.truststore.type': 'PKCS12',
    'ssl.truststore.location': join(directory, 'trusted.p12'),
    'ssl.truststore.password': storePassword,
    'listener.name.mutual.ssl.client.auth': 'required',
    'sasl.enabled.mechanisms': ['PLAIN', ...scramMechanisms, 'OAUTHBEARER'].join(','),
    [`${listener}.plain.sasl.jaas.config`]: `${login}.plain.PlainLoginModule required user_${testUser.username}="${testUser.password}";`,
    [`${listener}.scram-sha-256.sasl.jaas.config`]: scram,
    [`${listener}.scram-sha-512.sasl.jaas.config`]: scram,
    [`${listener}.oauthbearer.sasl.jaas.config`]: `${login}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
  }
}

/** A token that the secure listener takes, or one whose time is over: it is not signed. */
export function testToken(options: { readonly isOver?: boolean } = {}): string {
  const nowS = Math.floor(Date.now() / 1000)
  const endS = options.isOver === true ? nowS - 3600 : nowS + 3600
  const parts = [{ alg: 'none' }, { sub: testUser.username, iat: nowS - 7200, exp: endS }]
  return parts.map((part) => `${Buffer.from(JSON.stringify(part)).toString('base64url')}.`).join('')
}

const storePassword = 'store-password'

/** The listeners of the one broker that has them, and what clients need. */
async function secureListeners(
  directory: string,
  places: readonly Place[],
): Promise<SecureListeners> {
  const [place] = places
  if (place === undefined || places.length > 1) throw new Error('Only one broker may be secure')
  return {
    ...(await makeCertificates(directory)),
    bootstrap: `localhost:${place.securePort}`,
    mutualBootstrap: `localhost:${place.mutualPort}`,
  }
}

/** Key stores for the broker and for a client that it trusts; the broker's certificate, as PEM. */
async function makeCertificates(
  directory: string,
): Promise<Pick<SecureListeners, 'ca' | 'client'>> {
  const ca = await makeKey(directory, 'broker')
  const client = await makeKey(directory, 'client')
  const file = join(directory, 'client.pem')
  await writeFile(file, client)
  await promisify(execFile)(keytool, [
    '-importcert',
    '-noprompt',
    '-alias',
    'client',
    '-file',
    file,
    '-keystore',
    join(directory, 'trusted.p12'),
    ...storeAccess,
  ])
  const pfx = await readFile(join(directory, 'client.p12'))
  return { ca, client: { pfx, passphrase: storePassword } }
}

const storeAccess = ['-storetype', 'PKCS12', '-storepass', storePassword]

/** Makes the key store `name`.p12; its certificate, as PEM. */
async function makeKey(directory: string, name: string): Promise<string> {
  const run = promisify(execFile)
  const store = ['-alias', name, '-keystore', join(directory, `${name}.p12`), ...storeAccess]
  await run(keytool, [
    '-genkeypair',
    '-keyalg',
    'EC',
    '-groupname',
    'secp256r1',
    '-validity',
    '3650',
    '-dname',
    'CN=localhost',
    '-ext',
    'san=dns:localhost,ip:127.0.0.1',
    ...store,
  ])
  const { stdout } = await run(keytool, ['-exportcert', '-rfc', ...store])
  return stdout
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const ports = await Promise.all(
    servers.map(async (server) => {
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const address = server.address()
      return typeof address === 'object' && address !== null ? address.port : 0
    }),
  )
  for (const server of servers) server.close()
  return ports
}
