/**
 * Topic to topic against a real broker:
 *
 *     bench/kafka/run load    --bootstrap HOST:PORT [--topic bids] [--events 5000000] [--partitions 4]
 *     bench/kafka/run drain   --bootstrap HOST:PORT [--topic bids] [--events 5000000] [--parallelism 1] [--threads P] [--checkpoint-ms 1000] [--state heap|disk]
 *     bench/kafka/run latency --bootstrap HOST:PORT [--rate 20000] [--seconds 40] [--warm-up 15] [--parallelism 1] [--partitions 4]
 *     bench/kafka/run fill    --bootstrap HOST:PORT --topic NAME [--events 5000000] [--partitions 4] [--value-bytes 100]
 *     bench/kafka/run consume --bootstrap HOST:PORT --topic NAME --events N [--parallelism 1]
 *     bench/kafka/run consume-kafkajs --bootstrap HOST:PORT --topic NAME --events N
 *
 * Prints one JSON object as its last line.
 *
 * `drain` counts bids per auction in windows of a second of event time, exactly once, checkpoints every second. `seconds` is from the start of
 * the job to the commit of the load's last offset, `busySeconds` from the first record to the last. After the timing later bids are
 * appended until every window of the load has closed, so a topic can be drained again: `--events` says where its load ends. `correct` says
 * that rows and checksum are those of a count in memory, `duplicates` counts rows that a reader of committed records has seen twice.
 *
 * `latency`: bids are dated when they are made, and nothing is waited for. From a window's end to the arrival of its rows at a reader of
 * committed records, over `--seconds` after the warm-up.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Kafka, logLevel, Partitioners } from 'kafkajs'
import { job, start, text } from 'millrace'
import type { Duration, RunningJob, RunOptions, Sink } from 'millrace'
import { kafkaSource } from '../../operators/kafka/index.ts'
import { loadKafkajs } from '../../operators/kafka/kafkajs-internals.ts'
import { BASE_MS } from '../../examples/auction/events.ts'
import { readChecksum } from '../nexmark/checksum-sink.ts'
import { TRAIL_MS, flushFromMs, hashOf, reference, rowOfText, topicBid } from './bids.ts'
import benchmark from './job.ts'
import type { KafkaBenchParams } from './job.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    bootstrap: { type: 'string', default: 'localhost:9092' },
    topic: { type: 'string', default: 'bids' },
    events: { type: 'string', default: '5000000' },
    partitions: { type: 'string', default: '4' },
    parallelism: { type: 'string', default: '1' },
    threads: { type: 'string' },
    'checkpoint-ms': { type: 'string', default: '1000' },
    state: { type: 'string', default: 'heap' },
    rate: { type: 'string', default: '20000' },
    seconds: { type: 'string', default: '40' },
    'warm-up': { type: 'string', default: '15' },
    'value-bytes': { type: 'string', default: '100' },
    // of other engines: called by one command, each takes what is its own
    'commit-ms': { type: 'string' },
    emit: { type: 'string' },
    verbose: { type: 'boolean', default: false },
  },
})
const brokers = values.bootstrap.split(',')
const events = Number(values.events)
const parallelism = Number(values.parallelism)
const partitions = Number(values.partitions)
const checkpointMs = Number(values['checkpoint-ms'])
const runName = `millrace-${positionals[0]}-${Date.now()}`
const directory = mkdtempSync(join(tmpdir(), 'millrace-kafka-bench-'))
process.env['MILLRACE_BENCH_OUTPUT'] = directory
loadKafkajs() // cures its endless timer, in the clients of this file too
const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING, retry: { initialRetryTime: 50 } })

const commands: Readonly<Record<string, () => Promise<object>>> = {
  load: () => write({ brokers, work: 'load', topic: values.topic, events }),
  fill: () =>
    write({
      brokers,
      work: 'fill',
      topic: values.topic,
      events,
      valueBytes: Number(values['value-bytes']),
    }),
  drain,
  latency,
  consume,
  'consume-kafkajs': consumeKafkajs,
}
const command = commands[positionals[0] ?? '']
if (command === undefined) {
  console.error(`bench/kafka/run: give one of ${Object.keys(commands).join(', ')}`)
  process.exit(2)
}
try {
  const result = await command()
  console.log(
    JSON.stringify({ ...result, maxRssMb: Math.round(process.resourceUsage().maxRSS / 1024) }),
  )
} finally {
  rmSync(directory, { recursive: true, force: true })
}
process.exit()

/** In worker threads, as the command line runs a job. */
function startJob(
  params: KafkaBenchParams,
  options: RunOptions & { threads?: number },
): RunningJob {
  return start(benchmark, {
    params,
    threads: 1,
    module: new URL(`./job${extname(import.meta.url)}`, import.meta.url),
    ...(values.verbose ? { logger: console } : {}),
    ...options,
  })
}

function startCounting(input: string, output: string, trailMs: number): RunningJob {
  return startJob(
    { brokers, work: 'count', input, output, group: runName, trailMs },
    {
      parallelism,
      threads: Number(values.threads ?? parallelism),
      state: values.state === 'disk' ? 'leveldb' : 'memory',
      checkpoints: {
        directory: join(directory, 'checkpoints'),
        interval: `${checkpointMs}ms` as Duration,
      },
    },
  )
}

async function write(
  params: Extract<KafkaBenchParams, { readonly topic: string }>,
): Promise<object> {
  await createTopic(params.topic, partitions)
  const startedMs = performance.now()
  await startJob(params, {}).finished
  const seconds = secondsSince(startedMs)
  return {
    loaded: events,
    topic: params.topic,
    seconds: rounded(seconds),
    eventsPerSecond: Math.round(events / seconds),
  }
}

async function drain(): Promise<object> {
  const output = `${runName}-out`
  const partitionCount = await partitionCountOf(values.topic)
  await createTopic(output, partitionCount)
  const beforeMs = flushFromMs(events)
  const seen = new Set<number>()
  let [rows, checksum, duplicates] = [0, 0, 0]
  const results = readRows(output, (value) => {
    const row = rowOfText(value)
    if (row.endMs > beforeMs) return
    const name = (row.endMs - BASE_MS) * 10_000_000 + row.auction
    if (seen.has(name)) duplicates++
    seen.add(name)
    rows++
    checksum = (checksum + hashOf(row)) >>> 0
  })
  await results.running
  const startedCpu = process.cpuUsage()
  const startedMs = performance.now()
  const running = startCounting(values.topic, output, TRAIL_MS)
  let [firstMs, processedMs] = [0, 0]
  const admin = kafka.admin()
  await admin.connect()
  await running.running
  for (;;) {
    await Promise.race([sleep(10), running.finished])
    const { recordsRead } = running.figures.totals()
    if (firstMs === 0 && recordsRead > 0) firstMs = performance.now()
    if (processedMs === 0 && recordsRead >= events) processedMs = performance.now()
    if (processedMs === 0) continue
    const [found] = await admin.fetchOffsets({ groupId: runName, topics: [values.topic] })
    const offsets = (found?.partitions ?? []).map(({ offset }) => Math.max(0, Number(offset)))
    if (offsets.reduce((sum, offset) => sum + offset, 0) >= events) break
  }
  const seconds = secondsSince(startedMs)
  const { user, system } = process.cpuUsage(startedCpu)
  await admin.disconnect()
  const expected = reference(events)
  await flush(partitionCount, beforeMs, () => rows >= expected.rows)
  await running.stop()
  await results.cancel()
  const busySeconds = (processedMs - firstMs) / 1000
  return {
    engine: 'millrace',
    query: 'kafka-bid-counts',
    events,
    parallelism,
    partitions: partitionCount,
    state: values.state,
    guarantee: 'exactly_once',
    checkpointMs,
    seconds: rounded(seconds),
    eventsPerSecond: Math.round(events / seconds),
    busySeconds: rounded(busySeconds),
    busyEventsPerSecond: Math.round(events / busySeconds),
    timedCpuSeconds: rounded((user + system) / 1e6),
    rows,
    checksum,
    duplicates,
    correct: rows === expected.rows && checksum === expected.checksum,
  }
}

async function latency(): Promise<object> {
  const rate = Number(values.rate)
  const seconds = Number(values.seconds)
  const warmUpSeconds = Number(values['warm-up'])
  const input = `${runName}-in`
  const output = `${runName}-out`
  await createTopic(input, partitions)
  await createTopic(output, partitions)
  const latenciesMs: number[] = []
  let fromMs = Infinity
  const results = readRows(output, (value) => {
    const now = Date.now()
    if (now >= fromMs) latenciesMs.push(now - rowOfText(value).endMs)
  })
  const counting = startCounting(input, output, 0)
  await Promise.all([results.running, counting.running])
  fromMs = Date.now() + warmUpSeconds * 1000
  const startedCpu = process.cpuUsage()
  await Promise.race([
    startJob({ brokers, work: 'live', topic: input, rate, seconds: seconds + warmUpSeconds }, {})
      .finished,
    counting.finished,
  ])
  const { user, system } = process.cpuUsage(startedCpu)
  // rows that come from now on are of windows that no bid comes after
  const sorted = latenciesMs.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? NaN
  const { recordsRead } = counting.figures.totals()
  await counting.stop()
  await results.cancel()
  return {
    engine: 'millrace',
    query: 'kafka-bid-latency',
    emit: 'close',
    rate,
    seconds,
    parallelism,
    checkpointMs,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: sorted.at(-1) ?? NaN,
    results: sorted.length,
    processed: recordsRead,
    timedCpuSeconds: rounded((user + system) / 1e6),
  }
}

async function consume(): Promise<object> {
  const startedMs = performance.now()
  const running = startJob(
    { brokers, work: 'consume', topic: values.topic },
    { parallelism, threads: Number(values.threads ?? parallelism) },
  )
  await running.running
  const runningMs = performance.now()
  await running.finished
  return consumed('millrace', { startedMs, runningMs, ...readChecksum(directory) })
}

/** A loop as one would write it by hand: batches of kafkajs, counted. */
async function consumeKafkajs(): Promise<object> {
  const startedMs = performance.now()
  const consumer = kafka.consumer({
    groupId: runName,
    maxBytesPerPartition: 4 * 1024 * 1024,
    maxBytes: 16 * 1024 * 1024,
  })
  await consumer.connect()
  await consumer.subscribe({ topic: values.topic, fromBeginning: true })
  let [rows, checksum, runningMs] = [0, 0, 0]
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        partitionsConsumedConcurrently: 4,
        eachBatchAutoResolve: true,
        async eachBatch({ batch }) {
          runningMs ||= performance.now()
          for (const { value } of batch.messages) checksum += value?.length ?? 0
          rows += batch.messages.length
          if (rows >= events) resolve()
        },
      })
      .catch(reject)
  })
  const result = consumed('kafkajs', { startedMs, runningMs, rows, checksum })
  await consumer.disconnect()
  return result
}

function consumed(
  engine: string,
  run: {
    readonly startedMs: number
    readonly runningMs: number
    readonly rows: number
    readonly checksum: number
  },
): object {
  const seconds = secondsSince(run.startedMs)
  const busySeconds = secondsSince(run.runningMs)
  const { user, system } = process.cpuUsage()
  return {
    engine,
    query: 'kafka-consume',
    events: run.rows,
    seconds: rounded(seconds),
    eventsPerSecond: Math.round(run.rows / seconds),
    busySeconds: rounded(busySeconds),
    busyEventsPerSecond: Math.round(run.rows / busySeconds),
    rows: run.rows,
    checksum: run.checksum,
    timedCpuSeconds: rounded((user + system) / 1e6),
  }
}

/** Hands on the committed values of a topic, from its first record on. */
function readRows(topic: string, take: (value: string) => void): RunningJob {
  const sink: Sink<string> = {
    type: 'take',
    needsCallingThread: true,
    open: () => ({ write: (value) => take(value as string) }),
  }
  return start(
    job('results', (env) => {
      env.from('rows', kafkaSource({ brokers, topics: [topic], value: text() })).to('take', sink)
    }),
  )
}

/** Appends later bids to every partition until `isEnough`, and a moment longer. */
async function flush(
  partitionCount: number,
  fromMs: number,
  isEnough: () => boolean,
): Promise<void> {
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  const deadline = performance.now() + 60_000
  for (let round = 0; !isEnough() && performance.now() < deadline; round++) {
    const dateTime = fromMs + round * 500
    const value = JSON.stringify({ ...topicBid(0), dateTime })
    await producer.send({
      topic: values.topic,
      messages: Array.from({ length: partitionCount }, (_, partition) => ({
        key: String(topicBid(0).auction),
        value,
        partition,
        timestamp: String(dateTime),
      })),
    })
    await sleep(300)
  }
  await sleep(1500) // rows that come twice come late
  await producer.disconnect()
}

async function createTopic(topic: string, numPartitions: number): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({
    topics: [{ topic, numPartitions, configEntries: [{ name: 'retention.ms', value: '-1' }] }],
  })
  await admin.disconnect()
}

async function partitionCountOf(topic: string): Promise<number> {
  const admin = kafka.admin()
  await admin.connect()
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  await admin.disconnect()
  return topics[0]?.partitions.length ?? 0
}

function secondsSince(ms: number): number {
  return (performance.now() - ms) / 1000
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}
