/**
 * Statistics (3.3.4): watermark triggers. A mean latency needs no late corrections, but it should not come before its minute is
 * complete. Abuse is better found in most of the requests soon than in all of them late: a watermark of one's own follows the
 * ninth of ten requests and leaves the slowest behind, to be counted as late.
 */
import { average, customWatermarks, job, outOfOrder, tumbling } from 'millrace'
import type { WatermarkStrategy } from 'millrace'
import { testSource } from 'millrace/testing'
import { anywhere, at, play } from './play.ts'

interface Request {
  readonly service: string
  readonly latencyMs: number
}

/** As far behind the newest record as `share` of the last hundred records were when they came. */
function percentile(share: number): WatermarkStrategy {
  return customWatermarks(() => {
    let highestMs = -Infinity
    const behindMs: number[] = []
    return {
      advance(_value, timestampMs) {
        highestMs = Math.max(highestMs, timestampMs)
        behindMs.push(highestMs - timestampMs)
        if (behindMs.length > 100) behindMs.shift()
        const sorted = behindMs.toSorted((a, b) => a - b)
        return highestMs - (sorted[Math.floor((sorted.length - 1) * share)] ?? 0) - 1
      },
    }
  })
}

/** Twenty requests, of which one comes two minutes after its time. */
function requests() {
  const source = testSource<Request>()
  for (let n = 0; n < 20; n++) {
    source.advanceTo(at('10:00') + n * 10_000)
    const timestampMs = n === 12 ? at('10:00') : at('10:00') + n * 10_000
    source.emit({ value: { service: 'search', latencyMs: 10 + n }, timestampMs })
  }
  return source.end()
}

function meanLatency(name: string, watermarks: WatermarkStrategy) {
  return job(name, (env) => {
    env
      .from('requests', requests(), { watermarks })
      .keyBy((request) => request.service)
      .window(tumbling({ size: '1min' }))
      .aggregate(
        'mean-latency',
        average((request) => request.latencyMs),
      )
      .to('results', anywhere)
  })
}

await play(meanLatency('complete', outOfOrder({ delay: '2min' })))
await play(meanLatency('soon', percentile(0.9)))

/* prints
10:03:00  search 10:00:00-10:01:00 +13.857142857142858 on-time
10:03:10  search 10:01:00-10:02:00 +18.5 on-time
10:03:10  search 10:02:00-10:03:00 +25 on-time
10:03:10  search 10:03:00-10:04:00 +28.5 on-time
10:01:00  search 10:00:00-10:01:00 +12.5 on-time
10:02:10  search 10:01:00-10:02:00 +18.5 on-time
10:03:00  search 10:02:00-10:03:00 +25 on-time
10:03:10  search 10:03:00-10:04:00 +28.5 on-time
1 late
*/
