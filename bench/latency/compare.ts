/**
 * Latency without Kafka, this engine and others in turn, at several rates:
 *
 *     bench/latency/compare --peer "flink=../flink-latency/run" --peer "flink-0=../flink-latency/run --buffer-timeout-ms 0" --rates 2,1000,20000
 *
 * A peer is any command that is called like `bench/latency/run`. Writes `OUT.md` and `OUT.svg`. Ends with exit code 1 where an engine
 * has not counted every event.
 */
import { basename, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { spreadOf } from '../comparison/contest.ts'
import { curvesSvg } from '../comparison/curves.ts'
import { optionsOf, peerOf, runEngine } from '../comparison/engine-run.ts'
import type { Engine } from '../comparison/engine-run.ts'
import { machineNote, roundsNote, spreadText, tableOf, writePage } from '../comparison/page.ts'
import { inTurn } from '../comparison/turns.ts'
import type { Percentiles } from './percentiles.ts'

interface LatencyLine extends Percentiles {
  readonly events: number
  readonly counted: number
  readonly cpuSeconds: number
  readonly maxRssMb: number
}

const { values } = parseArgs({
  options: {
    peer: { type: 'string', multiple: true, default: [] },
    rates: { type: 'string', default: '2,1000,20000,100000,500000' },
    rounds: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '10' },
    'warm-up': { type: 'string', default: '5' },
    parallelism: { type: 'string', default: '2' },
    'window-ms': { type: 'string', default: '100' },
    keys: { type: 'string', default: '1000' },
    'checkpoint-ms': { type: 'string', default: '0' },
    out: { type: 'string', default: 'docs/benchmarks/latency' },
  },
})
const own: Engine = {
  name: 'millrace',
  command: [fileURLToPath(new URL('../../../bench/latency/run', import.meta.url))],
}
const engines = [own, ...values.peer.map(peerOf)]
const rates = values.rates.split(',').map(Number)
const { seconds, parallelism, keys } = values
const options = optionsOf({
  seconds,
  'warm-up': values['warm-up'],
  parallelism,
  'window-ms': values['window-ms'],
  keys,
  'checkpoint-ms': values['checkpoint-ms'],
})

const lines = new Map<number, ReadonlyMap<string, readonly LatencyLine[]>>()
for (const rate of rates) {
  const outcomes = inTurn(Number(values.rounds), engines, (engine) => {
    const line = runEngine<LatencyLine>(engine, ['--rate', String(rate), ...options])
    console.error(`${rate}/s ${engine.name} p50 ${line.p50Ms} p99 ${line.p99Ms} ms`)
    if (line.counted !== line.events) {
      console.error(`${engine.name} counted ${line.counted} of ${line.events} events`)
      process.exitCode = 1
    }
    return line
  })
  lines.set(rate, outcomes)
  // written after each, so that a long comparison that is ended keeps what it has
  write()
}

function write(): void {
  const out = resolve(values.out)
  const each = (all: readonly LatencyLine[], pick: (line: LatencyLine) => number): string =>
    spreadText(spreadOf(all.map(pick)), 1)
  const rows = [...lines].flatMap(([rate, outcomes]) =>
    [...outcomes].map(([name, all]) => [
      rate.toLocaleString('en'),
      name,
      each(all, (line) => line.p50Ms),
      each(all, (line) => line.p99Ms),
      each(all, (line) => line.p999Ms),
      each(all, (line) => line.maxMs),
      spreadOf(all.map((line) => line.results)).median.toFixed(0),
      each(all, (line) => line.cpuSeconds),
      spreadOf(all.map((line) => line.maxRssMb)).median.toFixed(0),
    ]),
  )
  const header = [
    'events/s',
    'engine',
    'p50 ms',
    'p99 ms',
    'p99.9 ms',
    'max ms',
    'results',
    'CPU s',
    'peak MB',
  ]
  const checkpoints =
    values['checkpoint-ms'] === '0' ? 'no checkpoints' : `checkpoints=${values['checkpoint-ms']}ms`
  const md = [
    '# Latency: events at a rate, keyed windows, a sink',
    '',
    `- windows of ${values['window-ms']} ms over ${values.keys} keys, p=${values.parallelism}, ${checkpoints}; ${values.seconds} s after a warm-up of ${values['warm-up']} s; ${roundsNote(values.rounds)}`,
    '- of each result: from the moment when the record was due that closed its window, to its arrival at the sink; what waits for an engine that is behind counts',
    ...(rates.includes(2)
      ? ['- at 2 events/s the job is idle before each event: how fast it wakes']
      : []),
    `- engines by the options of their commands: ${engines.map(({ name, command }) => `${name} \`${[basename(command[0] ?? ''), ...command.slice(1)].join(' ')}\``).join(', ')}`,
    `- ${machineNote()}`,
    '- CPU of whole processes, their start and warm-up included',
    '',
    ...tableOf(header, rows),
    '',
    `![p99 by rate](${basename(out)}.svg)`,
    '',
  ].join('\n')
  const svg = curvesSvg({
    title: 'p99 from the due time of the closing record to the sink',
    x: { label: 'events a second', isLogarithmic: true },
    y: { label: 'ms', isLogarithmic: true },
    curves: engines.map(({ name }) => ({
      name,
      points: [...lines].map(
        ([rate, outcomes]) =>
          [
            rate,
            spreadOf((outcomes.get(name) ?? []).map(({ p99Ms }) => Math.max(0.01, p99Ms))).median,
          ] as const,
      ),
    })),
  })
  writePage(out, { md, svg })
}
