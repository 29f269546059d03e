/**
 * One query of the benchmark: `bench/run QUERY --events N --parallelism P [--threads T] [--state heap|disk] [--checkpoint-ms M] [--keys K] [--no-pre-aggregate]`.
 * Prints one JSON object as its last line. `seconds` is the job alone, from its submission to its end.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { extname } from 'node:path'
import { start } from 'millrace'
import job from './job.ts'
import { readChecksum } from './checksum-sink.ts'
import { QUERIES } from './queries.ts'
import type { Query } from './queries.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    events: { type: 'string', default: '1000000' },
    parallelism: { type: 'string', default: '1' },
    threads: { type: 'string' },
    state: { type: 'string', default: 'heap' },
    'checkpoint-ms': { type: 'string', default: '0' },
    keys: { type: 'string', default: '1000000' },
    'no-pre-aggregate': { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
})
const [query] = positionals
if (!QUERIES.includes(query as Query)) {
  console.error(`bench/run: give a query: ${QUERIES.join(', ')}`)
  process.exit(2)
}
const events = Number(values.events)
const parallelism = Number(values.parallelism)
const checkpointMs = Number(values['checkpoint-ms'])
const output = mkdtempSync(join(tmpdir(), 'millrace-bench-'))
const checkpoints = mkdtempSync(join(tmpdir(), 'millrace-bench-checkpoints-'))
process.env['MILLRACE_BENCH_OUTPUT'] = output

const startedMs = performance.now()
const running = start(job, {
  params: { query: query as Query, events, keys: Number(values.keys) },
  parallelism,
  threads: Number(values.threads ?? parallelism),
  module: new URL(`./job${extname(import.meta.url)}`, import.meta.url),
  preAggregate: !values['no-pre-aggregate'],
  state: values.state === 'disk' ? 'leveldb' : 'memory',
  ...(checkpointMs > 0
    ? { checkpoints: { directory: checkpoints, interval: `${checkpointMs}ms` } }
    : {}),
  ...(values.verbose ? { logger: console } : {}),
})
const result = await running.finished
const seconds = (performance.now() - startedMs) / 1000
const version = (
  JSON.parse(readFileSync(new URL(import.meta.resolve('millrace/package.json')), 'utf8')) as {
    readonly version: string
  }
).version
console.log(
  JSON.stringify({
    engine: 'millrace',
    version,
    query,
    events,
    parallelism,
    state: values.state,
    checkpointMs,
    seconds: Number(seconds.toFixed(3)),
    eventsPerSecond: Math.round(events / seconds),
    ...readChecksum(output),
    checkpoints: checkpointMs > 0 ? result.checkpoints : 0,
    maxRssMb: Math.round(process.resourceUsage().maxRSS / 1024),
  }),
)
rmSync(output, { recursive: true, force: true })
rmSync(checkpoints, { recursive: true, force: true })
