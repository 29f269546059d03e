/** Where the engine says what it does; the edge decides where that goes. */
export interface Logger {
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

/** What a message is about, as data. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>

/** Says nothing. */
export const silentLogger: Logger = {
  info() {},
  warn() {},
  error() {},
}
