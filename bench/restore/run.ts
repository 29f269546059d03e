/**
 * How long a job with much state needs to go on: `bench/restore/run [--keys 1000000] [--events-per-key 4] [--state heap|disk] [--self-contained] [--parallelism 2] [--rounds 3]`.
 *
 * Steps
 *  1. Counts events per key until the state is there; takes a checkpoint, counts on for a while, takes another one. On disk the second
 *     is incremental: it shares files with the first, unless `--self-contained` asks for checkpoints that share nothing.
 *  2. A user function throws: from there to the first result of the restored job, in the running process. Once.
 *  3. The job is cancelled, and a new process goes on from the checkpoint: from the start of the process to its first result. `--rounds`
 *     times.
 * Prints one JSON object as its last line. Files are as the system keeps them in memory: no disk is cold.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { start } from 'millrace'
import type { RunningJob } from 'millrace'
import { spreadOf } from '../comparison/contest.ts'
import { wallMs } from '../latency/paced-source.ts'
import job, { ARMED, FAILED, FIRST } from './job.ts'

const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: '1000000' },
    'events-per-key': { type: 'string', default: '4' },
    state: { type: 'string', default: 'heap' },
    'self-contained': { type: 'boolean', default: false },
    parallelism: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    /** Of the new process: where the checkpoints are. */
    restore: { type: 'string' },
  },
})
/** Share of the events that come between the two checkpoints. */
const SHARE_BETWEEN = 0.05
const POLL_MS = 5

const keys = Number(values.keys)
const parallelism = Number(values.parallelism)
const rounds = Number(values.rounds)
const root = values.restore ?? mkdtempSync(join(tmpdir(), 'millrace-restore-'))

if (values.restore === undefined) {
  try {
    console.log(JSON.stringify(await measure()))
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
} else {
  console.log(JSON.stringify(await restored()))
}

async function measure(): Promise<object> {
  const events = keys * Number(values['events-per-key'])
  const times = mkdtempSync(join(root, 'times-'))
  const running = startJob(times)
  await untilRead(running, events)
  await running.checkpoint()
  await untilRead(running, events * (1 + SHARE_BETWEEN))
  const startedMs = performance.now()
  await running.checkpoint()
  const checkpointMs = performance.now() - startedMs

  const cells = running.figures.tasks().reduce((sum, { stateCells }) => sum + stateCells, 0)

  writeFileSync(join(times, ARMED), '')
  const failedMs = await until(running, () => timeIn(times, FAILED))
  const againMs = await until(running, () =>
    firstsIn(times).find((resultMs) => resultMs > failedMs),
  )
  await running.cancel()

  const starts = Array.from({ length: rounds }, newProcess)
  return {
    engine: 'millrace',
    keys,
    state: values.state,
    isSelfContained: values.state === 'heap' || values['self-contained'],
    parallelism,
    checkpointMs: Math.round(checkpointMs),
    checkpointMb: Math.round(bytesIn(join(root, 'checkpoints', 'data')) / 2 ** 20),
    cells,
    msFromFailure: Math.round(againMs - failedMs),
    msFromProcessStart: Math.round(spreadOf(starts.map(({ ms }) => ms)).median),
    msFromProcessStartLeast: Math.round(spreadOf(starts.map(({ ms }) => ms)).least),
    msFromProcessStartMost: Math.round(spreadOf(starts.map(({ ms }) => ms)).most),
    restoredCpuSeconds: spreadOf(starts.map(({ cpuSeconds }) => cpuSeconds)).median,
  }
}

interface Restored {
  readonly firstMs: number
  readonly cpuSeconds: number
}

/** One start of a new process. */
function newProcess(): Restored & { readonly ms: number } {
  const startedMs = wallMs()
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [fileURLToPath(import.meta.url), ...process.argv.slice(2), '--restore', root],
    { encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(`The new process ended with ${status}: ${stderr}`)
  const line = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Restored
  return { ...line, ms: line.firstMs - startedMs }
}

/** Of the new process. */
async function restored(): Promise<Restored> {
  const times = mkdtempSync(join(root, 'times-'))
  const running = startJob(times)
  const firstMs = await until(running, () => firstsIn(times)[0])
  const { user, system } = process.cpuUsage()
  if (running.restored === undefined) throw new Error('The job began with nothing')
  await running.cancel()
  return { firstMs, cpuSeconds: (user + system) / 1e6 }
}

function startJob(directory: string): RunningJob {
  return start(job, {
    params: { keys, directory },
    parallelism,
    threads: parallelism,
    module: new URL(`./job${extname(import.meta.url)}`, import.meta.url),
    state: values.state === 'disk' ? 'leveldb' : 'memory',
    checkpoints: {
      directory: join(root, 'checkpoints'),
      interval: '1h',
      selfContainedEvery: values['self-contained'] ? 1 : 1000,
    },
    restart: { kind: 'fixed', delay: '1ms', attemptsMax: 1 },
  })
}

/** When each subtask of each attempt had its first result, the earliest first. */
function firstsIn(directory: string): number[] {
  return readdirSync(directory)
    .flatMap((name) => (name.startsWith(FIRST) ? (timeIn(directory, name) ?? []) : []))
    .sort((a, b) => a - b)
}

/** Undefined where it is not written yet. */
function timeIn(directory: string, name: string): number | undefined {
  try {
    const text = readFileSync(join(directory, name), 'utf8')
    return text === '' ? undefined : Number(text)
  } catch {
    // not there yet
    return undefined
  }
}

async function untilRead(running: RunningJob, events: number): Promise<void> {
  await running.running
  await until(running, () => (running.figures.totals().recordsRead >= events ? true : undefined))
}

async function until<T>(running: RunningJob, look: () => T | undefined): Promise<T> {
  for (;;) {
    const found = look()
    if (found !== undefined) return found
    await Promise.race([sleep(POLL_MS), running.finished])
  }
}

function bytesIn(directory: string): number {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((file) => file.isFile())
    .reduce((sum, file) => sum + statSync(join(file.parentPath, file.name)).size, 0)
}
