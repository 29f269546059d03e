/**
 * A running count of bids per auction, topic to topic, exactly once, by this engine or by `@kafkats/flow`:
 *
 *     bench/flow/run millrace --bootstrap HOST:PORT --topic bids --events N [--commit-ms 1000]
 *     bench/flow/run flow --flow DIRECTORY --bootstrap HOST:PORT --topic bids --events N [--commit-ms 1000]
 *
 * The topic has been loaded by `bench/kafka/run load`. `--flow`: a directory in which `npm install @kafkats/flow @kafkats/client` was run.
 * `seconds` is from the start of the job to the commit of the last offset; then the committed rows are read and hashed. Prints one
 * JSON object as its last line.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { extname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { Kafka, logLevel } from 'kafkajs'
import { job, json, run, start } from 'millrace'
import type { Duration } from 'millrace'
import { kafkaSource } from '../../operators/kafka/index.ts'
import { loadKafkajs } from '../../operators/kafka/kafkajs-internals.ts'
import { rowHash } from '../nexmark/checksum.ts'
import type { CountOfKey } from './job.ts'
import runningCount from './job.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    flow: { type: 'string' },
    bootstrap: { type: 'string', default: 'localhost:9092' },
    topic: { type: 'string', default: 'bids' },
    events: { type: 'string', default: '200000' },
    'commit-ms': { type: 'string', default: '1000' },
  },
})
const POLL_MS = 50

const [engine = ''] = positionals
const brokers = values.bootstrap.split(',')
const events = Number(values.events)
const name = `${engine}-${Date.now()}`
const output = `${name}-out`
const directory = mkdtempSync(join(tmpdir(), 'millrace-flow-'))
loadKafkajs() // cures its endless timer
const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING, retry: { initialRetryTime: 50 } })
const admin = kafka.admin()

const starts: Readonly<Record<string, () => Promise<() => Promise<void>>>> = {
  millrace: startMillrace,
  flow: startFlow,
}
const begin = starts[engine]
if (begin === undefined) {
  console.error(`bench/flow/run: give one of ${Object.keys(starts).join(', ')}`)
  process.exit(2)
}
try {
  await admin.connect()
  const { topics } = await admin.fetchTopicMetadata({ topics: [values.topic] })
  await admin.createTopics({
    topics: [{ topic: output, numPartitions: topics[0]?.partitions.length ?? 1 }],
  })
  const startedMs = performance.now()
  const startedCpu = process.cpuUsage()
  const end = await begin()
  while ((await committed()) < events) await sleep(POLL_MS)
  const seconds = (performance.now() - startedMs) / 1000
  const { user, system } = process.cpuUsage(startedCpu)
  const maxRssMb = Math.round(process.resourceUsage().maxRSS / 1024)
  await end()
  console.log(
    JSON.stringify({
      engine,
      query: 'kafka-running-count',
      events,
      seconds: Math.round(seconds * 1000) / 1000,
      eventsPerSecond: Math.round(events / seconds),
      timedCpuSeconds: (user + system) / 1e6,
      ...(await readOutput()),
      maxRssMb,
    }),
  )
} finally {
  rmSync(directory, { recursive: true, force: true })
}
process.exit()

async function startMillrace(): Promise<() => Promise<void>> {
  const running = start(runningCount, {
    params: { brokers, input: values.topic, output, group: name },
    threads: 1,
    module: new URL(`./job${extname(import.meta.url)}`, import.meta.url),
    checkpoints: {
      directory: join(directory, 'checkpoints'),
      interval: `${Number(values['commit-ms'])}ms` as Duration,
    },
  })
  await running.running
  return () => running.cancel()
}

/** What is used of `@kafkats/flow`, which is no dependency of this project. */
interface FlowModule {
  readonly string: () => unknown
  readonly json: () => unknown
  readonly flow: (config: object) => FlowApp
}

interface FlowApp {
  stream(topic: string, options: object): FlowStream
  start(): Promise<void>
  close(): Promise<void>
}

interface FlowStream {
  groupByKey(): { count(options: object): { toStream(): FlowStream } }
  map(change: (key: string, value: number) => readonly [string, CountOfKey]): FlowStream
  to(topic: string, options: object): void
}

async function startFlow(): Promise<() => Promise<void>> {
  if (values.flow === undefined) throw new Error('--flow: give the directory it is installed in')
  const from = createRequire(join(resolve(values.flow), 'package.json'))
  const {
    flow,
    string,
    json: jsonCodec,
  } = (await import(pathToFileURL(from.resolve('@kafkats/flow')).href)) as FlowModule
  const app = flow({
    applicationId: name,
    client: { brokers, clientId: name, logLevel: 'error' },
    processingGuarantee: 'exactly_once',
    commitIntervalMs: Number(values['commit-ms']),
    changelog: { replicationFactor: 1 },
  })
  app
    .stream(values.topic, { key: string(), value: jsonCodec(), offsetReset: 'earliest' })
    .groupByKey()
    .count({ key: string() })
    .toStream()
    .map((key, value) => [key, { key: Number(key), value }])
    .to(output, { key: string(), value: jsonCodec() })
  await app.start()
  return () => app.close()
}

/** Records before the committed offsets of all partitions. */
async function committed(): Promise<number> {
  const [found] = await admin.fetchOffsets({ groupId: name, topics: [values.topic] })
  return (found?.partitions ?? []).reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0)
}

/** Rows and checksum of what a reader of committed records sees. */
async function readOutput(): Promise<{ rows: number; checksum: number }> {
  let [rows, checksum] = [0, 0]
  await run(
    job('rows', (env) => {
      env
        .from(
          'rows',
          kafkaSource({ brokers, topics: [output], value: json<CountOfKey>(), endAt: 'latest' }),
        )
        .to('sum', {
          type: 'sum',
          needsCallingThread: true,
          open: () => ({
            write(row) {
              const { key, value } = row as CountOfKey
              rows += 1
              checksum = (checksum + rowHash([key, value])) >>> 0
            },
          }),
        })
    }),
  )
  return { rows, checksum }
}
