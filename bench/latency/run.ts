/**
 * Latency without Kafka: `bench/latency/run [--rate 20000] [--seconds 20] [--warm-up 5] [--parallelism 1] [--threads P] [--window-ms 100] [--keys 1000] [--checkpoint-ms M] [--no-pre-aggregate]`.
 *
 * Full auction events, dated when they are due, are counted per key in tumbling windows. Of each result: from the moment when the
 * record was due that closed its window, to its arrival at the sink. At a rate of 2 the job
 * is idle before each event: how fast it wakes. Prints one JSON object as its last line.
 */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { start } from 'millrace'
import type { Duration } from 'millrace'
import job from './job.ts'
import { wallMs } from './paced-source.ts'
import { percentilesOf } from './percentiles.ts'

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '20000' },
    seconds: { type: 'string', default: '20' },
    'warm-up': { type: 'string', default: '5' },
    parallelism: { type: 'string', default: '1' },
    threads: { type: 'string' },
    'window-ms': { type: 'string', default: '100' },
    keys: { type: 'string', default: '1000' },
    'checkpoint-ms': { type: 'string', default: '0' },
    'no-pre-aggregate': { type: 'boolean', default: false },
  },
})
/** Until the threads are there. */
const LEAD_MS = 1000

const rate = Number(values.rate)
const seconds = Number(values.seconds)
const warmUpSeconds = Number(values['warm-up'])
const parallelism = Number(values.parallelism)
const checkpointMs = Number(values['checkpoint-ms'])
const output = mkdtempSync(join(tmpdir(), 'millrace-latency-'))
const startMs = Math.ceil(wallMs()) + LEAD_MS
const count = Math.round(rate * (seconds + warmUpSeconds))
try {
  const result = await start(job, {
    params: {
      startMs,
      rate,
      count,
      windowMs: Number(values['window-ms']),
      keys: Number(values.keys),
      parallelism,
      fromMs: startMs + warmUpSeconds * 1000,
      output,
    },
    parallelism,
    threads: Number(values.threads ?? parallelism),
    module: new URL(`./job${extname(import.meta.url)}`, import.meta.url),
    preAggregate: !values['no-pre-aggregate'],
    ...(checkpointMs > 0
      ? {
          checkpoints: {
            directory: join(output, 'checkpoints'),
            interval: `${checkpointMs}ms` as Duration,
          },
        }
      : {}),
  }).finished
  let counted = 0
  const latencies = readdirSync(output, { withFileTypes: true }).flatMap((file) => {
    if (!file.isFile()) return []
    const bytes = Uint8Array.from(readFileSync(join(output, file.name)))
    const [sum = NaN, ...rest] = new Float64Array(bytes.buffer)
    counted += sum
    return rest
  })
  console.log(
    JSON.stringify({
      engine: 'millrace',
      rate,
      seconds,
      parallelism,
      windowMs: Number(values['window-ms']),
      keys: Number(values.keys),
      checkpointMs,
      ...percentilesOf(latencies),
      events: count,
      counted,
      checkpoints: checkpointMs > 0 ? result.checkpoints : 0,
      maxRssMb: Math.round(process.resourceUsage().maxRSS / 1024),
    }),
  )
} finally {
  rmSync(output, { recursive: true, force: true })
}
