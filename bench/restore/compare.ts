/**
 * How long a job with much state needs to go on, this engine beside others:
 *
 *     bench/restore/compare --peer "flink=../flink/run" --peer "flink compressed=../flink/run --compress" --keys 1000000,10000000
 *
 * A peer is any command that is called like `bench/run count … --fail-at EVENT`, fails there once after a completed checkpoint, and prints a line
 * `{"recovery":{"msToFirstOutput":…}}`. Writes `OUT.md`.
 */
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { spreadOf } from '../comparison/contest.ts'
import { optionsOf, peerOf, runEngine, runProgram } from '../comparison/engine-run.ts'
import type { Engine } from '../comparison/engine-run.ts'
import { machineNote, spreadText, tableOf, writePage } from '../comparison/page.ts'

interface RestoreLine {
  readonly checkpointMs: number
  readonly checkpointMb: number
  readonly cells: number
  readonly msFromFailure: number
  readonly msFromProcessStart: number
  readonly msFromProcessStartLeast: number
  readonly msFromProcessStartMost: number
}

const { values } = parseArgs({
  options: {
    peer: { type: 'string', multiple: true, default: [] },
    keys: { type: 'string', default: '1000000,10000000' },
    'events-per-key': { type: 'string', default: '4' },
    states: { type: 'string', default: 'heap,disk' },
    parallelism: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    out: { type: 'string', default: 'docs/benchmarks/restore' },
  },
})
const own: Engine = {
  name: 'millrace',
  command: [fileURLToPath(new URL('../../../bench/restore/run', import.meta.url))],
}
const peers = values.peer.map(peerOf)
const header = [
  'keys',
  'state',
  'engine',
  'failure to first result, ms',
  'process start to first result, ms',
  'checkpoint, ms',
  'checkpoint, MB',
]
const rows: string[][] = []
for (const keys of values.keys.split(',').map(Number)) {
  for (const state of values.states.split(',')) {
    for (const isSelfContained of state === 'heap' ? [true] : [false, true]) {
      const line = ownLine(keys, state, isSelfContained)
      const start = {
        median: line.msFromProcessStart,
        least: line.msFromProcessStartLeast,
        most: line.msFromProcessStartMost,
      }
      add([
        line.cells.toLocaleString('en'),
        state,
        `millrace${state === 'heap' ? '' : isSelfContained ? ', self-contained' : ', incremental'}`,
        line.msFromFailure.toFixed(0),
        spreadText(start, 0),
        line.checkpointMs.toFixed(0),
        line.checkpointMb.toFixed(0),
      ])
    }
    for (const peer of peers) {
      const ms = Array.from({ length: Number(values.rounds) }, () => peerMs(peer, keys, state))
      add([
        `about ${keys.toLocaleString('en')}`,
        state,
        peer.name,
        spreadText(spreadOf(ms), 0),
        '–',
        '–',
        '–',
      ])
    }
  }
}

function ownLine(keys: number, state: string, isSelfContained: boolean): RestoreLine {
  const { parallelism, rounds } = values
  return runEngine<RestoreLine>(
    own,
    optionsOf({
      keys,
      state,
      'events-per-key': values['events-per-key'],
      parallelism,
      rounds,
      'self-contained': isSelfContained && state !== 'heap',
    }),
  )
}

/** The peer fails once it has had as many events as this engine, at a checkpoint of about the same keys. */
function peerMs(peer: Engine, keys: number, state: string): number {
  const events = keys * Number(values['events-per-key'])
  const { stdout } = runProgram(peer, [
    'count',
    ...optionsOf({
      events: Math.round(events * 1.2),
      'fail-at': events,
      parallelism: values.parallelism,
      state,
      keys,
      'checkpoint-ms': 1000,
    }),
  ])
  const line = stdout.split('\n').find((each) => each.startsWith('{"recovery"'))
  if (line === undefined) throw new Error(`${peer.name} told of no recovery`)
  return (JSON.parse(line) as { recovery: { msToFirstOutput: number } }).recovery.msToFirstOutput
}

/** Written after each, so that a long comparison that is ended keeps what it has. */
function add(row: string[]): void {
  rows.push(row)
  console.error(row.join(' | '))
  const md = [
    '# Restoring state',
    '',
    `- a running count per key over full auction events, ${values['events-per-key']} events a key, p=${values.parallelism}`,
    '- failure to first result: a user function throws, the job restarts within its process; of this engine once, of others the median (least–most) of ' +
      `${values.rounds}`,
    `- process start to first result: a new process that goes on from the checkpoint, ${values.rounds} times; peers do not tell it`,
    '- checkpoint: of this engine the second one, taken while it runs, of state of which 5 % of the events are newer than the first; MB are of all files of both',
    `- files are in the system's cache, not read from a cold disk`,
    `- ${machineNote()}`,
    '',
    ...tableOf(header, rows),
    '',
  ].join('\n')
  writePage(resolve(values.out), { md })
}
