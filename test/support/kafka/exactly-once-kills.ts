/**
 * The kill test of the exactly-once sink: a job from Kafka to Kafka is killed at named points, started again at once with another
 * parallelism, until it has read all; a reader of committed records must see exactly what a run without any kill gives.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import { Directory } from '../running-jobs.ts'
import { committedRecords } from './committed.ts'
import { WINDOW_MS } from './exactly-once-child.ts'
import type { ChildOptions, Entry, KillPoint } from './exactly-once-child.ts'
import type { RunningKafka } from './start-kafka.ts'
import { append, freshTopic } from './topics.ts'
import type { ExactlyOnce } from '../../../operators/kafka/index.ts'

export interface KillPlan {
  readonly guarantee: ExactlyOnce
  readonly recordCount: number
  readonly recordsPerSecond: number
  /** In this order, one a run. A broker dies in a run of its own, and the job lives. */
  readonly kills: readonly (KillPoint | 'the broker' | 'at once')[]
}

/** Points that are come to several times by each checkpoint: by each subtask of each sink. */
const recurring: ReadonlySet<string> = new Set([
  'before flush',
  'before the marker',
  'after the marker',
  'snapshot',
  'before a commit',
  'after a commit',
])

/** How often each point was hit. */
export type Tally = Map<string, number>

/** No run of a child takes longer on any machine. */
const runMsMax = 120_000
const partitionCount = 4
const keyCount = 40
const parallelisms = [2, 1, 3] as const

export async function runKillPlan(kafka: RunningKafka, plan: KillPlan): Promise<Tally> {
  const { bootstrap } = kafka
  const [input, counts, windows] = [
    await freshTopic(bootstrap, partitionCount),
    await freshTopic(bootstrap, partitionCount),
    await freshTopic(bootstrap, 2),
  ]
  const entries = await writeInput(bootstrap, input, plan.recordCount)
  await using directory = await Directory.make()
  const tally: Tally = new Map()
  let runCount = 0
  const run = (kill: ChildOptions['kill'], meanwhile?: (child: Child) => Promise<void>) => {
    const options: ChildOptions = {
      bootstrap,
      input,
      counts,
      windows,
      directory: directory.at('checkpoints'),
      savepoints: directory.at('savepoints'),
      parallelism: parallelisms[runCount++ % parallelisms.length] as number,
      guarantee: plan.guarantee,
      recordsPerSecond: kill === undefined ? 1e9 : plan.recordsPerSecond,
      ...(kill === undefined ? {} : { kill }),
    }
    return runChild(options, meanwhile)
  }
  for (const [index, kill] of plan.kills.entries()) {
    const hit = (point: string): void => void tally.set(point, (tally.get(point) ?? 0) + 1)
    if (kill === 'at once') {
      // twice within a moment: a process that has hardly begun, and the one after it
      for (const delayMs of [80, 40]) {
        const child = await run({ point: 'restore: examining', times: Infinity }, async (each) => {
          await each.started
          await sleep(delayMs)
          each.kill()
        })
        if (child.wasKilled) hit(kill)
      }
      continue
    }
    if (kill === 'the broker') {
      const child = await run({ point: 'end of input', times: 2 }, async (each) => {
        await each.published
        await kafka.kill()
        await kafka.restart()
        await each.publishedAgain()
        each.kill()
      })
      if (child.wasKilled) hit(kill)
      continue
    }
    const times = recurring.has(kill) ? 1 + (index % 3) : 1
    const child = await run({ point: kill, times })
    if (child.killedAt === kill) hit(kill)
    assert.equal(child.failure, undefined, child.failure)
    if (child.hasEnded) break
  }
  for (let runs = 0; ; runs++) {
    const child = await run(undefined)
    assert.equal(child.failure, undefined, child.failure)
    if (child.hasEnded) break
    assert.ok(runs < 5, `It did not end: ${child.lines.slice(-5).join('; ')}`)
  }
  for (const kill of plan.kills) assert.ok(tally.has(kill), `It was never killed at '${kill}'`)
  const countRows = (await committedRecords(bootstrap, counts)).map(({ value }) => value ?? '')
  const windowRows = (await committedRecords(bootstrap, windows)).map(({ value }) => value ?? '')
  compare('counts', countRows, referenceCounts(entries))
  compare('windows', windowRows, referenceWindows(entries))
  return tally
}

/** Lines of a table. */
export function tallyText(title: string, tally: Tally): string {
  const rows = [...tally].map(([point, times]) => `  ${point.padEnd(28)}${times}`).toSorted()
  return [title, ...rows].join('\n')
}

/** A key's records are in one partition, in the order of their ids and times. */
async function writeInput(bootstrap: string, topic: string, count: number): Promise<Entry[]> {
  const entries = Array.from({ length: count }, (_, id): Entry => {
    const key = `k${(id * 7) % keyCount}`
    return { id, key, atMs: 1_700_000_000_000 + id * 3 }
  })
  for (let partition = 0; partition < partitionCount; partition++) {
    const own = entries.filter(({ key }) => Number(key.slice(1)) % partitionCount === partition)
    for (let at = 0; at < own.length; at += 2000) {
      const messages = own
        .slice(at, at + 2000)
        .map((entry) => ({ key: entry.key, value: JSON.stringify(entry) }))
      await append(bootstrap, topic, messages, partition)
    }
  }
  return entries
}

function referenceCounts(entries: readonly Entry[]): string[] {
  const counts = new Map<string, number>()
  return entries.map(({ id, key }) => {
    const count = (counts.get(key) ?? 0) + 1
    counts.set(key, count)
    return `${key} ${count} ${id}`
  })
}

function referenceWindows(entries: readonly Entry[]): string[] {
  const windows = new Map<string, number>()
  for (const { key, atMs } of entries) {
    const name = `${key} ${atMs - (atMs % WINDOW_MS)}`
    windows.set(name, (windows.get(name) ?? 0) + 1)
  }
  return Array.from(windows, ([name, count]) => `${name} ${count}`)
}

function compare(what: string, found: readonly string[], expected: readonly string[]): void {
  const times = new Map<string, number>()
  for (const row of found) times.set(row, (times.get(row) ?? 0) + 1)
  const twice = [...times].filter(([, count]) => count > 1).map(([row]) => row)
  const missing = expected.filter((row) => !times.has(row))
  const known = new Set(expected)
  const wrong = [...times.keys()].filter((row) => !known.has(row))
  const list = (rows: readonly string[]): string =>
    `${rows.length} (${rows.slice(0, 5).join('; ')})`
  assert.equal(
    twice.length + missing.length + wrong.length,
    0,
    `${what}: twice ${list(twice)}, missing ${list(missing)}, wrong ${list(wrong)}`,
  )
}

interface ChildResult {
  readonly lines: readonly string[]
  readonly killedAt: string | undefined
  readonly wasKilled: boolean
  readonly hasEnded: boolean
  readonly failure: string | undefined
}

class Child {
  readonly lines: string[] = []
  readonly started: Promise<unknown>
  readonly #process: ChildProcess
  readonly #listeners = new Set<() => void>()

  constructor(options: ChildOptions) {
    const entry = new URL(`./exactly-once-child${extname(import.meta.url)}`, import.meta.url)
    this.#process = spawn(process.execPath, [fileURLToPath(entry), JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.started = once(this.#process, 'spawn')
    const output = this.#process.stdout
    assert.ok(output !== null, 'its output is a pipe')
    createInterface({ input: output }).on('line', (line) => {
      this.lines.push(line)
      for (const listener of this.#listeners) listener()
    })
  }

  get published(): Promise<void> {
    return this.#untilPublished(1)
  }

  publishedAgain(): Promise<void> {
    return this.#untilPublished(this.#publishedCount + 2)
  }

  kill(): void {
    this.#process.kill('SIGKILL')
  }

  async ended(): Promise<ChildResult> {
    const timer = setTimeout(() => this.kill(), runMsMax)
    const [, signal] = (await once(this.#process, 'close')) as [number | null, string | null]
    clearTimeout(timer)
    const { lines } = this
    const isExplained = signal === 'SIGKILL' || lines.some((line) => /^(ended|failed) /.test(line))
    const find = (word: string): string | undefined =>
      lines.find((line) => line.startsWith(`${word} `))?.slice(word.length + 1)
    return {
      lines,
      killedAt: find('killed'),
      wasKilled: signal === 'SIGKILL',
      hasEnded: find('ended')?.startsWith('finished') === true,
      failure: isExplained ? find('failed') : `It went away: ${lines.slice(-5).join('; ')}`,
    }
  }

  get #publishedCount(): number {
    return this.lines.filter((line) => line.startsWith('published')).length
  }

  #untilPublished(count: number): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.#publishedCount < count) return
        this.#listeners.delete(look)
        resolve()
      }
      this.#listeners.add(look)
      // a process that is gone publishes nothing more; what becomes of it is seen by `ended`
      this.#process.once('exit', () => resolve())
      look()
    })
  }
}

async function runChild(
  options: ChildOptions,
  meanwhile: ((child: Child) => Promise<void>) | undefined,
): Promise<ChildResult> {
  const child = new Child(options)
  const ended = child.ended()
  await meanwhile?.(child)
  return ended
}
