/**
 * The Kafka sink's guarantees beside each other, on a broker of the tests on this machine: records per second written at full speed, and
 * the time from a record's making to its being read, at a fixed rate. Prints one JSON object as its last line.
 *
 *   node dist/bench/kafka/sink-modes.bench.js records=1000000 rounds=3 rate=5000 seconds=8 interval=500ms
 *
 * One subtask, one topic of 4 partitions, values of 100 bytes; the job takes checkpoints at the interval in every mode. Readers read
 * committed records, but for `at-least-once`. Rounds go over the modes in turn. Needs Java and, once, Maven.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generate, job, run } from 'millrace'
import type { Duration, Format } from 'millrace'
import { kafkaSink, kafkaSource } from '../../operators/kafka/index.ts'
import type { KafkaGuarantee } from '../../operators/kafka/index.ts'
import { startKafka } from '../../test/support/kafka/start-kafka.ts'
import { SourceRun, text } from '../../test/support/kafka/source-run.ts'
import { freshTopic } from '../../test/support/kafka/topics.ts'

const options = new Map(
  process.argv.slice(2).map((argument) => argument.split('=') as [string, string]),
)
const recordCount = Number(options.get('records') ?? 1_000_000)
const roundCount = Number(options.get('rounds') ?? 3)
const recordsPerSecond = Number(options.get('rate') ?? 5000)
const latencyRecordCount = recordsPerSecond * Number(options.get('seconds') ?? 8)
const interval = (options.get('interval') ?? '500ms') as Duration
const valueBytes = 100

const modes: Readonly<Record<string, KafkaGuarantee>> = {
  'at-least-once': 'at-least-once',
  resumed: { kind: 'exactly-once', transactions: 'resumed' },
  stored: { kind: 'exactly-once', transactions: 'stored', storedBytesMax: 512 * 1024 * 1024 },
}

const kafka = await startKafka()
const brokers = [kafka.bootstrap]
const throughput: Record<string, number[]> = {}
const latency: Record<string, { readonly p50Ms: number; readonly p99Ms: number }[]> = {}
try {
  for (const guarantee of Object.values(modes)) await write(guarantee, recordCount / 10)
  for (let round = 0; round < roundCount; round++) {
    for (const [name, guarantee] of Object.entries(modes)) {
      const startedMs = performance.now()
      await write(guarantee, recordCount)
      const seconds = (performance.now() - startedMs) / 1000
      const perSecond = (throughput[name] ??= [])
      perSecond.push(Math.round(recordCount / seconds))
    }
  }
  for (let round = 0; round < roundCount; round++) {
    for (const [name, guarantee] of Object.entries(modes)) {
      const each = (latency[name] ??= [])
      each.push(await measureLatency(guarantee))
    }
  }
  console.log(JSON.stringify({ recordCount, interval, recordsPerSecond, throughput, latency }))
} finally {
  await kafka.stop()
}
process.exit()

async function write(guarantee: KafkaGuarantee, count: number): Promise<void> {
  const payload = new Uint8Array(valueBytes).fill(120)
  const value: Format<number> = { name: 'fixed', encode: () => payload, decode: () => 0 }
  const topic = await freshTopic(kafka.bootstrap, 4)
  const definition = job('sink-modes', (env) => {
    env
      .from('in', generate({ count, record: (index) => index }))
      .to('out', kafkaSink({ brokers, topic, value, guarantee }))
  })
  await inDirectory((directory) => run(definition, { checkpoints: { directory, interval } }))
}

/** The value of a record is the time when it was made. */
async function measureLatency(
  guarantee: KafkaGuarantee,
): Promise<{ readonly p50Ms: number; readonly p99Ms: number }> {
  const topic = await freshTopic(kafka.bootstrap, 4)
  const isolation = guarantee === 'at-least-once' ? 'read_uncommitted' : 'read_committed'
  const source = kafkaSource({ brokers, topics: [topic], value: text, isolation })
  const reading = await SourceRun.start(source, { recordsMax: 5000 })
  const elapsed: number[] = []
  const read = async (): Promise<void> => {
    while (elapsed.length < latencyRecordCount) {
      const records = await reading.take(1)
      const now = Date.now()
      for (const { value } of records) elapsed.push(now - Number(value))
    }
  }
  const definition = job('sink-modes', (env) => {
    env
      .from(
        'in',
        generate({
          count: latencyRecordCount,
          recordsPerSecond,
          record: () => String(Date.now()),
        }),
      )
      .to('out', kafkaSink({ brokers, topic, value: text, guarantee }))
  })
  await inDirectory((directory) =>
    Promise.all([run(definition, { checkpoints: { directory, interval } }), read()]),
  )
  await reading.close()
  elapsed.sort((a, b) => a - b)
  const at = (share: number): number => elapsed[Math.floor(elapsed.length * share)] ?? NaN
  return { p50Ms: at(0.5), p99Ms: at(0.99) }
}

async function inDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-sink-modes-'))
  try {
    return await work(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
