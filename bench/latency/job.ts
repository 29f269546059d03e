/** Paced events counted per key in short windows, and how late each result comes to the sink. As a user would write it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { count, job, monotonous, tumbling, type } from 'millrace'
import type { Job, Sink } from 'millrace'
import { auctionEvent, random } from '../../examples/auction/events.ts'
import type { Pace } from './paced-source.ts'
import { closedMs, paced, wallMs } from './paced-source.ts'

export interface LatencyParams extends Pace {
  readonly windowMs: number
  readonly keys: number
  readonly parallelism: number
  /** Results of windows that end earlier are of the warm-up. */
  readonly fromMs: number
  /** Where each subtask of the sink leaves a file. */
  readonly output: string
}

const latency: Job<LatencyParams> = job('latency', { params: type<LatencyParams>() }, (env) => {
  const { params } = env
  env
    .from(
      'events',
      paced(params, (index) => ({
        key: random(index, 12) % params.keys,
        event: auctionEvent(index),
      })),
      { watermarks: monotonous() },
    )
    .keyBy(({ key }) => key)
    .window(tumbling({ size: `${params.windowMs}ms` }))
    .aggregate('counts', count())
    .map(({ value, window }) => ({ endMs: window.endMs, value }))
    .to('latencies', latencySink(params))
})
export default latency

/** Leaves the latency of each result, milliseconds, as doubles, and the sum of all counts, warm-up included, as the first. */
function latencySink(
  params: LatencyParams,
): Sink<{ readonly endMs: number; readonly value: number }> {
  return {
    type: 'latency',
    open({ subtaskIndex }) {
      const latencies = [0]
      return {
        write(row) {
          const { endMs, value } = row as { endMs: number; value: number }
          latencies[0] = (latencies[0] as number) + value
          if (endMs < params.fromMs) return
          const dueMs = closedMs(params, params.parallelism, endMs)
          // the last window is closed by the end of the stream, not by a record
          if (dueMs < params.startMs + (params.count * 1000) / params.rate)
            latencies.push(wallMs() - dueMs)
        },
        close() {
          writeFileSync(join(params.output, String(subtaskIndex)), Float64Array.from(latencies))
        },
      }
    },
  }
}
