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
}
