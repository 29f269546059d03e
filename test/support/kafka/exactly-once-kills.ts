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
import type { RunningBroker, RunningKafka } from './start-kafka.ts'
import { append, freshTopic, withAdmin } from './topics.ts'
import type { Isolation, TransactionalClient } from '../../../operators/kafka/kafka-client.ts'
import { openKafkajsClient } from '../../../operators/kafka/kafkajs-client.ts'
import type { ExactlyOnce } from '../../../operators/kafka/index.ts'

export interface KillPlan {
  readonly guarantee: ExactlyOnce
  readonly recordCount: number
  readonly recordsPerSecond: number
  /** In this order, one a run. A broker dies in a run of its own, and the job lives: of several, a coordinator of transactions. */
  readonly kills: readonly Kill[]
  /** How often each of them must have been hit: what was come to too seldom is tried again. Default 1. The input ends once. */
  readonly timesMin?: number
}

type Kill = KillPoint | 'the broker' | 'at once'

/** What became of a plan. */
export interface KillReport {
  readonly tally: Tally
  /** Of each restart that came to run. */
  readonly waits: readonly ReaderWait[]
}

/** From the end of a process to the restart of the job, and until a reader of committed records came past all that was written then. */
interface ReaderWait {
  readonly restartMs: number
  readonly stallMs: number
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

/** Runs beside the plan's, for what was hit too seldom. */
const extraRunsMax = 40
/** Transactions last 15 minutes: what is open by then was left open by the restart. */
const stallMsMax = 60_000
/** No run of a child takes longer on any machine. */
const runMsMax = 120_000
const partitionCount = 4
const keyCount = 40
const parallelisms = [2, 1, 3] as const

export async function runKillPlan(kafka: RunningKafka, plan: KillPlan): Promise<KillReport> {
  const { bootstrap } = kafka
  const brokers = kafka.brokers.map(({ address }) => address)
  const [input, counts, windows] = [
    await freshTopic(bootstrap, partitionCount),
    await freshTopic(bootstrap, partitionCount),
    await freshTopic(bootstrap, 2),
  ]
  const entries = await writeInput(bootstrap, input, plan.recordCount)
  await using directory = await Directory.make()
  await using readers = new CommittedReaders(brokers, [counts, windows])
  const tally: Tally = new Map()
  const timesMin = plan.timesMin ?? 1
  let runCount = 0
  const run = async (
    kill: ChildOptions['kill'],
    meanwhile?: (child: Child) => Promise<void>,
  ): Promise<ChildResult> => {
    const options: ChildOptions = {
      brokers,
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
    await readers.writersDied()
    const child = new Child(options)
    void child.running.then(() => readers.restarted())
    const ended = child.ended()
    await meanwhile?.(child)
    const result = await ended
    await readers.settled()
    return result
  }
  const runKill = async (kill: Kill, index: number): Promise<boolean> => {
    const hit = (): void => void tally.set(kill, (tally.get(kill) ?? 0) + 1)
    if (kill === 'at once') {
      // twice within a moment: a process that has hardly begun, and the one after it
      for (const delayMs of [80, 40]) {
        const child = await run({ point: 'restore: examining', times: Infinity }, async (each) => {
          await each.started
          await sleep(delayMs)
          each.kill()
        })
        if (child.wasKilled) hit()
      }
      return false
    }
    if (kill === 'the broker') {
      const child = await run({ point: 'end of input', times: 2 }, async (each) => {
        await each.published
        const broker = await coordinatorOf(kafka, tally.get(kill) ?? 0)
        await broker.kill()
        if (brokers.length > 1) await each.publishedAgain() // without it
        await broker.restart()
        await each.publishedAgain()
        each.kill()
      })
      if (child.wasKilled) hit()
      return false
    }
    const times = recurring.has(kill) ? 1 + (index % 3) : 1
    const child = await run({ point: kill, times })
    if (child.killedAt === kill) hit()
    assert.equal(child.failure, undefined, child.failure)
    return child.hasEnded
  }
  let hasEnded = false
  const lacking = (): Kill | undefined =>
    plan.kills.find((kill) => kill !== 'end of input' && (tally.get(kill) ?? 0) < timesMin)
  for (const [index, kill] of plan.kills.entries()) {
    if (kill === 'end of input') {
      for (let extra = 0; extra < extraRunsMax && !hasEnded; extra++) {
        const missing = lacking()
        if (missing === undefined) break
        // a restore has something to commit only after a kill between a checkpoint and its commits
        if (missing.startsWith('restore')) await runKill('after publish', extra)
        hasEnded = await runKill(missing, extra)
      }
    }
    hasEnded ||= await runKill(kill, index)
    if (hasEnded) break
  }
  for (let runs = 0; !hasEnded; runs++) {
    const child = await run(undefined)
    assert.equal(child.failure, undefined, child.failure)
    hasEnded = child.hasEnded
    assert.ok(hasEnded || runs < 5, `It did not end: ${child.lines.slice(-5).join('; ')}`)
  }
  for (const kill of plan.kills) {
    const times = tally.get(kill) ?? 0
    const needed = kill === 'end of input' ? 1 : timesMin
    assert.ok(times >= needed, `It was killed ${times} times at '${kill}', not ${needed}`)
  }
  const countRows = (await committedRecords(bootstrap, counts)).map(({ value }) => value ?? '')
  const windowRows = (await committedRecords(bootstrap, windows)).map(({ value }) => value ?? '')
  compare('counts', countRows, referenceCounts(entries))
  compare('windows', windowRows, referenceWindows(entries))
  return { tally, waits: readers.waits }
}

/** The broker that coordinates the transactions of one part of the ids, by its number. */
async function coordinatorOf(kafka: RunningKafka, index: number): Promise<RunningBroker> {
  const metadata = await withAdmin(kafka.bootstrap, (admin) =>
    admin.fetchTopicMetadata({ topics: ['__transaction_state'] }),
  )
  const parts = metadata.topics[0]?.partitions ?? []
  const leader = parts[index % parts.length]?.leader
  const broker = kafka.brokers.find(({ id }) => id === leader)
  assert.ok(broker !== undefined, 'every part of the ids has a coordinator')
  return broker
}

/** Several plans as one. */
export function merged(reports: readonly KillReport[]): KillReport {
  const tally: Tally = new Map()
  for (const [point, times] of reports.flatMap((report) => [...report.tally])) {
    tally.set(point, (tally.get(point) ?? 0) + times)
  }
  return { tally, waits: reports.flatMap(({ waits }) => waits) }
}

/** Lines of a table. */
export function reportText(title: string, { tally, waits }: KillReport): string {
  const rows = [...tally].map(([point, times]) => `  ${point.padEnd(28)}${times}`).toSorted()
  const longest = waits.toSorted((a, b) => b.stallMs - a.stallMs)[0]
  const latest = waits.toSorted((a, b) => b.stallMs - b.restartMs - (a.stallMs - a.restartMs))[0]
  const text = (wait: ReaderWait | undefined): string =>
    wait === undefined
      ? 'none'
      : `${wait.stallMs.toFixed(0)} ms, the job ran again after ${wait.restartMs.toFixed(0)} ms`
  return [
    title,
    ...rows,
    `  restarts that came to run: ${waits.length}`,
    `  longest wait of a reader: ${text(longest)}`,
    `  latest behind a restart: ${text(latest)}`,
  ].join('\n')
}

/**
 * What readers of committed records wait for: whatever a process that died has left open holds them up. Holds that a restart ends all of
 * it, and measures when.
 */
class CommittedReaders {
  readonly waits: ReaderWait[] = []
  readonly #client: TransactionalClient
  readonly #topics: readonly string[]
  /** Where the topics ended when the first process died that no run came after. */
  #held: { readonly ends: ReadonlyMap<string, number>; readonly sinceMs: number } | undefined
  #released: Promise<void> | undefined

  constructor(brokers: readonly string[], topics: readonly string[]) {
    this.#client = openKafkajsClient({ brokers })
    this.#topics = topics
  }

  /** Nobody writes. */
  async writersDied(): Promise<void> {
    const sinceMs = this.#held?.sinceMs ?? performance.now()
    this.#held = { ends: await this.#offsets('read_uncommitted'), sinceMs }
  }

  /** The job runs. */
  restarted(): void {
    const held = this.#held
    if (held === undefined) return
    this.#held = undefined
    const restartMs = performance.now() - held.sinceMs
    this.#released = this.#untilPast(held.ends).then(() => {
      this.waits.push({ restartMs, stallMs: performance.now() - held.sinceMs })
    })
    this.#released.catch(() => undefined) // told by `settled`
  }

  /** Rejects where a restart has left something open. */
  async settled(): Promise<void> {
    await this.#released
    this.#released = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close()
  }

  async #untilPast(ends: ReadonlyMap<string, number>): Promise<void> {
    const deadline = performance.now() + stallMsMax
    for (;;) {
      const stable = await this.#offsets('read_committed')
      const behind = [...ends].filter(([id, end]) => (stable.get(id) ?? 0) < end)
      if (behind.length === 0) return
      assert.ok(
        performance.now() < deadline,
        `Readers are held up though the job runs again: ${behind.map(([id, end]) => `${id} at ${stable.get(id)}, before ${end}`).join('; ')}`,
      )
      await sleep(20)
    }
  }

  /** Waits for a broker that is down. */
  async #offsets(isolation: Isolation): Promise<ReadonlyMap<string, number>> {
    const deadline = performance.now() + stallMsMax
    for (;;) {
      try {
        const found = await this.#client.metadata(this.#topics)
        const partitions = found.flatMap(({ topic, leaders }) =>
          leaders.map((_, partition) => ({ topic, partition })),
        )
        return await this.#client.offsets(partitions, 'latest', isolation)
      } catch (error) {
        if (performance.now() > deadline) throw error
        await sleep(100)
      }
    }
  }
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

  /** Settles when its subtasks run; not where it dies before. */
  get running(): Promise<void> {
    return this.#until(() => this.lines.includes('running'))
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

  /** A process that is gone publishes nothing more; what becomes of it is seen by `ended`. */
  #untilPublished(count: number): Promise<void> {
    const gone = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()))
    return Promise.race([gone, this.#until(() => this.#publishedCount >= count)])
  }

  #until(isSo: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!isSo()) return
        this.#listeners.delete(look)
        resolve()
      }
      this.#listeners.add(look)
      look()
    })
  }
}
