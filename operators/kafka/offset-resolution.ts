/** Where a partition begins and ends, from the job's options and what the cluster says of it. Pure. */
import { EngineError } from '../../src/core/errors.ts'

/** Offsets by partition id, like `{ 'orders-0': 42n }`. */
export type PartitionOffsets = Readonly<Record<string, bigint>>

export type StartAt =
  | 'earliest'
  | 'latest'
  | 'committed'
  | { readonly timestampMs: number }
  | { readonly offsets: PartitionOffsets }

export type EndAt =
  'latest' | { readonly timestampMs: number } | { readonly offsets: PartitionOffsets }

/** What the cluster says of one partition; undefined is "none", or was not asked for. */
export interface OffsetFacts {
  readonly earliest: number
  readonly latest: number
  /** Of the first record that is not earlier than `startAt.timestampMs`. */
  readonly atStartTime: number | undefined
  /** Of the first record that is not earlier than `endAt.timestampMs`. */
  readonly atEndTime: number | undefined
  readonly committed: number | undefined
}

/**
 * The first offset to be read. A partition that `offsets` does not name, or that the group has committed nothing of, begins at the
 * earliest: nothing is passed over that nobody asked to pass over.
 */
export function startOffset(id: string, startAt: StartAt, facts: OffsetFacts): number {
  if (startAt === 'earliest') return facts.earliest
  if (startAt === 'latest') return facts.latest
  if (startAt === 'committed') return inLog(id, facts.committed ?? facts.earliest, facts)
  if ('timestampMs' in startAt) return facts.atStartTime ?? facts.latest
  const offset = startAt.offsets[id]
  return offset === undefined ? facts.earliest : inLog(id, Number(offset), facts)
}

/** The offset behind the last to be read. It may lie ahead of the log: then the split waits for the records before it. */
export function endOffset(id: string, endAt: EndAt, facts: OffsetFacts): number {
  if (endAt === 'latest') return facts.latest
  if ('timestampMs' in endAt) return facts.atEndTime ?? facts.latest
  const offset = endAt.offsets[id]
  if (offset !== undefined) return Number(offset)
  throw new EngineError(
    'OPTION_INVALID',
    `endAt.offsets does not say where ${id} ends; name every partition of the topics`,
  )
}

/** The error for a position that is not, or no longer, in the log. */
export function offsetOutOfRange(
  id: string,
  offset: number,
  { earliest, latest }: { readonly earliest: number; readonly latest: number },
): EngineError {
  const range = `${id} has offsets ${earliest} to ${latest}, but reading is to go on at ${offset}`
  return new EngineError(
    'KAFKA_OFFSET_OUT_OF_RANGE',
    offset < earliest
      ? `${range}: the records from ${offset} to ${earliest - 1} were deleted before they were read (retention, or a deletion of records); accept the loss by starting without the checkpoint, or with startAt, and give the topic a longer retention`
      : `${range}: the log ends before it, as after the topic was made anew or lost records in a failure; start without the checkpoint, or with startAt`,
  )
}

/** The offset, unless its records are gone. Whether it lies ahead of the log is found out when it is read. */
function inLog(id: string, offset: number, facts: OffsetFacts): number {
  if (offset < facts.earliest) throw offsetOutOfRange(id, offset, facts)
  return offset
}
