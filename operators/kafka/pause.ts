/** Waiting between attempts: by the machine's timers, or by others that are handed in. */
import type { Scheduler } from '../../src/core/time.ts'

/** Whoever waits. */
export interface Timed {
  /** Default: the machine's. */
  readonly timers?: Scheduler | undefined
}

const machineTimers: Scheduler = {
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs)
    return () => clearTimeout(timer)
  },
}

/** Settles after `delayMs`. Rejects with the signal's reason once that is aborted. */
export function pause(
  { timers = machineTimers }: Timed,
  delayMs: number,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(reasonOf(signal))
    const cancel = timers.after(delayMs, () => {
      signal.removeEventListener('abort', abort)
      resolve()
    })
    const abort = (): void => {
      cancel()
      reject(reasonOf(signal))
    }
    signal.addEventListener('abort', abort, { once: true })
  })
}

/** Settles with `work`, or after `delayMs`. */
export async function atMost(
  { timers = machineTimers }: Timed,
  delayMs: number,
  work: Promise<void>,
): Promise<void> {
  let cancel: (() => void) | undefined
  const tooLate = new Promise<void>((resolve) => {
    cancel = timers.after(delayMs, resolve)
  })
  try {
    await Promise.race([work, tooLate])
  } finally {
    cancel?.()
  }
}

function reasonOf({ reason }: AbortSignal): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
