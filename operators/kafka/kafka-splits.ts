/**
 * A split of Kafka: one partition of one topic. Its id is `topic-partition`; its position is the offset of the next record, a
 * bigint. Where it ends is decided when it is found and kept in its data, so a restart does not move the end.
 */
import { EngineError, InvariantError } from '../../src/core/errors.ts'
import type { Split } from '../../src/contract/source.ts'
import { partitionId } from './kafka-client.ts'
import type { TopicPartition } from './kafka-client.ts'

/** `endOffset`: where the split ends; undefined where it does not. */
export interface KafkaSplit extends TopicPartition {
  readonly offset: number
  readonly endOffset: number | undefined
}

export function toSplit({ topic, partition, offset, endOffset }: KafkaSplit): Split {
  const end = endOffset === undefined ? {} : { endOffset: BigInt(endOffset) }
  return {
    id: partitionId(topic, partition),
    data: { topic, partition, ...end },
    position: BigInt(offset),
  }
}

/** The split that `toSplit` made, perhaps by way of a checkpoint. */
export function fromSplit({ id, data, position }: Split): KafkaSplit {
  if (!isSplitData(data) || typeof position !== 'bigint') {
    throw new InvariantError(`Split '${id}' is none of a Kafka source`)
  }
  const { topic, partition, endOffset } = data
  return {
    topic,
    partition,
    offset: Number(position),
    endOffset: endOffset === undefined ? undefined : Number(endOffset),
  }
}

function isSplitData(
  data: unknown,
): data is TopicPartition & { readonly endOffset?: bigint | undefined } {
  return (
    typeof data === 'object' &&
    data !== null &&
    'topic' in data &&
    typeof data.topic === 'string' &&
    'partition' in data &&
    typeof data.partition === 'number' &&
    (!('endOffset' in data) || typeof data.endOffset === 'bigint')
  )
}

/** The partition of a split's id. The topic's name may contain hyphens: the last one counts. */
export function parsePartitionId(id: string): TopicPartition {
  const match = /^(.+)-(\d+)$/.exec(id)
  const topic = match?.[1]
  if (topic === undefined) {
    throw new EngineError(
      'OPTION_INVALID',
      `'${id}' names no partition; write topic and number, like 'orders-0'`,
    )
  }
  return { topic, partition: Number(match?.[2]) }
}
