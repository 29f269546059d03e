/** Repeats one request to the cluster until it succeeds or is not worth it any more. For the few requests of the control plane. */
import { setMaxListeners } from 'node:events'
import { toEngineError } from '../../src/core/errors.ts'
import type { Logger } from '../../src/core/log.ts'
import type { Clock } from '../../src/core/time.ts'
import { BackOff } from './back-off.ts'
import { pause } from './pause.ts'
import type { Timed } from './pause.ts'

export interface RetryContext extends Timed {
  readonly clock: Clock
  readonly logger: Logger
  readonly signal: AbortSignal
}

/** What `request` gives. Rejects with its last error; with the signal's reason once that is aborted. */
export async function retrying<T>(context: RetryContext, request: () => Promise<T>): Promise<T> {
  const { clock, logger, signal } = context
  const backOff = new BackOff()
  setMaxListeners(0, signal) // many requests of one subtask may wait at once
  for (;;) {
    signal.throwIfAborted()
    try {
      return await request()
    } catch (cause) {
      const error = toEngineError(cause)
      const delayMs = backOff.failed(clock.elapsed(), error)
      if (delayMs === undefined) throw error
      if (backOff.isNoteworthy) logger.warn(`${error.message}; trying again`, { delayMs })
      await pause(context, delayMs, signal)
    }
  }
}
