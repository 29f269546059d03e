/**
 * Scripts of what producers ask a broker for, one request after the other, and what it answers: the same for a real broker and for the
 * model, or the model is wrong.
 *
 * Outcomes are texts without what differs from cluster to cluster: producer ids are numbered in the order in which they come, offsets
 * counted from the first. What passes by itself (the end of a transaction that is being written) is waited for.
 */
import type { BrokerLink } from '../../../operators/kafka/broker-link.ts'
import type {
  Isolation,
  ProducerIdentity,
  TransactionIdentity,
} from '../../../operators/kafka/kafka-client.ts'
import {
  fetchRequest,
  initProducerIdRequest,
  listOffsetsRequest,
  offsetCommitRequest,
  produceRequest,
} from '../../../operators/kafka/protocol-requests.ts'
import type { KafkaRequest } from '../../../operators/kafka/protocol-requests.ts'
import { RecordBatchWriter, stampBatch } from '../../../operators/kafka/record-batch-writer.ts'
import { RecordCursor } from '../../../operators/kafka/record-cursor.ts'
import {
  addOffsetsRequest,
  addPartitionsRequest,
  describeTransactionRequest,
  endTransactionRequest,
  markerRequest,
  transactionOffsetRequest,
} from '../../../operators/kafka/transaction-requests.ts'
import { code } from './codes.ts'

/** Who asks: an identity that an earlier step was given, by its name, maybe of another epoch. */
export interface As {
  readonly as: string
  readonly epochShift?: number
}

export type Step =
  /** A new identity for the id of this number. */
  | { readonly do: 'init'; readonly id: number; readonly as: string; readonly timeoutMs?: number }
  | ({ readonly do: 'add'; readonly partition: number } & As)
  | ({
      readonly do: 'produce'
      readonly partition: number
      readonly sequence: number
      readonly values: readonly string[]
    } & As)
  | ({ readonly do: 'add group' } & As)
  | ({ readonly do: 'mark'; readonly offset: number } & As)
  /** `next`: the name of the identity that is answered, where one is; else the old one gets it. */
  | ({ readonly do: 'end'; readonly isCommit: boolean; readonly next?: string } & As)
  /** An offset that belongs to no transaction. */
  | { readonly do: 'commit offset'; readonly offset: number }
  /** Waits until the broker has aborted the transaction of this id by itself. */
  | { readonly do: 'time out'; readonly id: number }
  /** What readers see: both logs, the marker, and what became of each id. */
  | { readonly do: 'look' }

export type Script = readonly Step[]

/** Where a script is run: names that no other script uses, and partitions that hold nothing. */
export interface Stage {
  readonly link: BrokerLink
  readonly topic: string
  /** Of partition 0 of the script. */
  readonly firstPartition: number
  /** Of its ids and group. */
  readonly prefix: string
  readonly wait: (ms: number) => Promise<void>
}

const idCount = 2
const partitionCount = 2
const timeoutMsDefault = 60_000
/** Refusals that pass by themselves. */
const passing: ReadonlySet<number> = new Set([
  code.coordinatorLoading,
  code.coordinatorNotAvailable,
  code.notCoordinator,
  code.concurrentTransactions,
  code.notEnoughReplicas,
])
const attemptsMax = 200

/** The outcome of each step. */
export async function runScript(script: Script, stage: Stage): Promise<string[]> {
  const run = new ScriptRun(stage)
  const outcomes: string[] = []
  for (const step of script) outcomes.push(await run.step(step))
  return outcomes
}

class ScriptRun {
  readonly #stage: Stage
  readonly #identities = new Map<string, TransactionIdentity>()
  readonly #producerIds = new Map<bigint, string>()

  constructor(stage: Stage) {
    this.#stage = stage
  }

  async step(step: Step): Promise<string> {
    switch (step.do) {
      case 'init':
        return this.#init(step)
      case 'add': {
        const [answer] = await this.#ask(
          addPartitionsRequest(this.#identity(step), [this.#place(step.partition)]),
          ([each]) => each?.errorCode ?? -1,
        )
        return outcomeOf(answer?.errorCode ?? -1)
      }
      case 'produce':
        return this.#produce(step)
      case 'add group':
        return outcomeOf(
          await this.#ask(addOffsetsRequest(this.#identity(step), this.#group), (it) => it),
        )
      case 'mark': {
        const marker = { offset: step.offset, metadata: 'line' }
        const request = transactionOffsetRequest(this.#identity(step), this.#markerPlace, marker)
        const [answer] = await this.#ask(request, ([each]) => each?.errorCode ?? -1)
        return outcomeOf(answer?.errorCode ?? -1)
      }
      case 'end':
        return this.#end(step)
      case 'commit offset': {
        const { topic, partition } = this.#markerPlace
        const offset = { topic, partition, offset: BigInt(step.offset), metadata: 'line' }
        const [answer] = await this.#ask(
          offsetCommitRequest(this.#group, [offset]),
          ([each]) => each?.errorCode ?? -1,
        )
        return outcomeOf(answer?.errorCode ?? -1)
      }
      case 'time out':
        await this.#until(async () => (await this.#phase(step.id)) !== 'Ongoing')
        return this.#settled(step.id)
      case 'look':
        return this.#look()
    }
  }

  async #init({ id, as, timeoutMs = timeoutMsDefault }: Step & { do: 'init' }): Promise<string> {
    const transactionalId = this.#id(id)
    const { errorCode, value } = await this.#ask(
      initProducerIdRequest(transactionalId, timeoutMs),
      (answer) => answer.errorCode,
    )
    if (errorCode !== code.none) return outcomeOf(errorCode)
    this.#identities.set(as, { transactionalId, ...value })
    return this.#nameOf(value)
  }

  async #produce(step: Step & { do: 'produce' }): Promise<string> {
    const identity = this.#identity(step)
    const writer = new RecordBatchWriter()
    for (const value of step.values) writer.append(Date.now(), null, Buffer.from(value), undefined)
    const bytes = Buffer.from(writer.finish('none'))
    stampBatch(bytes, identity, step.sequence, true)
    const [answer] = await this.#ask(
      produceRequest([{ ...this.#place(step.partition), bytes }], identity.transactionalId),
      ([each]) => each?.errorCode ?? -1,
    )
    const { errorCode = -1, baseOffset } = answer ?? {}
    return errorCode === code.none ? `at ${baseOffset}` : outcomeOf(errorCode)
  }

  async #end(step: Step & { do: 'end' }): Promise<string> {
    const identity = this.#identity(step)
    const { errorCode, value } = await this.#ask(
      endTransactionRequest(identity, step.isCommit),
      (answer) => answer.errorCode,
    )
    if (errorCode !== code.none) return outcomeOf(errorCode)
    for (let id = 0; id < idCount; id++) await this.#settled(id)
    if (value === undefined) return 'ended'
    const { transactionalId } = identity
    this.#identities.set(step.next ?? step.as, { transactionalId, ...value })
    return `ended, next ${this.#nameOf(value)}`
  }

  /** Says what became of the last transaction of an id, once it is not about to change. */
  async #settled(id: number): Promise<string> {
    let phase = ''
    await this.#until(async () => !(phase = await this.#phase(id)).startsWith('Prepare'))
    return phase
  }

  async #phase(id: number): Promise<string> {
    const { errorCode, value } = await this.#ask(
      describeTransactionRequest(this.#id(id)),
      (answer) => answer.errorCode,
    )
    if (errorCode !== code.none) return outcomeOf(errorCode)
    return `${value.name} ${this.#nameOf(value)}`
  }

  async #look(): Promise<string> {
    const seen: string[] = []
    for (let id = 0; id < idCount; id++) seen.push(await this.#settled(id))
    for (let partition = 0; partition < partitionCount; partition++) {
      for (const isolation of ['read_committed', 'read_uncommitted'] as const) {
        seen.push(`${isolation} ${await this.#read(partition, isolation)}`)
      }
    }
    for (const isStable of [true, false]) seen.push(await this.#marker(isStable))
    return seen.join('; ')
  }

  async #read(partition: number, isolation: Isolation): Promise<string> {
    const place = this.#place(partition)
    const [listed] = await this.#ask(
      listOffsetsRequest([place], 'latest', isolation),
      ([each]) => each?.errorCode ?? -1,
    )
    const end = listed?.offset ?? 0
    const [fetched] = await this.#ask(
      fetchRequest({
        isolation,
        maxWaitMs: 0,
        bytesMax: 1 << 20,
        partitions: [{ ...place, offset: 0, bytesMax: 1 << 20 }],
      }),
      ([each]) => each?.errorCode ?? -1,
    )
    const values: string[] = []
    const cursor = new RecordCursor('script')
    const { records = new Uint8Array(0), aborted = [] } = fetched ?? {}
    cursor.open({ bytes: records, fromOffset: 0, nextOffset: end, aborted })
    while (cursor.next()) {
      const { body, valueStart, valueLength, offset } = cursor
      const value = Buffer.from(body.subarray(valueStart, valueStart + valueLength))
      values.push(`${offset}:${value.toString('utf8')}`)
    }
    return `to ${end} [${values.join(' ')}]`
  }

  async #marker(isStable: boolean): Promise<string> {
    const { errorCode, value } = await this.#ask(
      markerRequest(this.#markerPlace, isStable),
      (answer) => answer.errorCode,
    )
    const [found] = value
    const failed = errorCode || (found?.errorCode ?? code.none)
    if (failed !== code.none) return `marker ${outcomeOf(failed)}`
    return `marker ${found?.offset ?? 'none'} ${found?.metadata ?? ''}`
  }

  /** The answer, once it is none that passes by itself. */
  async #ask<A>(request: KafkaRequest<A>, codeOf: (answer: A) => number): Promise<A> {
    for (let attempt = 0; ; attempt++) {
      const answer = await this.#stage.link.send(request)
      if (!passing.has(codeOf(answer)) || attempt === attemptsMax) return answer
      await this.#stage.wait(20)
    }
  }

  async #until(isDone: () => Promise<boolean>): Promise<void> {
    for (let attempt = 0; !(await isDone()); attempt++) {
      if (attempt === attemptsMax) throw new Error('What is waited for does not happen')
      await this.#stage.wait(20)
    }
  }

  #identity({ as, epochShift = 0 }: As): TransactionIdentity {
    const found = this.#identities.get(as)
    if (found === undefined) return { transactionalId: this.#id(0), producerId: 9n, epoch: 0 }
    return { ...found, epoch: found.epoch + epochShift }
  }

  #nameOf({ producerId, epoch }: ProducerIdentity): string {
    let name = this.#producerIds.get(producerId)
    if (name === undefined) {
      name = `p${this.#producerIds.size}`
      this.#producerIds.set(producerId, name)
    }
    return `${name}/${epoch}`
  }

  #id(id: number): string {
    return `${this.#stage.prefix}-${id}`
  }

  get #group(): string {
    return `${this.#stage.prefix}-group`
  }

  get #markerPlace() {
    return { group: this.#group, ...this.#place(0) }
  }

  #place(partition: number) {
    const { topic, firstPartition } = this.#stage
    return { topic, partition: firstPartition + partition }
  }
}

const names: ReadonlyMap<number, string> = new Map(
  Object.entries(code).map(([name, number]) => [number, name]),
)

function outcomeOf(errorCode: number): string {
  return names.get(errorCode) ?? `code ${errorCode}`
}
