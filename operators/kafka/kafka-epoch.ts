/**
 * What a checkpoint keeps of an epoch of the exactly-once sink, and how everything that belongs to it at the brokers is called.
 *
 * Names contain the line of checkpoints, so that two jobs that came from one savepoint never meet:
 *   transactional ids   <job>-<sink uid>-<lineage>-<subtask>-<n>
 *   marker              the offset of partition 0 of the marker topic, in the group <job>-<sink uid>-<lineage>-<subtask>;
 *                       its value is the newest checkpoint whose output is visible, its metadata the lineage again
 */
import { EngineError } from '../../src/core/errors.ts'
import type { WrittenRange } from './epoch-transaction.ts'
import { partitionId } from './kafka-client.ts'
import type { MarkerPlace, TopicPartition, TransactionIdentity } from './kafka-client.ts'

interface EpochBase {
  readonly lineage: string
  readonly checkpointId: number
  readonly marker: MarkerPlace
}

/** Its records are in a transaction that is open at the brokers, and is ended by this identity. */
export interface ResumedEpoch extends EpochBase {
  readonly kind: 'resumed'
  readonly transaction: TransactionIdentity
  /** Where its records lie. Known once it is durable. */
  readonly ranges: readonly WrittenRange[]
}

/** Its records are in the checkpoint, and are written by this id. */
export interface StoredEpoch extends EpochBase {
  readonly kind: 'stored'
  readonly transactionalId: string
  readonly batches: readonly StoredBatch[]
}

/** A record batch, finished but for its stamp. */
export interface StoredBatch extends TopicPartition {
  readonly count: number
  readonly bytes: Uint8Array
}

export type KafkaEpoch = ResumedEpoch | StoredEpoch

/** Who a subtask of a sink is at the brokers. */
export interface SinkIdentity {
  readonly jobName: string
  readonly operatorUid: string
  readonly lineage: string
}

export function transactionalIdOf(
  sink: SinkIdentity,
  { subtaskIndex, index }: { readonly subtaskIndex: number; readonly index: number },
): string {
  return `${groupOf(sink, subtaskIndex)}-${index}`
}

export function markerPlaceOf(
  sink: SinkIdentity,
  subtaskIndex: number,
  topic: string,
): MarkerPlace {
  return { group: groupOf(sink, subtaskIndex), topic, partition: 0 }
}

function groupOf({ jobName, operatorUid, lineage }: SinkIdentity, subtaskIndex: number): string {
  return `${jobName}-${operatorUid}-${lineage}-${subtaskIndex}`
}

/** What a checkpoint kept. */
export function toKafkaEpoch(data: unknown): KafkaEpoch {
  const kind: unknown = Reflect.get(Object(data), 'kind')
  if (kind === 'resumed' || kind === 'stored') return data as KafkaEpoch
  throw new EngineError(
    'SAVEPOINT_MISMATCH',
    'The checkpoint has unfinished output of a sink that was no exactly-once Kafka sink; let the job finish it with the former sink first',
  )
}

/** For people: which records it is about. */
export function placeOf(epoch: KafkaEpoch): string {
  if (epoch.kind === 'stored') {
    const counts = new Map<string, number>()
    for (const { topic, partition, count } of epoch.batches) {
      const id = partitionId(topic, partition)
      counts.set(id, (counts.get(id) ?? 0) + count)
    }
    return Array.from(counts, ([id, count]) => `${count} records for ${id}`).join(', ')
  }
  const { transactionalId } = epoch.transaction
  const ranges = epoch.ranges.map(
    ({ topic, partition, firstOffset, lastOffset }) =>
      `${partitionId(topic, partition)} offsets ${firstOffset} to ${lastOffset}`,
  )
  return `${ranges.join(', ')} (transactional id ${transactionalId})`
}
