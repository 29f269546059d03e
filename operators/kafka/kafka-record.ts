/** A whole record of a topic, as `kafkaRecordSource` gives it. In the value model, so it can be kept in state. */
export interface KafkaRecord<out K, out V> {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  /** NaN where the record has none. */
  readonly timestampMs: number
  readonly key: K | null
  /** `null` is a tombstone. */
  readonly value: V | null
  /** A name that comes twice has its last value. */
  readonly headers: ReadonlyMap<string, Uint8Array>
}
