/**
 * What a record costs as a job grows:
 *
 *     bench/scaling/measure [--only keys,slides,chain,subtasks,queries] [--records 2000000] [--rounds 1] [--out docs/benchmarks/scaling]
 *
 * Runs `bench/scaling/run` for each point, each in a process of its own; `queries` runs `bench/run` with one worker, two and four. Writes
 * `OUT.md`, `OUT.csv` and an SVG for each part; parts that are left out keep what the CSV has of them.
 */
import { existsSync, readFileSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Outcome } from '../comparison/contest.ts'
import { optionsOf, runEngine } from '../comparison/engine-run.ts'
import type { Engine } from '../comparison/engine-run.ts'
import { inTurn } from '../comparison/turns.ts'
import { machineNote, writePage } from '../comparison/page.ts'
import type { Point } from './parts.ts'
import { PARTS, csvOf, pageOf, pointsOf, svgOfPart } from './parts.ts'

interface ScalingLine {
  readonly cpuNsPerRecord: number
  readonly wallNsPerRecord: number
}

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: PARTS.map(({ name }) => name).join(',') },
    records: { type: 'string', default: '2000000' },
    rounds: { type: 'string', default: '1' },
    'keys-max': { type: 'string', default: '10000000' },
    queries: { type: 'string', default: 'q0,q1,q2,q3,q5,q7,q8,q11,count' },
    events: { type: 'string', default: '4000000' },
    out: { type: 'string', default: 'docs/benchmarks/scaling' },
  },
})
const out = resolve(values.out)
const rounds = Number(values.rounds)
const chosen = new Set(values.only.split(','))
const scalingRun = commandOf('scaling/run')
const benchRun = commandOf('run')

const before = existsSync(`${out}.csv`) ? pointsOf(readFileSync(`${out}.csv`, 'utf8')) : []
let points = before.filter(({ part }) => !chosen.has(part))
const runs: Readonly<Record<string, () => void>> = {
  keys: measureKeys,
  slides: () => measureAxis('slides', [1, 2, 5, 10, 20, 50, 100], Number(values.records) / 2),
  chain: () => measureAxis('chain', [1, 2, 5, 10, 20, 50, 100], Number(values.records) * 2),
  subtasks: measureSubtasks,
  queries: measureQueries,
}
for (const { name } of PARTS) {
  if (chosen.has(name)) runs[name]?.()
}

function measureKeys(): void {
  const sizes = [1e3, 1e4, 1e5, 1e6, 1e7].filter((size) => size <= Number(values['keys-max']))
  const curves = [
    { curve: 'integer keys', axis: 'keys', state: 'heap', sizeMax: 1e7 },
    { curve: 'text keys', axis: 'text-keys', state: 'heap', sizeMax: 1e6 },
    { curve: 'integer keys, on disk', axis: 'keys', state: 'disk', sizeMax: 1e6 },
  ]
  for (const { curve, axis, state, sizeMax } of curves) {
    for (const size of sizes.filter((each) => each <= sizeMax)) {
      // every key is there before
      const warmUp = Math.max(Number(values.records) / 2, 3 * size)
      measure('keys', curve, size, [axis, String(size)], { state, warmUp })
    }
  }
}

function measureAxis(axis: string, sizes: readonly number[], records: number): void {
  for (const size of sizes) measure(axis, axis, size, [axis, String(size)], { records })
}

/** As many threads as subtasks, up to two; then more subtasks to a thread. */
function measureSubtasks(): void {
  for (const size of [1, 2, 4, 8]) {
    for (const threads of size === 1 ? [1] : [1, 2]) {
      measure(
        'subtasks',
        `${threads} ${threads === 1 ? 'thread' : 'threads'}`,
        size,
        ['subtasks', '1'],
        {
          parallelism: size,
          threads,
        },
      )
    }
  }
}

interface PointOptions {
  readonly records?: number
  readonly warmUp?: number
  readonly state?: string
  readonly parallelism?: number
  readonly threads?: number
}

function measure(
  part: string,
  curve: string,
  size: number,
  args: readonly string[],
  options: PointOptions,
): void {
  const { records = Number(values.records), warmUp = records / 2, state = 'heap' } = options
  const { parallelism = 1, threads = parallelism } = options
  for (let round = 0; round < rounds; round++) {
    const line = runEngine<ScalingLine>(scalingRun, [
      ...args,
      ...optionsOf({ records, 'warm-up': warmUp, state, parallelism, threads }),
    ])
    add({ part, curve, size, round, cpuNs: line.cpuNsPerRecord, wallNs: line.wallNsPerRecord })
  }
}

function measureQueries(): void {
  const workers = [1, 2, 4].map((size) => ({ name: String(size) }))
  for (const query of values.queries.split(',')) {
    inTurn(rounds, workers, ({ name }, round) => {
      const outcome = runEngine<Outcome>(benchRun, [
        query,
        ...optionsOf({
          events: values.events,
          parallelism: name,
          threads: Math.min(2, Number(name)),
        }),
      ])
      const { eventsPerSecond, cpuSeconds, seconds } = outcome
      const events = eventsPerSecond * seconds
      const cpuNs = (cpuSeconds * 1e9) / events
      add({
        part: 'queries',
        curve: query,
        size: Number(name),
        round,
        cpuNs,
        wallNs: 1e9 / eventsPerSecond,
      })
    })
  }
}

/** Written after each point, so that a long measurement that is ended keeps what it has. */
function add(point: Point): void {
  points = [...points, point]
  console.error(`${point.part} ${point.curve} ${point.size}: ${point.cpuNs.toFixed(0)} ns of CPU`)
  const notes = [
    'processor time of the whole process for each record after a warm-up, source and sink included; each point in a process of its own',
    machineNote(),
  ]
  const svgs = Object.fromEntries(
    PARTS.filter(({ name }) => points.some(({ part }) => part === name)).map((part) => [
      `${part.name}.svg`,
      svgOfPart(part, points),
    ]),
  )
  writePage(out, { md: pageOf(points, notes, basename(out)), csv: csvOf(points), ...svgs })
}

function commandOf(name: string): Engine {
  return {
    name: 'millrace',
    command: [fileURLToPath(new URL(`../../../bench/${name}`, import.meta.url))],
  }
}
