/**
 * The exactly-once sink as a whole (docs/protocol.md 5): what became of a checkpoint's output, and the end of everything former runs began.
 *
 * `examine` tells of each unconfirmed epoch
 *  1. `open` where its transaction is, by the broker's word; or where its records are in the checkpoint; `committed` where the broker has
 *     decided so and is about to make it visible;
 *  2. else what its marker says: done (as new or newer) is `committed`, older is `lost`, absent is `unknown`. A marker is written when
 *     a subtask is first registered, so an absent one was deleted or has expired.
 *  Brokers before Kafka 3.0 give no word: there the marker is asked first, and what it does not call done is `open` until its end was tried.
 * `abandon` takes the ids of the epochs, which ends what is open, and then tells the same.
 * `settle`
 *  1. commits the epochs, of each former subtask in their order: ends the transaction by its saved identity, or writes the records
 *     under the id of the subtask that kept them;
 *  2. takes every id of the ledger: that aborts what no checkpoint names, and fences former runs. Open transactions hold up every
 *     reader of committed records, so this is done at once;
 *  3. writes the first markers of this run's subtasks, and registers the ids that it is going to use, before records are written by any of them.
 *
 * Invariants
 *  - Output of a line of checkpoints that is not this job's is not touched: it is committed already, or the user is asked.
 *  - Once the ids of a former line are fenced, the ledger says so, and they are not asked for again.
 */
import type {
  EpochOutcome,
  RestoredEpoch,
  SinkCoordinator,
  SinkCoordinatorContext,
} from '../../src/contract/sink.ts'
import { EngineError, toEngineError } from '../../src/core/errors.ts'
import type {
  Marker,
  MarkerPlace,
  TransactionalClient,
  TransactionIdentity,
} from './kafka-client.ts'
import { markerPlaceOf, placeOf, toKafkaEpoch, transactionalIdOf } from './kafka-epoch.ts'
import type { KafkaEpoch, ResumedEpoch, SinkIdentity, StoredEpoch } from './kafka-epoch.ts'
import { checkTimeout } from './kafka-sink-options.ts'
import type { ExactlyOnceSettings } from './kafka-sink-options.ts'
import { pause } from './pause.ts'
import type { Timed } from './pause.ts'
import { retrying } from './retrying.ts'
import { StoredOutput } from './stored-output.ts'

/** How long a transaction may last that is begun only to be fenced: no longer than any broker allows. */
const fenceTimeoutMs = 10_000
/** How often, and how far apart, an old marker is looked at that may be about to change. */
const unstableAttemptsMax = 4
const unstableMs = 100
/** Requests for ids that are under way at once. */
const idsAtOnceMax = 16

/** An entry of the ledger: the ids of a line, before any is used; or that they are fenced for good. */
type LedgerEntry =
  | {
      readonly kind: 'ids'
      readonly jobName: string
      readonly lineage: string
      readonly subtaskCount: number
      readonly poolSize: number
      readonly markerTopic: string
    }
  | { readonly kind: 'fenced'; readonly lineage: string }

type Ids = Extract<LedgerEntry, { readonly kind: 'ids' }>

export interface KafkaSinkCoordinatorOptions {
  /** Undefined where the sink does not write exactly once now: former runs may have. */
  readonly settings: ExactlyOnceSettings | undefined
  /** Called when the first request is due. */
  readonly openClient: () => TransactionalClient
}

export class KafkaSinkCoordinator implements SinkCoordinator {
  readonly #context: SinkCoordinatorContext & Timed
  readonly #options: KafkaSinkCoordinatorOptions
  /** Identities of transactions that are ended for sure, for brokers that do not tell. */
  readonly #ended = new Set<string>()
  #opened: TransactionalClient | undefined

  constructor(context: SinkCoordinatorContext & Timed, options: KafkaSinkCoordinatorOptions) {
    this.#context = context
    this.#options = options
    if (options.settings !== undefined) checkTimeout(options.settings, context.checkpointIntervalMs)
  }

  async examine(epochs: readonly RestoredEpoch[]): Promise<readonly EpochOutcome[]> {
    return inParallel(epochs, async ({ subtaskIndex, checkpointId, data }) => {
      const epoch = toKafkaEpoch(data)
      const state = await this.#stateOf(epoch)
      return { subtaskIndex, checkpointId, state, detail: placeOf(epoch) }
    })
  }

  async abandon(epochs: readonly RestoredEpoch[]): Promise<readonly EpochOutcome[]> {
    const own: KafkaEpoch[] = []
    for (const { data } of epochs) {
      const epoch = toKafkaEpoch(data)
      if (await this.#context.ledger.owns(epoch.lineage)) own.push(epoch)
    }
    await this.#take(own.map(idOf))
    for (const epoch of own)
      if (epoch.kind === 'resumed') this.#ended.add(nameOf(epoch.transaction))
    return this.examine(epochs)
  }

  async settle(epochs: readonly RestoredEpoch[], lineage: string): Promise<void> {
    const bySubtask = new Map<number, KafkaEpoch[]>()
    for (const { subtaskIndex, data } of epochs) {
      const own = bySubtask.get(subtaskIndex)
      if (own === undefined) bySubtask.set(subtaskIndex, [toKafkaEpoch(data)])
      else own.push(toKafkaEpoch(data))
    }
    await inParallel([...bySubtask.values()], async (own) => {
      for (const epoch of own) await this.#commit(epoch)
    })
    const entries = (await this.#context.ledger.entries()) as readonly LedgerEntry[]
    await this.#fence(entries, lineage)
    if (this.#options.settings !== undefined) {
      await this.#register(entries, lineage, this.#options.settings)
    }
  }

  async close(): Promise<void> {
    await this.#opened?.close()
  }

  get #client(): TransactionalClient {
    this.#opened ??= this.#options.openClient()
    return this.#opened
  }

  async #stateOf(epoch: KafkaEpoch): Promise<EpochOutcome['state']> {
    const isOwn = await this.#context.ledger.owns(epoch.lineage)
    const fate = isOwn && epoch.kind === 'resumed' ? await this.#fateOf(epoch.transaction) : 'ended'
    if (fate === 'open' || fate === 'committed') return fate
    const marker = await this.#markerOf(epoch)
    if (marker !== undefined && marker >= epoch.checkpointId) return 'committed'
    if (!isOwn) throw this.#ofOtherJob(epoch)
    if (fate === 'unsaid') return 'open'
    if (marker === undefined) return 'unknown'
    return epoch.kind === 'stored' ? 'open' : 'lost'
  }

  /** `'ended'`: the marker tells how. */
  async #fateOf(
    transaction: TransactionIdentity,
  ): Promise<'open' | 'committed' | 'ended' | 'unsaid'> {
    const state = await retrying(this.#context, () =>
      this.#client.describeTransaction(transaction.transactionalId),
    )
    if (state === 'unsaid') return this.#ended.has(nameOf(transaction)) ? 'ended' : 'unsaid'
    if (state?.producerId !== transaction.producerId) return 'ended'
    // under transaction.version 2 the epoch is raised with the decision
    const raisedBy = state.epoch - transaction.epoch
    if (state.name === 'PrepareCommit' && (raisedBy === 0 || raisedBy === 1)) return 'committed'
    return state.name === 'Ongoing' && raisedBy === 0 ? 'open' : 'ended'
  }

  /**
   * The newest checkpoint that is visible; undefined where nothing tells. A marker of another line decides nothing. The epoch's own
   * transaction has ended; later ones, which are going to be aborted, may hold newer markers, and keep this one unstable for good. A
   * broker may show the effect of an end a moment late, so an older marker is looked at again before it counts.
   */
  async #markerOf({
    marker: place,
    lineage,
    checkpointId,
  }: KafkaEpoch): Promise<number | undefined> {
    for (let attempt = 0; ; attempt++) {
      const stable = await this.#ask(place, true)
      const marker = stable === 'unstable' ? await this.#ask(place, false) : stable
      const offset =
        marker === 'unstable' || marker?.metadata !== lineage ? undefined : marker.offset
      const isFinal = stable !== 'unstable' || (offset !== undefined && offset >= checkpointId)
      if (isFinal || attempt === unstableAttemptsMax) return offset
      await pause(this.#context, unstableMs, this.#context.signal)
    }
  }

  #ask(place: MarkerPlace, isStable: boolean): Promise<Marker | 'unstable' | undefined> {
    return retrying(this.#context, () => this.#client.marker(place, { isStable }))
  }

  async #commit(epoch: KafkaEpoch): Promise<void> {
    if (!(await this.#context.ledger.owns(epoch.lineage))) return // it is committed: `examine` has seen to that
    if (epoch.kind === 'resumed') await this.#resume(epoch)
    else await this.#write(epoch)
  }

  async #resume(epoch: ResumedEpoch): Promise<void> {
    const { transaction, checkpointId } = epoch
    if ((await this.#fateOf(transaction)) === 'ended' && (await this.#isCommitted(epoch))) return
    try {
      await retrying(this.#context, () => this.#client.endTransaction(transaction, 'commit'))
      this.#ended.add(nameOf(transaction))
      this.#context.logger.info(`Output of checkpoint ${checkpointId} was committed by a restart`, {
        operatorUid: this.#context.operatorUid,
        transactionalId: transaction.transactionalId,
      })
    } catch (error) {
      if (toEngineError(error).code !== 'KAFKA_TRANSACTION_LOST') throw error
      this.#ended.add(nameOf(transaction))
      // "committed already" and "timed out" are one answer; the marker tells them apart
      if (!(await this.#isCommitted(epoch))) throw error
    }
  }

  async #isCommitted(epoch: KafkaEpoch): Promise<boolean> {
    const marker = await this.#markerOf(epoch)
    return marker !== undefined && marker >= epoch.checkpointId
  }

  async #write(epoch: StoredEpoch): Promise<void> {
    const { transactionalId, checkpointId } = epoch
    const timeoutMs = this.#options.settings?.timeoutMs ?? 60_000
    const identity = await retrying(this.#context, () =>
      this.#client.initTransactions(transactionalId, timeoutMs),
    )
    // nobody else can commit any more, so what the marker says now stays true
    if (await this.#isCommitted(epoch)) return
    const output = new StoredOutput(this.#context, this.#options.openClient())
    try {
      await output.write(epoch, { transactionalId, ...identity })
    } finally {
      await output.close()
    }
    this.#context.logger.info(`Output of checkpoint ${checkpointId} was written by a restart`, {
      operatorUid: this.#context.operatorUid,
      transactionalId,
    })
  }

  async #fence(entries: readonly LedgerEntry[], lineage: string): Promise<void> {
    const fenced = new Set(
      entries.flatMap((entry) => (entry.kind === 'fenced' ? [entry.lineage] : [])),
    )
    const registered = entries.filter((entry) => entry.kind === 'ids')
    const living = registered.filter((ids) => !fenced.has(ids.lineage))
    const names = new Set(living.flatMap((ids) => transactionalIdsOf(ids, this.#context)))
    await this.#take([...names])
    for (const former of new Set(living.map((ids) => ids.lineage))) {
      if (former !== lineage) await this.#context.ledger.add({ kind: 'fenced', lineage: former })
    }
  }

  /** What these ids have open is aborted, and former runs can do nothing any more by them. */
  async #take(ids: readonly string[]): Promise<void> {
    await inParallel([...new Set(ids)], (id) =>
      retrying(this.#context, () => this.#client.initTransactions(id, fenceTimeoutMs)),
    )
  }

  async #register(
    entries: readonly LedgerEntry[],
    lineage: string,
    settings: ExactlyOnceSettings,
  ): Promise<void> {
    const { jobName, operatorUid, parallelism, ledger } = this.#context
    const { poolSize, markerTopic } = settings
    const known = entries.filter(
      (entry): entry is Ids =>
        entry.kind === 'ids' && entry.lineage === lineage && entry.jobName === jobName,
    )
    const marked = known.filter((ids) => ids.markerTopic === markerTopic)
    const markedCount = Math.max(0, ...marked.map(({ subtaskCount }) => subtaskCount))
    const sink: SinkIdentity = { jobName, operatorUid, lineage }
    const fresh = Array.from(
      { length: Math.max(0, parallelism - markedCount) },
      (_, index) => markedCount + index,
    )
    await inParallel(fresh, (subtaskIndex) =>
      this.#writeFirstMarker(
        transactionalIdOf(sink, { subtaskIndex, index: 0 }),
        markerPlaceOf(sink, subtaskIndex, markerTopic),
        lineage,
      ),
    )
    const isCovered = marked.some(
      (ids) => ids.subtaskCount >= parallelism && ids.poolSize >= poolSize,
    )
    if (isCovered) return
    const entry: Ids = {
      kind: 'ids',
      jobName,
      lineage,
      subtaskCount: Math.max(parallelism, markedCount),
      poolSize: Math.max(poolSize, ...known.map((ids) => ids.poolSize)),
      markerTopic,
    }
    await ledger.add(entry)
  }

  /**
   * In a transaction, although nothing else is in it: once the id has another owner, a request that was held up on its way cannot put the
   * first marker over later ones. It holds up no reader, so it may be begun before the ledger has the id.
   */
  async #writeFirstMarker(
    transactionalId: string,
    place: MarkerPlace,
    lineage: string,
  ): Promise<void> {
    const identity = await retrying(this.#context, () =>
      this.#client.initTransactions(transactionalId, fenceTimeoutMs),
    )
    const transaction = { transactionalId, ...identity }
    await retrying(this.#context, () =>
      this.#client.mark(transaction, place, { offset: 0, metadata: lineage }),
    )
    await retrying(this.#context, () => this.#client.endTransaction(transaction, 'commit'))
  }

  #ofOtherJob(epoch: KafkaEpoch): EngineError {
    return new EngineError(
      'OUTPUT_OF_OTHER_JOB',
      `Checkpoint ${epoch.checkpointId} has output that another job, which this state was taken from, has not committed yet: ${placeOf(epoch)}. ` +
        `If that job runs on, start this one after its next checkpoint; if it is over for good, start this one with claim, and it ends that output`,
    )
  }
}

function transactionalIdsOf(ids: Ids, { operatorUid }: SinkCoordinatorContext): string[] {
  const { jobName, lineage } = ids
  const names: string[] = []
  for (let subtaskIndex = 0; subtaskIndex < ids.subtaskCount; subtaskIndex++) {
    for (let index = 0; index < ids.poolSize; index++) {
      names.push(transactionalIdOf({ jobName, operatorUid, lineage }, { subtaskIndex, index }))
    }
  }
  return names
}

/** The id by which an epoch becomes visible. */
function idOf(epoch: KafkaEpoch): string {
  return epoch.kind === 'stored' ? epoch.transactionalId : epoch.transaction.transactionalId
}

function nameOf({ transactionalId, producerId, epoch }: TransactionIdentity): string {
  return `${transactionalId} ${producerId} ${epoch}`
}

/** All of them, some at once. */
async function inParallel<A, B>(
  items: readonly A[],
  work: (item: A) => Promise<B>,
): Promise<readonly B[]> {
  const results: B[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) {
      results[index] = await work(items[index] as A)
    }
  }
  await Promise.all(Array.from({ length: Math.min(idsAtOnceMax, items.length) }, worker))
  return results
}
