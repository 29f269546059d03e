/**
 * A sink that shows rows to whoever listens in another thread of the process. Rows are shown as they come, before any checkpoint:
 * after a restart some are shown again. What must be there exactly once goes to files beside it.
 */
import { BroadcastChannel } from 'node:worker_threads'
import type { Sink } from 'millrace'

/** What arrives at the listener. */
export interface LiveRow {
  readonly query: string
  readonly text: string
}

export function liveRows(channel: string, query: string): Sink<string> {
  return {
    type: 'live',
    open() {
      const port = new BroadcastChannel(channel)
      return {
        write(text) {
          port.postMessage({ query, text })
        },
        close: () => port.close(),
      }
    },
  }
}
