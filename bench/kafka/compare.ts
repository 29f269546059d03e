/**
 * Topic to topic, this engine and others in turn, on one broker:
 *
 *     bench/kafka/compare --peer kafka-streams=../kafka-streams/run --peer flink=../flink-kafka/run \
 *       --perf-tool kafka-consumer-perf-test.sh --events 5000000 --rounds 3 --out docs/benchmarks/kafka
 *
 * A peer is any command that is called like `bench/kafka/run drain` and `latency`, on a topic that this one has loaded. `--perf-tool` is the
 * Java client's own measure of consumption. Without `--bootstrap` a broker is started, as for the tests. `--only drain,latency,consume`
 * leaves the others out.
 *
 *  - drain: `OUT-drain.md`; speeds from the start of the job to the commit of the last offset, and from the first record to the last;
 *  - consume: `OUT-consume.md`; from the first record to the last, of records of 100 bytes;
 *  - latency: `OUT-latency.md`. Windows end with whole seconds, and what is committed every second has a phase to them that is chance. So
 *    commits come every 970 ms, unless `--latency-checkpoint-ms` says otherwise: a run of 40 s has every phase.
 *
 * Outputs are compared; where they differ, or a peer says that its own are wrong, the comparison ends with exit code 1.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { basename, dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startKafka } from '../../test/support/kafka/start-kafka.ts'
import { disagreements, spreadOf } from '../comparison/contest.ts'
import type { Contest, Outcome } from '../comparison/contest.ts'
import { peerOf, runEngine, runProgram } from '../comparison/engine-run.ts'
import type { Engine } from '../comparison/engine-run.ts'
import { markdownOf, svgOf } from '../comparison/report.ts'
import { perfToolOutcome } from './perf-tool.ts'

const { values } = parseArgs({
  options: {
    bootstrap: { type: 'string' },
    peer: { type: 'string', multiple: true, default: [] },
    'perf-tool': { type: 'string' },
    only: { type: 'string', default: 'drain,consume,latency' },
    events: { type: 'string', default: '5000000' },
    parallelisms: { type: 'string', default: '1,2' },
    rounds: { type: 'string', default: '3' },
    state: { type: 'string', default: 'disk' },
    'checkpoint-ms': { type: 'string', default: '1000' },
    'latency-checkpoint-ms': { type: 'string', default: '970' },
    rate: { type: 'string', default: '20000' },
    seconds: { type: 'string', default: '40' },
    'warm-up': { type: 'string', default: '15' },
    out: { type: 'string', default: 'docs/benchmarks/kafka' },
  },
})

interface DrainLine extends Outcome {
  readonly busySeconds: number
  readonly busyEventsPerSecond: number
  readonly duplicates: number
  readonly correct: boolean
}

interface LatencyLine {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly results: number
  readonly cpuSeconds: number
  readonly maxRssMb: number
}

const own: Engine = {
  name: 'millrace',
  command: [fileURLToPath(new URL('../../../bench/kafka/run', import.meta.url))],
}
const peers = values.peer.map(peerOf)
/** The same for every engine, each of which has a name of its own for the interval. */
function jobOptions(checkpointMs: string): string[] {
  return optionsOf({
    state: values.state,
    'checkpoint-ms': checkpointMs,
    'commit-ms': checkpointMs,
  })
}
const works = new Set(values.only.split(','))
const kafka = values.bootstrap === undefined ? await startKafka() : undefined
const bootstrap = values.bootstrap ?? kafka?.bootstrap ?? ''
const machine = `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores, the broker among them; Node ${process.versions.node}`
try {
  if (works.has('drain')) compareDrains()
  if (works.has('consume')) compareConsumption()
  if (works.has('latency')) compareLatency()
} finally {
  await kafka?.stop()
}
process.exit() // the broker's client has timers

function compareDrains(): void {
  const topic = `bids-${Date.now()}`
  const load = optionsOf({ bootstrap, topic, events: values.events })
  runProgram(own, ['load', ...load])
  const engines = [own, ...peers]
  const contests = values.parallelisms.split(',').flatMap((parallelism) => {
    const outcomes = inTurn(engines, (engine) =>
      runEngine<DrainLine>(engine, [
        'drain',
        ...load,
        ...jobOptions(values['checkpoint-ms']),
        ...optionsOf({ parallelism, threads: parallelism }),
      ]),
    )
    for (const [name, lines] of outcomes) {
      for (const { correct, duplicates } of lines) {
        if (!correct || duplicates > 0) throw new Error(`${name} gave a wrong result`)
      }
    }
    const busy = mapOutcomes(outcomes, (line) => ({
      ...line,
      seconds: line.busySeconds,
      eventsPerSecond: line.busyEventsPerSecond,
    }))
    return [
      { title: `drain p=${parallelism}`, outcomes },
      { title: `first to last record p=${parallelism}`, outcomes: busy },
    ]
  })
  write('drain', 'Kafka to 1-s windows to Kafka, exactly once', engines, contests, [
    `${Number(values.events).toLocaleString('en')} bids of 200 bytes as JSON in 4 partitions, state on ${values.state}, a commit every ${values['checkpoint-ms']} ms`,
    'drain: from the start of the job in the running process to the commit of the last offset',
  ])
}

function compareConsumption(): void {
  const topic = `records-${Date.now()}`
  const args = optionsOf({ bootstrap, topic, events: values.events })
  runProgram(own, ['fill', ...args])
  const engines: Engine[] = [own, { name: 'kafkajs', command: own.command }]
  const tool = values['perf-tool']
  if (tool !== undefined) engines.push({ name: 'Java perf tool', command: tool.split(/\s+/) })
  const outcomes = inTurn(engines, (engine): Outcome => {
    if (engine.name === 'Java perf tool') {
      const toolArgs = [
        '--bootstrap-server',
        bootstrap,
        '--topic',
        topic,
        '--messages',
        values.events,
      ]
      return perfToolOutcome(runProgram(engine, toolArgs))
    }
    const line = runEngine<DrainLine>(engine, [
      engine === own ? 'consume' : 'consume-kafkajs',
      ...args,
    ])
    return { ...line, seconds: line.busySeconds, eventsPerSecond: line.busyEventsPerSecond }
  })
  write(
    'consume',
    'Consumption alone',
    engines,
    [{ title: 'consume 100 B', outcomes }],
    [
      `${Number(values.events).toLocaleString('en')} records of 100 bytes in 4 partitions, not compressed, one consumer; from the first record to the last`,
    ],
  )
}

function compareLatency(): void {
  const engines = [own, ...peers]
  const outcomes = inTurn(engines, (engine) =>
    runEngine<LatencyLine>(engine, [
      'latency',
      ...jobOptions(values['latency-checkpoint-ms']),
      ...optionsOf({
        bootstrap,
        rate: values.rate,
        seconds: values.seconds,
        'warm-up': values['warm-up'],
        emit: 'close',
      }),
    ]),
  )
  const rows = [...outcomes].map(([name, lines]) => {
    const each = (pick: (line: LatencyLine) => number): string => {
      const { median, least, most } = spreadOf(lines.map(pick))
      return `${median.toFixed(0)} (${least.toFixed(0)}–${most.toFixed(0)})`
    }
    return [
      name,
      each((line) => line.p50Ms),
      each((line) => line.p99Ms),
      each((line) => line.maxMs),
      each((line) => line.cpuSeconds),
      each((line) => line.maxRssMb),
    ]
  })
  const header = ['engine', 'p50 ms', 'p99 ms', 'max ms', 'CPU s', 'peak MB']
  const text = [
    `# Latency, Kafka to 1-s windows to Kafka, exactly once`,
    '',
    `- ${Number(values.rate).toLocaleString('en')} bids a second in 4 partitions, a commit every ${values['latency-checkpoint-ms']} ms, one worker; ${values.seconds} s after a warm-up of ${values['warm-up']} s, ${values.rounds} rounds in turn; medians (least–most)`,
    '- from the end of a window to the arrival of its rows at a reader of committed records',
    `- ${machine}`,
    '',
    ...[header, header.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`),
    '',
  ].join('\n')
  mkdirSync(dirname(resolve(values.out)), { recursive: true })
  writeFileSync(`${resolve(values.out)}-latency.md`, text)
}

/** As a command line has them. */
function optionsOf(options: Readonly<Record<string, string>>): string[] {
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])
}

/** Every engine once a round, in an order that turns from round to round. */
function inTurn<T>(engines: readonly Engine[], run: (engine: Engine) => T): Map<string, T[]> {
  const outcomes = new Map<string, T[]>(engines.map(({ name }) => [name, []]))
  for (let round = 0; round < Number(values.rounds); round++) {
    for (let turn = 0; turn < engines.length; turn++) {
      const engine = engines[(round + turn) % engines.length] as Engine
      const outcome = run(engine)
      outcomes.get(engine.name)?.push(outcome)
      console.error(`${engine.name} ${JSON.stringify(outcome)}`)
    }
  }
  return outcomes
}

function mapOutcomes<A, B>(
  outcomes: ReadonlyMap<string, readonly A[]>,
  change: (outcome: A) => B,
): Map<string, B[]> {
  return new Map(Array.from(outcomes, ([name, each]) => [name, each.map(change)]))
}

function write(
  work: string,
  title: string,
  engines: readonly Engine[],
  contests: readonly Contest[],
  notes: readonly string[],
): void {
  const wrong = contests.flatMap(disagreements)
  if (wrong.length > 0) throw new Error(`Different outputs: ${wrong.join('; ')}`)
  const out = `${resolve(values.out)}-${work}`
  const report = {
    title,
    notes: [
      ...notes,
      `${values.rounds} rounds in turn; medians (least–most); ratios within a round`,
      machine,
      'outputs compared by row count and checksum; processor time of whole processes, their start included, without the broker',
    ],
    engines: engines.map(({ name }) => name),
    contests,
    plot: `${basename(out)}.svg`,
  }
  mkdirSync(dirname(out), { recursive: true })
  writeFileSync(`${out}.md`, markdownOf(report))
  writeFileSync(`${out}.svg`, svgOf(report))
}
