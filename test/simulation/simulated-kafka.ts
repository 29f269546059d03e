/**
 * A Kafka cluster in the simulated world: the model's brokers, behind a network that loses, delays and cuts off what is on its way.
 *
 *  1. A request is under way from the moment it is sent, and arrives when the world says so, whatever became of its sender by then: that
 *     of a process that has crashed too, or is lost with its connection.
 *     The broker may also get to it only when the sender has given the connection up, and has asked again.
 *  2. The broker carries it out and answers; the answer reaches the sender if that lives, or is lost with the connection.
 * Requests of one connection arrive in their order. When a connection breaks, all that is under way on it fails for the sender, and he
 * does not know which of it was done.
 */
import { Deferred } from '../../src/core/deferred.ts'
import { EngineError } from '../../src/core/errors.ts'
import { asSpoken, linkClosed } from '../../operators/kafka/broker-link.ts'
import type { BrokerLink, BrokerSpeech } from '../../operators/kafka/broker-link.ts'
import type { TransactionalClient } from '../../operators/kafka/kafka-client.ts'
import { ProtocolClient } from '../../operators/kafka/protocol-client.ts'
import { ProtocolReader } from '../../operators/kafka/protocol-bytes.ts'
import type { KafkaRequest } from '../../operators/kafka/protocol-requests.ts'
import { answerOf, hostOf, speechOf } from './kafka-model/broker-model.ts'
import { ClusterModel } from './kafka-model/cluster-model.ts'
import { code } from './kafka-model/codes.ts'
import type { Owner, World } from './world.ts'

export interface SimulatedKafkaOptions {
  readonly version: 0 | 2
  readonly brokerCount: number
  /** Whether the brokers tell what became of a transaction. */
  readonly describes: boolean
  /** Of all requests, how many meet with something: are lost, or refused in passing, or answered late. */
  readonly troubleRate: number
  /** How long the end of a transaction may take to be written to a partition. */
  readonly endMsMax: number
}

const nobody: Owner = { isGone: false, isFrozen: false }
const background: Owner = { ...nobody, isBackground: true }
const port = 9092
/** How long a broker that has gone is missed. */
const downMs = [5, 50, 500, 3000]
const endTransactionKey = 26
const produceKey = 0

export class SimulatedKafka {
  readonly cluster: ClusterModel
  readonly #world: World
  readonly #options: SimulatedKafkaOptions
  readonly #speech: BrokerSpeech
  /** Ends of transactions that are going to be lost on the way there or back. */
  lostEnds = 0
  onLostEnd: () => void = () => {}

  constructor(world: World, options: SimulatedKafkaOptions) {
    this.#world = world
    this.#options = options
    const { version, brokerCount, endMsMax } = options
    this.cluster = new ClusterModel({
      version,
      brokerCount,
      later: (what, run) => {
        const delayMs = world.random.chance(0.2) ? world.random.below(endMsMax + 1) : 0
        if (delayMs === 0) world.later(nobody, what, run)
        else world.scheduler(nobody).after(delayMs, run)
      },
      after: (delayMs, run) => world.scheduler(background).after(delayMs, run),
    })
    this.#speech = speechOf(this.cluster, options.describes)
  }

  /** A client of `owner`. */
  openClient(owner: Owner): TransactionalClient {
    const seeds = Array.from({ length: this.#options.brokerCount }, (_, index) => ({
      host: hostOf(index + 1),
      port,
    }))
    return new ProtocolClient({
      seeds,
      connect: ({ host }) =>
        new SimulatedLink(this, owner, seeds.findIndex((seed) => seed.host === host) + 1),
    })
  }

  /** A broker is gone for a while; others take its place, where there are any. */
  loseBroker(): void {
    const { random } = this.#world
    const brokerId = random.between(1, this.#options.brokerCount)
    if (this.cluster.down.has(brokerId)) return
    this.cluster.down.add(brokerId)
    this.#world.scheduler(nobody).after(random.pick(downMs), () => {
      this.cluster.down.delete(brokerId)
    })
  }

  /** Leaders and coordinators move; the new coordinators have to load first. */
  move(): void {
    const { cluster } = this
    cluster.move()
    cluster.isLoading = true
    this.#world.scheduler(nobody).after(this.#world.random.pick([1, 20, 300]), () => {
      cluster.isLoading = false
    })
  }

  /** What becomes of a request that is about to arrive. */
  fateOf(apiKey: number): Fate {
    const { random } = this.#world
    if (apiKey === endTransactionKey && this.lostEnds > 0) {
      this.lostEnds -= 1
      this.onLostEnd()
      return random.pick(['lost before', 'lost after', 'done later'])
    }
    if (!random.chance(this.#options.troubleRate)) return 'done'
    return random.pick(['lost before', 'lost after', 'done later', 'refused', 'late'])
  }

  handle(
    brokerId: number,
    request: KafkaRequest<unknown>,
    bytes: Buffer,
    isRefused: boolean,
  ): Buffer {
    const { random } = this.#world
    if (isRefused) {
      this.cluster.hiccup = random.pick(
        request.apiKey === produceKey
          ? [code.notLeader, code.notEnoughReplicas, code.notEnoughReplicasAfterAppend]
          : [code.coordinatorLoading, code.notCoordinator, code.coordinatorNotAvailable],
      )
    }
    const answer = answerOf(this.cluster, brokerId, request, bytes)
    this.cluster.hiccup = undefined
    return answer
  }

  get world(): World {
    return this.#world
  }

  get speech(): BrokerSpeech {
    return this.#speech
  }
}

type Fate = 'done' | 'lost before' | 'lost after' | 'done later' | 'refused' | 'late'

interface UnderWay {
  readonly request: KafkaRequest<unknown>
  readonly bytes: Buffer
  readonly answered: Deferred<Buffer>
}

/** From one opening to the next break. */
interface Connection {
  readonly toArrive: UnderWay[]
  readonly unanswered: Set<UnderWay>
  isBroken: boolean
}

class SimulatedLink implements BrokerLink {
  readonly #kafka: SimulatedKafka
  readonly #owner: Owner
  readonly #brokerId: number
  #connection: Connection | undefined
  #isClosed = false

  constructor(kafka: SimulatedKafka, owner: Owner, brokerId: number) {
    this.#kafka = kafka
    this.#owner = owner
    this.#brokerId = brokerId
  }

  async send<A>(request: KafkaRequest<A>): Promise<A> {
    if (this.#isClosed) throw linkClosed()
    const spoken = asSpoken(request, this.#kafka.speech, hostOf(this.#brokerId))
    this.#connection ??= { toArrive: [], unanswered: new Set(), isBroken: false }
    const connection = this.#connection
    const underWay: UnderWay = {
      request: spoken,
      bytes: Buffer.from(spoken.encode()),
      answered: new Deferred(),
    }
    connection.toArrive.push(underWay)
    connection.unanswered.add(underWay)
    this.#kafka.world.later(nobody, `request ${spoken.name}`, () => this.#arrive(connection))
    const answer = await underWay.answered.promise
    return spoken.decode(new ProtocolReader(answer)).body
  }

  async speaks(apiKey: number): Promise<boolean> {
    return this.#kafka.speech.versions[apiKey] !== undefined
  }

  close(): void {
    this.#isClosed = true
    const connection = this.#connection
    this.#connection = undefined
    for (const { answered } of connection?.unanswered ?? []) answered.reject(linkClosed())
    connection?.unanswered.clear()
  }

  #arrive(connection: Connection): void {
    const { world, cluster } = this.#kafka
    const next = connection.toArrive.shift()
    if (next === undefined || connection.isBroken) return
    // what a process had not got rid of when it crashed is lost; what was on its way by then arrives
    if (this.#owner.isGone && world.random.chance(0.4)) {
      connection.isBroken = true
      return
    }
    const fate = this.#kafka.fateOf(next.request.apiKey)
    if (cluster.down.has(this.#brokerId) || fate === 'lost before') return this.#break(connection)
    if (fate === 'done later') {
      world.scheduler(nobody).after(world.random.pick([1, 4, 20, 300]), () => {
        if (!cluster.down.has(this.#brokerId)) {
          this.#kafka.handle(this.#brokerId, next.request, next.bytes, false)
        }
      })
      return this.#break(connection)
    }
    const answer = this.#kafka.handle(this.#brokerId, next.request, next.bytes, fate === 'refused')
    if (fate === 'lost after') return this.#break(connection)
    const deliver = (): void => {
      connection.unanswered.delete(next)
      next.answered.resolve(answer)
    }
    if (fate === 'late') {
      world.scheduler(this.#owner).after(world.random.pick([3, 40, 600]), deliver)
    } else {
      world.later(this.#owner, `answer ${next.request.name}`, deliver)
    }
  }

  #break(connection: Connection): void {
    connection.isBroken = true
    if (this.#connection === connection) this.#connection = undefined
    const { world } = this.#kafka
    world.later(this.#owner, 'connection lost', () => {
      for (const { answered } of connection.unanswered) {
        answered.reject(
          new EngineError(
            'KAFKA_UNREACHABLE',
            `The broker ${hostOf(this.#brokerId)} cannot be reached: the connection was lost`,
            { retryable: true },
          ),
        )
      }
      connection.unanswered.clear()
    })
  }
}
