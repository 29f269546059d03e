/**
 * A compacted topic as a table: the Kafka sink over rows that may be taken back.
 *
 * Invariants
 *  - Both halves of an update come between the same two barriers, in whatever order they come; rows of one key come to one subtask. So what
 *    is added and what is taken back of a key, summed up over an epoch, is what became of its row: that is written, once a key.
 *  - A key of which more is taken back than added has no row any more: a tombstone. A key of which as much is added as taken back is
 *    as it was: nothing.
 *  - Without checkpoints there are no epochs: sums are written at the end of each batch of input. A former row may then be seen for a
 *    moment after the next was written, never in the end.
 */
import type {
  Committable,
  PreparedEpoch,
  Sink,
  SinkContext,
  SinkCoordinator,
  SinkCoordinatorContext,
  SinkWriter,
} from '../../src/contract/sink.ts'
import type { ChangeKind } from '../../src/core/change.ts'
import { EngineError } from '../../src/core/errors.ts'
import type { Key } from '../../src/core/key.ts'
import { textOfValue } from '../../src/core/value-text.ts'
import { encodeKey } from './kafka-key.ts'
import { kafkaSinkOver, kafkajsGround } from './kafka-sink.ts'
import type { KafkaSinkGround } from './kafka-sink.ts'
import type { KafkaSinkOptions } from './kafka-sink-options.ts'

/** Options of the Kafka table sink: those of the Kafka sink, with a key. */
export interface KafkaTableSinkOptions<T> extends KafkaSinkOptions<T> {
  /** Which row of the table it is. Written as the Kafka sink writes keys; there is one row a key at a time. */
  readonly key: (value: T) => Key
}

/** Keys whose changes wait for the barrier; with more of them changes are written before it. */
const KEYS_MAX = 100_000

/**
 * Keeps a topic as a table, for topics with `cleanup.policy=compact`: the row of a key as the value, and a tombstone (no value) when the row
 * is taken back and none takes its place. Of all changes of a key between two checkpoints one record is written. Rows of one key are
 * brought together, so any stream may be written whose rows have one row a key; guarantees and errors are those of `kafkaSink`.
 *
 * @example
 * views.asTable().keyBy((view) => view.user).count('per-user')
 *   .to('table', kafkaTableSink({ brokers, topic: 'views-per-user', key: (row) => row.key, value: json() }))
 * @experimental
 */
export function kafkaTableSink<T>(options: KafkaTableSinkOptions<T>): Sink<T, ChangeKind> {
  return kafkaTableSinkOver(options, kafkajsGround(options))
}

/** The same over other clients and timers. */
export function kafkaTableSinkOver<T>(
  options: KafkaTableSinkOptions<T>,
  ground: KafkaSinkGround,
): Sink<T, ChangeKind> {
  const { key, topic, value, headers, timestampMs, partition, ...others } = options
  if (typeof (key as unknown) !== 'function') {
    throw new EngineError(
      'OPTION_INVALID',
      'kafkaTableSink needs key: which row of the table a record is',
    )
  }
  const inner = kafkaSinkOver<Upsert<T>>(
    {
      ...others,
      isTombstone: ({ isGone }) => isGone,
      key: ({ row }) => key(row),
      topic: typeof topic === 'string' ? topic : ({ row }) => topic(row),
      value: {
        name: value.name,
        encode: ({ row }) => value.encode(row),
        decode: (bytes) => ({ row: value.decode(bytes), isGone: false }),
        ...(value.openEncoder === undefined
          ? {}
          : { openEncoder: async () => value.openEncoder?.() }),
      },
      ...(headers === undefined ? {} : { headers: ({ row }) => headers(row) }),
      ...(timestampMs === undefined ? {} : { timestampMs: ({ row }) => timestampMs(row) }),
      ...(partition === undefined
        ? {}
        : { partition: ({ row }, partitionCount) => partition(row, partitionCount) }),
    },
    ground,
  )
  const { details } = inner
  return {
    type: 'kafka table',
    ...(details === undefined ? {} : { details }),
    ...(inner.coordinator === undefined
      ? {}
      : {
          coordinator: (context: SinkCoordinatorContext) =>
            inner.coordinator?.(context) as SinkCoordinator,
        }),
    takesRetractions: true,
    key: key as (value: never) => Key,
    open: async (context) => new KafkaTableWriter(context, key, await inner.open(context)),
  }
}

interface Upsert<T> {
  readonly row: T
  readonly isGone: boolean
}

/** How often a row was added since the barrier, less how often it was taken back. */
interface RowSum<T> {
  readonly row: T
  readonly timestampMs: number
  readonly count: number
}

class KafkaTableWriter<T> implements SinkWriter {
  readonly #context: SinkContext
  readonly #key: (value: T) => Key
  readonly #inner: SinkWriter
  /** By the text of the key and that of the row, in the order they came last. */
  readonly #sums = new Map<string, Map<string, RowSum<T>>>()
  #isFlushDue = false

  constructor(context: SinkContext, key: (value: T) => Key, inner: SinkWriter) {
    this.#context = context
    this.#key = key
    this.#inner = inner
  }

  write(row: T, timestampMs: number, kind: ChangeKind = 'insert'): void {
    if (this.#context.mayRetract !== true) {
      return this.#inner.write({ row, isGone: false }, timestampMs)
    }
    const key = (encodeKey(this.#key(row)) as Buffer).toString('latin1')
    let sums = this.#sums.get(key)
    if (sums === undefined) this.#sums.set(key, (sums = new Map()))
    const text = textOfValue(row)
    const count = (sums.get(text)?.count ?? 0) + (kind === 'insert' ? 1 : -1)
    sums.delete(text)
    if (count !== 0) sums.set(text, { row, timestampMs, count })
    if (this.#sums.size > KEYS_MAX) this.#flush()
    else if (!this.#context.isCheckpointed) this.#flushLater()
  }

  hasRoom(): boolean {
    return this.#inner.hasRoom?.() ?? true
  }

  prepare(checkpointId: number, kind: 'checkpoint' | 'savepoint'): PreparedEpoch {
    this.#flush()
    return this.#inner.prepare?.(checkpointId, kind) ?? {}
  }

  async commit(committable: Committable): Promise<void> {
    await this.#inner.commit?.(committable)
  }

  async discardUnnamed(): Promise<void> {
    await this.#inner.discardUnnamed?.()
  }

  async close(): Promise<void> {
    const { signal, isCheckpointed } = this.#context
    try {
      if (!isCheckpointed && !signal.aborted) this.#flush()
    } finally {
      await this.#inner.close?.()
    }
  }

  #flushLater(): void {
    if (this.#isFlushDue) return
    this.#isFlushDue = true
    this.#context.mailbox.submit(() => {
      this.#isFlushDue = false
      this.#flush()
    })
  }

  #flush(): void {
    for (const sums of this.#sums.values()) {
      const all = [...sums.values()]
      const added = all.findLast(({ count }) => count > 0)
      const changed = added ?? all.at(-1)
      if (changed === undefined) continue
      this.#inner.write({ row: changed.row, isGone: added === undefined }, changed.timestampMs)
    }
    this.#sums.clear()
  }
}
