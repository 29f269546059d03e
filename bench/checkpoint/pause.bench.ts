/**
 * How long records stand still while a checkpoint of keyed state in memory is taken, beside the stop of a full copy of the same state
 * in the same process. Prints one JSON object as its last line.
 *
 *   node dist/bench/checkpoint/pause.bench.js keys=1000000 rounds=20 [calmEvery=1] [copies=5]
 *
 * `gapMs`: the longest time between two records of an operator with `keys` keys, all of which change all the time, from the
 * trigger of a checkpoint to its completion. `calmGapMs`: the same between checkpoints, for as long: what the source and the garbage
 * collector cause by themselves; measured in every `calmEvery`th round. `copyMs`: a Map with a copy of each value. Medians over the rounds.
 *
 * Times are those that the thread itself worked, so that what else runs on the machine does not count; `wallGapMs` and `wallCopyMs` are
 * those of the clock. Where the system does not tell a thread's time (no /proc), all are of the clock.
 */
import { mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { generate, job, start, type, valueState } from 'millrace'

const options = new Map(
  process.argv.slice(2).map((argument) => argument.split('=') as [string, string]),
)
const keyCount = Number(options.get('keys') ?? 1_000_000)
const roundCount = Number(options.get('rounds') ?? 20)
const calmEvery = Number(options.get('calmEvery') ?? 1)
const copyCount = Number(options.get('copies') ?? 5)
const directory = mkdtempSync(join(tmpdir(), 'millrace-pause-'))

/** Reading the thread's time takes some microseconds: it is looked at between so many records. */
const RECORDS_PER_LOOK = 64

const threadMs = threadClock()
const last = { wallMs: 0, threadMs: 0 }
const longest = { wallMs: 0, threadMs: 0 }
let recordCount = 0

const paused = job('pause', (env) => {
  env
    .from('numbers', generate({ record: (index) => index }))
    .keyBy((index) => `key-${index % keyCount}`)
    .process(
      'sums',
      { emits: type<string>(), state: { sums: valueState({ default: { count: 0, sum: 0 } }) } },
      ({ state }) => ({
        onRecord(index) {
          const { count, sum } = state.sums.get()
          state.sums.set({ count: count + 1, sum: sum + index })
          recordCount += 1
          if (recordCount % RECORDS_PER_LOOK === 0) look()
        },
      }),
    )
    .to('nowhere', { type: 'none', open: () => ({ write() {} }) })
})

const running = start(paused, {
  parallelism: 1,
  checkpoints: { directory, interval: '1h' },
})
try {
  await Promise.race([untilAllKeysAreThere(), running.finished])
  const rounds = { gap: times(), calm: times(), checkpoint: times() }
  for (let round = 0; round < roundCount; round++) {
    const startedMs = performance.now()
    reset()
    await running.checkpoint()
    add(rounds.gap, longest)
    add(rounds.checkpoint, { wallMs: performance.now() - startedMs, threadMs: 0 })
    if (round % calmEvery !== 0) continue
    reset()
    await sleep(performance.now() - startedMs)
    add(rounds.calm, longest)
  }
  await running.cancel()
  const copies = await measureCopies()
  console.log(
    JSON.stringify({
      keys: keyCount,
      rounds: roundCount,
      gapMs: median(rounds.gap.threadMs),
      gapMsMax: rounded(Math.max(...rounds.gap.threadMs)),
      calmGapMs: median(rounds.calm.threadMs),
      copyMs: median(copies.threadMs),
      ratio: rounded(median(copies.threadMs) / median(rounds.gap.threadMs)),
      wallGapMs: median(rounds.gap.wallMs),
      wallCopyMs: median(copies.wallMs),
      checkpointMs: median(rounds.checkpoint.wallMs),
      recordsRead: recordCount,
      node: process.version,
    }),
  )
} finally {
  await running.cancel()
  rmSync(directory, { recursive: true, force: true })
}

function look(): void {
  const wallMs = performance.now()
  const nowMs = threadMs()
  longest.wallMs = Math.max(longest.wallMs, wallMs - last.wallMs)
  longest.threadMs = Math.max(longest.threadMs, nowMs - last.threadMs)
  last.wallMs = wallMs
  last.threadMs = nowMs
}

function reset(): void {
  last.wallMs = performance.now()
  last.threadMs = threadMs()
  longest.wallMs = 0
  longest.threadMs = 0
}

async function untilAllKeysAreThere(): Promise<void> {
  while (recordCount < keyCount) await sleep(50)
}

/** The state again, as plain JavaScript would have it, and how long copies of it take. */
async function measureCopies(): Promise<Times> {
  const state = new Map<string, { count: number; sum: number }>()
  for (let index = 0; index < keyCount; index++) {
    state.set(`key-${index}`, { count: index, sum: index * 2 })
  }
  const all = times()
  for (let turn = 0; turn < copyCount; turn++) {
    await sleep(10)
    reset()
    const copy = new Map<string, { count: number; sum: number }>()
    for (const [key, value] of state) copy.set(key, { ...value })
    look()
    add(all, longest)
    if (copy.size !== keyCount) throw new Error('The copy is not whole')
  }
  return all
}

interface Times {
  readonly wallMs: number[]
  readonly threadMs: number[]
}

function times(): Times {
  return { wallMs: [], threadMs: [] }
}

function add(to: Times, one: { readonly wallMs: number; readonly threadMs: number }): void {
  to.wallMs.push(one.wallMs)
  to.threadMs.push(one.threadMs)
}

function median(values: readonly number[]): number {
  return rounded([...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN)
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100
}

/** How long this thread, the process's first, has worked. */
function threadClock(): () => number {
  try {
    const file = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r')
    const bytes = Buffer.alloc(64)
    return () => {
      const count = readSync(file, bytes, 0, bytes.length, 0)
      return Number.parseInt(bytes.toString('latin1', 0, count), 10) / 1e6
    }
  } catch {
    // not on this system
    return () => performance.now()
  }
}
