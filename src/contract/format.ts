/** Text or bytes <-> value, for connectors. */

/**
 * How a value is written outside. A format is used by one subtask at a time and keeps no state between values.
 * `decode` throws what it likes where the bytes are not of this format; the connector says where they came from.
 */
export interface Format<in out T> {
  /** As plans show it: `json`. */
  readonly name: string
  encode(value: T): Uint8Array
  decode(bytes: Uint8Array): T
  /**
   * What must be fetched before these bytes can be decoded (a schema by its id), undefined where nothing is: the common case, so
   * the answer must be quick. Asked by sources that can hold a record back: Kafka's. A rejection fails the source. The bytes are
   * valid during the call.
   */
  awaitsBefore?(bytes: Uint8Array): Promise<void> | undefined
  /** Called by a sink that opens, before the first `encode`: fetches what that needs. A rejection fails the job's start. */
  openEncoder?(): Promise<void>
}
