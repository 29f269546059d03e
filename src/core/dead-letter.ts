/** What became of a record that could not be read: plain data in the value model, so it can be kept, looked at and sent on. */

/** The output of a source that its dead letters leave by. Beside the names of side outputs, which users choose. */
export const DEAD_LETTERS = '#dead-letters'

/** What is known of a record that a source could not decode. */
export interface UnreadRecord {
  readonly error: {
    readonly code: string
    readonly message: string
    readonly stack?: string
  }
  /** The bytes as they were read; null where there were none. */
  readonly value: Uint8Array | null
  readonly key: Uint8Array | null
  readonly headers: ReadonlyMap<string, Uint8Array>
  /** The record's own time, else when it was read. */
  readonly timestampMs: number
  /** Where it came from: of Kafka `topic`, `partition` and `offset`; of files `path` and `byteOffset`. */
  readonly origin: { readonly [name: string]: string | number }
}

/** A record that could not be decoded, as `env.deadLetters` has it. */
export interface DeadLetter extends UnreadRecord {
  /** Of the source that read it. */
  readonly operatorUid: string
}
