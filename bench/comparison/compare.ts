/**
 * Runs this engine and others in turn on the same queries and writes a table and a plot:
 *
 *     bench/compare --peer flink=../flink/run --peer jet=../jet/run --queries q5,q11 --events 20000000 --out docs/benchmarks/jvm
 *     bench/compare --commits main,HEAD --queries q5,count
 *
 * A peer is any command that is called like `bench/run` (QUERY --events N --parallelism P …) and prints one JSON object as its last
 * line. `--commits BASE,CHANGE` compares two commits of this repository instead: each is built in a directory of its own.
 *
 * Steps, for each query and each of `--parallelisms`
 *  1. a round not counted, if `--warm-up` is given, for peers that build themselves the first time;
 *  2. `--rounds` rounds; in each every engine runs once, in an order that turns from round to round;
 *  3. outputs are compared: where they differ the comparison ends with exit code 1, and what differs is told.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { fileURLToPath } from 'node:url'
import type { Contest, Outcome } from './contest.ts'
import { disagreements } from './contest.ts'
import { peerOf, runEngine } from './engine-run.ts'
import type { Engine } from './engine-run.ts'
import type { Report } from './report.ts'
import { markdownOf, svgOf } from './report.ts'
import { machineNote, roundsNote, writePage } from './page.ts'

const { values } = parseArgs({
  options: {
    peer: { type: 'string', multiple: true, default: [] },
    commits: { type: 'string' },
    queries: { type: 'string', default: 'q0,q3,q5,q7,q8,q11,count' },
    parallelisms: { type: 'string', default: '2' },
    events: { type: 'string', default: '10000000' },
    rounds: { type: 'string', default: '5' },
    'checkpoint-ms': { type: 'string' },
    state: { type: 'string', default: 'heap' },
    'warm-up': { type: 'boolean', default: false },
    title: { type: 'string', default: 'Comparison' },
    out: { type: 'string', default: 'docs/benchmarks/comparison' },
  },
})
const root = fileURLToPath(new URL('../../../', import.meta.url))
const temporary: string[] = []

try {
  process.exitCode = compare()
} finally {
  for (const directory of temporary) {
    spawnSync('git', ['worktree', 'remove', '--force', directory], { cwd: root })
    rmSync(directory, { recursive: true, force: true })
  }
}

function compare(): number {
  const engines =
    values.commits === undefined
      ? [ownEngine(), ...values.peer.map(peerOf)]
      : values.commits.split(',').map(commitOf).reverse()
  const contests: Contest[] = []
  let isEqual = true
  for (const parallelism of values.parallelisms.split(',')) {
    for (const query of values.queries.split(',')) {
      const contest = contestOf(engines, query, parallelism)
      contests.push(contest)
      for (const line of disagreements(contest)) {
        isEqual = false
        console.error(`Different outputs: ${line}`)
      }
      // written after each, so that a long comparison that is ended keeps what it has
      write(engines, contests)
    }
  }
  return isEqual ? 0 : 1
}

function contestOf(engines: readonly Engine[], query: string, parallelism: string): Contest {
  const options = ['--events', values.events, '--parallelism', parallelism, '--state', values.state]
  const checkpointMs = values['checkpoint-ms']
  if (checkpointMs !== undefined) options.push('--checkpoint-ms', checkpointMs)
  const title = [
    `${query} p=${parallelism}`,
    ...(checkpointMs === undefined ? [] : [`checkpoints=${checkpointMs}ms`]),
    ...(values.state === 'heap' ? [] : [`state=${values.state}`]),
  ].join(' ')
  const outcomes = new Map<string, Outcome[]>(engines.map(({ name }) => [name, []]))
  const rounds = Number(values.rounds) + (values['warm-up'] ? 1 : 0)
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < engines.length; turn++) {
      const engine = engines[(round + turn) % engines.length] as Engine
      const outcome = runEngine(engine, [query, ...options])
      if (values['warm-up'] && round === 0) continue
      outcomes.get(engine.name)?.push(outcome)
      console.error(
        `${title} ${engine.name} ${(outcome.eventsPerSecond / 1e6).toFixed(2)} M/s in ${outcome.seconds.toFixed(1)} s`,
      )
    }
  }
  return { title, outcomes }
}

function ownEngine(): Engine {
  return { name: 'millrace', command: [join(root, 'bench/run')] }
}

/** Builds a commit in a work tree of its own, with the packages that are installed here. */
function commitOf(commit: string): Engine {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-compare-'))
  temporary.push(directory)
  const id = execFileSync('git', ['rev-parse', '--short', commit], { cwd: root, encoding: 'utf8' })
  execFileSync('git', ['worktree', 'add', '--detach', directory, commit], { cwd: root })
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'))
  execFileSync('npx', ['tsc'], { cwd: directory, stdio: 'inherit' })
  return { name: `${commit} ${id.trim()}`, command: [join(directory, 'bench/run')] }
}

function write(engines: readonly Engine[], contests: readonly Contest[]): void {
  const out = resolve(values.out)
  const report: Report = {
    title: values.title,
    notes: [
      `${Number(values.events).toLocaleString('en')} events, ${roundsNote(values.rounds)}; ratios within a round`,
      machineNote(),
      'outputs compared by row count and checksum; processor time of whole processes, their start included',
    ],
    engines: engines.map(({ name }) => name),
    contests,
    plot: `${basename(out)}.svg`,
  }
  writePage(out, { md: markdownOf(report), svg: svgOf(report) })
}
