/** What the engine and the commands say, as one JSON object a line on standard error, by `pino`. */
import { destination, pino, stdTimeFunctions } from 'pino'
import type { DestinationStream } from 'pino'
import type { Logger } from '../core/log.ts'

/** By default it writes to standard error, and at once: what a process says as it ends is not lost. */
export function jsonLogger(
  hide: (text: string) => string,
  to: DestinationStream = destination({ dest: 2, sync: true }),
): Logger {
  const log = pino(
    {
      base: { pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    to,
  )
  const hidden = (fields: object): object =>
    Object.fromEntries(
      Object.entries(fields).map(([name, value]: [string, unknown]) => [
        name,
        typeof value === 'string' ? hide(value) : value,
      ]),
    )
  return {
    info: (text, fields = {}) => log.info(hidden(fields), hide(text)),
    warn: (text, fields = {}) => log.warn(hidden(fields), hide(text)),
    error: (text, fields = {}) => log.error(hidden(fields), hide(text)),
  }
}
