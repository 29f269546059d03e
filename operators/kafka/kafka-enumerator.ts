/**
 * Finds the partitions of a Kafka source's topics and says where each begins and ends.
 *
 * Invariants
 *  - `startAt` holds for partitions found by the first call of a job that knows no split yet. Partitions found later are
 *    read from their first record on, whatever `startAt` says: they came into being while the job was running, so none of their
 *    records is old.
 *  - `latest` is asked for before times are: a record that comes in between is read, not passed over.
 *  - Offsets committed to the group (group-offsets.ts) are never read back, but by `startAt: 'committed'`.
 * Runs in the coordinator, on the control plane: a few requests per call.
 */
import { ms } from '../../src/core/duration.ts'
import { EngineError } from '../../src/core/errors.ts'
import type { EnumeratorContext, Split, SplitEnumerator } from '../../src/contract/source.ts'
import { GroupOffsets } from './group-offsets.ts'
import { partitionId } from './kafka-client.ts'
import type { KafkaClient, OffsetAt, TopicMetadata, TopicPartition } from './kafka-client.ts'
import { brokerCode, brokerError, topicUnknown } from './kafka-errors.ts'
import type { KafkaSourceSettings } from './kafka-source-options.ts'
import { toSplit } from './kafka-splits.ts'
import { endOffset, startOffset } from './offset-resolution.ts'
import type { StartAt } from './offset-resolution.ts'
import { retrying } from './retrying.ts'

const discoverEveryDefault = '1min'

export function kafkaEnumerator(
  context: EnumeratorContext,
  options: KafkaSourceSettings,
  client: KafkaClient,
): SplitEnumerator {
  const { group, endAt, discoverPartitionsEvery = discoverEveryDefault } = options
  const discovery = new Discovery(context, options, client)
  const groupOffsets = group === undefined ? undefined : new GroupOffsets(context, client, group)
  return {
    discover: (known) => discovery.discover(known),
    async close() {
      await groupOffsets?.close()
      await client.close()
    },
    ...(endAt === undefined ? { discoverEveryMs: ms(discoverPartitionsEvery) } : {}),
    ...(groupOffsets === undefined
      ? {}
      : { onCheckpointComplete: (positions) => groupOffsets.commit(positions) }),
  }
}

class Discovery {
  readonly #context: EnumeratorContext
  readonly #options: KafkaSourceSettings
  readonly #client: KafkaClient
  #isFirst = true

  constructor(context: EnumeratorContext, options: KafkaSourceSettings, client: KafkaClient) {
    this.#context = context
    this.#options = options
    this.#client = client
  }

  async discover(known: ReadonlySet<string>): Promise<readonly Split[]> {
    const isStart = this.#isFirst && known.size === 0
    const splits = await retrying(this.#context, async () => {
      const partitions = partitionsOf(await this.#topics(), known)
      return partitions.length === 0 ? [] : await this.#resolve(partitions, isStart)
    })
    this.#isFirst = false
    return splits
  }

  /** All topics that are asked for; fails where one is not there. */
  async #topics(): Promise<readonly TopicMetadata[]> {
    const { topics, endAt } = this.#options
    if (!(topics instanceof RegExp)) {
      const found = await this.#client.metadata([...new Set(topics)])
      for (const { topic, errorCode } of found) {
        const what = `Reading the topic '${topic}'`
        if (errorCode !== brokerCode.none) throw brokerError(errorCode, what)
      }
      return found
    }
    const pattern = new RegExp(topics.source, topics.flags.replace(/[gy]/g, ''))
    const all = await this.#client.metadata()
    const matching = all.filter(
      ({ topic, isInternal, errorCode }) =>
        !isInternal && errorCode === brokerCode.none && pattern.test(topic),
    )
    if (matching.length === 0) {
      const what = `Reading the topics that match ${String(topics)}`
      if (endAt !== undefined) throw topicUnknown(what)
      this.#context.logger.warn(`${what}: there is none yet`)
    }
    return matching
  }

  async #resolve(
    partitions: readonly TopicPartition[],
    isStart: boolean,
  ): Promise<readonly Split[]> {
    const { startAt = 'earliest', endAt, group } = this.#options
    const from: StartAt = isStart ? startAt : 'earliest'
    const earliest = await this.#offsets(partitions, 'earliest')
    const latest = await this.#offsets(partitions, 'latest')
    const atStartTime = await this.#offsetsAtTime(partitions, from)
    const atEndTime = await this.#offsetsAtTime(partitions, endAt)
    const committed =
      from === 'committed' && group !== undefined
        ? await this.#client.committedOffsets(group, partitions)
        : undefined
    return partitions.map(({ topic, partition }) => {
      const id = partitionId(topic, partition)
      const facts = {
        earliest: told(id, earliest.get(id)),
        latest: told(id, latest.get(id)),
        atStartTime: atStartTime.get(id),
        atEndTime: atEndTime.get(id),
        committed: committed?.get(id),
      }
      return toSplit({
        topic,
        partition,
        offset: startOffset(id, from, facts),
        endOffset: endAt === undefined ? undefined : endOffset(id, endAt, facts),
      })
    })
  }

  async #offsets(
    partitions: readonly TopicPartition[],
    at: OffsetAt,
  ): Promise<ReadonlyMap<string, number>> {
    const { isolation = 'read_committed' } = this.#options
    return this.#client.offsets(partitions, at, isolation)
  }

  /** The offsets at a point in time, where the option names one. */
  async #offsetsAtTime(
    partitions: readonly TopicPartition[],
    at: StartAt | undefined,
  ): Promise<ReadonlyMap<string, number>> {
    const isTime = typeof at === 'object' && 'timestampMs' in at
    return isTime ? await this.#offsets(partitions, at) : new Map()
  }
}

function partitionsOf(
  topics: readonly TopicMetadata[],
  known: ReadonlySet<string>,
): readonly TopicPartition[] {
  return topics.flatMap(({ topic, leaders }) =>
    Array.from(leaders, (_, partition) => ({ topic, partition })).filter(
      ({ partition }) => !known.has(partitionId(topic, partition)),
    ),
  )
}

function told(id: string, offset: number | undefined): number {
  if (offset !== undefined) return offset
  throw new EngineError('KAFKA_FAILED', `The cluster did not say which offsets ${id} has`)
}
