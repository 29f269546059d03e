/**
 * Peak memory of this engine and of one with a heap of a chosen size, on the same query:
 *
 *     bench/memory/compare --peer flink=../flink/run --variable JAVA_OPTS --heap "-Xmx{}m -XX:+UseParallelGC"
 *
 * The more heap, the faster a collector may be; so the peer is given the smallest one that is good: with which it is within
 * `--within` (a tenth) of its best speed. It is found by bisection between `--heap-min` and `--heap-max` MB; a run that fails or takes more
 * than twice as long is not good. Of each heap the better of `--tries` runs counts. Memory is that of the process and all its
 * descendants. Writes `OUT.md`; ends with exit code 1 where outputs differ.
 */
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Outcome } from '../comparison/contest.ts'
import { spreadOf } from '../comparison/contest.ts'
import { optionsOf, peerOf } from '../comparison/engine-run.ts'
import type { Engine } from '../comparison/engine-run.ts'
import { machineNote, spreadText, tableOf, writePage } from '../comparison/page.ts'
import { smallestGood } from './bisect.ts'
import { runWatched } from './process-tree.ts'

const { values } = parseArgs({
  options: {
    peer: { type: 'string' },
    variable: { type: 'string', default: 'JAVA_OPTS' },
    heap: { type: 'string', default: '-Xmx{}m -XX:+UseParallelGC' },
    'heap-min': { type: 'string', default: '64' },
    'heap-max': { type: 'string', default: '4096' },
    within: { type: 'string', default: '0.1' },
    tries: { type: 'string', default: '2' },
    query: { type: 'string', default: 'count' },
    keys: { type: 'string', default: '1000000' },
    events: { type: 'string', default: '6000000' },
    parallelism: { type: 'string', default: '2' },
    state: { type: 'string', default: 'heap' },
    out: { type: 'string', default: 'docs/benchmarks/memory' },
  },
})
/** How close the largest heap that is not good and the smallest that is come to each other. */
const CLOSE_RATIO = 1.15
/** Start of a peer's process. */
const START_MS = 60_000

const own: Engine = {
  name: 'millrace',
  command: [fileURLToPath(new URL('../../../bench/run', import.meta.url))],
}
const { events, parallelism, state, keys, within } = values
const args = [values.query, ...optionsOf({ events, parallelism, state, keys })]
const tries = Number(values.tries)

interface Try {
  readonly eventsPerSecond: number
  readonly peakMb: number
  readonly output: string
}

const rows: string[][] = []
const outputs = new Set<string>()
const summary: string[] = []

const ours: Try[] = []
for (let n = 0; n < tries; n++) ours.push((await attempt(own, undefined, undefined)) ?? fail(own))
add(own.name, '–', ours, 1)
const ownPeak = spreadOf(ours.map(({ peakMb }) => peakMb))
if (values.peer !== undefined) await comparePeer(peerOf(values.peer))
if (outputs.size > 1) {
  console.error(`Different outputs: ${[...outputs].join('; ')}`)
  process.exitCode = 1
}

async function comparePeer(peer: Engine): Promise<void> {
  const heapMax = Number(values['heap-max'])
  const byHeap = new Map<number, readonly Try[]>()
  const most = await tryHeap(peer, heapMax, undefined)
  if (most.length === 0) fail(peer)
  const best = bestOf(most)
  byHeap.set(heapMax, most)
  add(peer.name, String(heapMax), most, 1)
  const heap = await smallestGood({
    mostBad: Number(values['heap-min']),
    leastGood: heapMax,
    closeRatio: CLOSE_RATIO,
    async isGood(size) {
      const all = await tryHeap(peer, size, best)
      byHeap.set(size, all)
      const share = all.length === 0 ? 0 : bestOf(all) / best
      add(peer.name, String(size), all, share)
      return share >= 1 - Number(within)
    },
  })
  const peak = spreadOf((byHeap.get(heap) ?? []).map(({ peakMb }) => peakMb))
  summary.push(
    `The smallest heap with which ${peer.name} is within ${Number(within) * 100} % of its speed with ${heapMax} MB is ${heap} MB; it then takes ${peak.median.toFixed(0)} MB at its peak, ${own.name} ${ownPeak.median.toFixed(0)} MB: ${(ownPeak.median / peak.median).toFixed(2)} times as much.`,
  )
  write()
}

async function tryHeap(
  peer: Engine,
  heapMb: number,
  best: number | undefined,
): Promise<readonly Try[]> {
  const all: Try[] = []
  for (let n = 0; n < tries; n++) {
    const one = await attempt(peer, heapMb, best)
    // where it fails once it is not good
    if (one === undefined) return []
    all.push(one)
  }
  return all
}

/** Undefined where the run failed or took too long. */
async function attempt(
  { name, command }: Engine,
  heapMb: number | undefined,
  best: number | undefined,
): Promise<Try | undefined> {
  const { stdout, stderr, peakMb } = await runWatched([...command, ...args], {
    ...(heapMb === undefined
      ? {}
      : { env: { [values.variable]: values.heap.replace('{}', String(heapMb)) } }),
    ...(best === undefined
      ? {}
      : { timeoutMs: START_MS + Math.ceil((2 * Number(events) * 1000) / best) }),
  })
  const line = stdout?.split('\n').findLast((each) => each.startsWith('{'))
  if (line === undefined) {
    console.error(`${name} ${heapMb ?? ''}: failed. ${stderr.slice(-300)}`)
    return undefined
  }
  const { eventsPerSecond, rows: rowCount, checksum, maxRssMb = 0 } = JSON.parse(line) as Outcome
  const output = `${rowCount} rows, checksum ${checksum}`
  outputs.add(output)
  return { eventsPerSecond, peakMb: Math.max(peakMb, maxRssMb), output }
}

function bestOf(all: readonly Try[]): number {
  return Math.max(...all.map(({ eventsPerSecond }) => eventsPerSecond))
}

function fail({ name }: Engine): never {
  throw new Error(`${name} failed`)
}

function add(name: string, heap: string, all: readonly Try[], share: number): void {
  const row = [
    name,
    heap,
    all.length === 0 ? 'failed, or took too long' : (bestOf(all) / 1e6).toFixed(2),
    all.length === 0 ? '–' : share.toFixed(2),
    all.length === 0 ? '–' : spreadText(spreadOf(all.map(({ peakMb }) => peakMb)), 0),
  ]
  rows.push(row)
  console.error(row.join(' | '))
  write()
}

/** After each, so that a long search that is ended keeps what it has. */
function write(): void {
  const md = [
    '# Memory',
    '',
    `- ${values.query}, ${Number(keys).toLocaleString('en')} keys, ${Number(events).toLocaleString('en')} events, p=${parallelism}, state=${state}; ${tries === 1 ? 'one run of each' : `the better speed of ${tries} runs, the median (least–most) of their peaks`}`,
    '- peak: the most that a process and its descendants had resident at one time',
    `- ${machineNote()}`,
    '',
    ...summary.flatMap((line) => [line, '']),
    ...tableOf(['engine', 'heap, MB', 'M events/s', 'of its best', 'peak, MB'], rows),
    '',
  ].join('\n')
  writePage(resolve(values.out), { md })
}
