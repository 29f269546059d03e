/**
 * Runs a source as the engine would, with one subtask: its splits are found, opened and read, and what it reports is kept.
 * A read that answers nothing waits for the source's word that there may be more, so a source that forgets to say it stops the test.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { RecordBatch } from '../../../src/core/record-batch.ts'
import { kafkaSource } from '../../../operators/kafka/index.ts'
import type { KafkaSourceOptions } from '../../../operators/kafka/index.ts'
import type { UnreadRecord } from '../../../src/core/dead-letter.ts'
import { silentMetrics } from '../../../src/core/metrics.ts'
import type { Logger } from '../../../src/core/log.ts'
import type { Clock } from '../../../src/core/time.ts'
import type { Format } from '../../../src/contract/format.ts'
import type {
  Source,
  SourceReader,
  Split,
  SplitEnumerator,
  SplitReader,
} from '../../../src/contract/source.ts'

/** A record as it came out of the source. */
export interface ReadRecord<T> {
  readonly splitId: string
  readonly value: T
  readonly timestampMs: number
}

/** `splits`: those of a checkpoint, with their positions. Default: what the source finds. */
export interface SourceRunOptions {
  readonly splits?: readonly Split[]
  readonly recordsMax?: number
}

export const machineClock: Clock = { now: () => Date.now(), elapsed: () => performance.now() }

/** UTF-8 text; fails for text that begins with `bad`. */
export const text: Format<string> = {
  name: 'text',
  encode: (value) => new TextEncoder().encode(value),
  decode(bytes) {
    const value = new TextDecoder().decode(bytes)
    if (value.startsWith('bad')) throw new Error(`'${value}' is bad`)
    return value
  },
}

/** Keeps what was logged. */
export class LogLines implements Logger {
  readonly lines: string[] = []

  info(message: string): void {
    this.lines.push(message)
  }

  warn(message: string): void {
    this.lines.push(message)
  }

  error(message: string): void {
    this.lines.push(message)
  }
}

const openRuns = new Set<SourceRun<unknown>>()

/** For `afterEach`: closes the runs that the test left open, or could not close because it failed. */
export async function closeSourceRuns(): Promise<void> {
  await Promise.all(Array.from(openRuns, (run) => run.close()))
}

export class SourceRun<T> {
  readonly enumerator: SplitEnumerator
  readonly reader: SourceReader
  readonly logger: LogLines
  readonly letters: readonly UnreadRecord[]
  readonly #splits: Map<string, Split>
  readonly #readers = new Map<string, SplitReader>()
  readonly #ended = new Set<string>()
  readonly #batch = new RecordBatch()
  readonly #recordsMax: number
  readonly #signals: Signals

  /** Finds the splits, unless they are given, and opens them. */
  static async start<T>(source: Source<T>, options: SourceRunOptions = {}): Promise<SourceRun<T>> {
    const logger = new LogLines()
    const signals = new Signals()
    const letters: UnreadRecord[] = []
    const shared = {
      operatorUid: 'source',
      parallelism: 1,
      clock: machineClock,
      logger,
      signal: signals.abort.signal,
    }
    const enumerator = source.enumerator(shared)
    const reader = await source.reader({
      ...shared,
      subtaskIndex: 0,
      mailbox: { submit: (action) => action() },
      available: () => signals.available(),
      availableAt: () => undefined,
      fail: (error) => signals.fail(error),
      metrics: silentMetrics,
      deadLetter: (letter) => letters.push(letter),
    })
    const run = new SourceRun<T>(
      enumerator,
      reader,
      logger,
      signals,
      options.recordsMax ?? 100,
      letters,
    )
    openRuns.add(run)
    const splits = options.splits ?? (await enumerator.discover(new Set()))
    for (const split of splits) run.open(split)
    return run
  }

  private constructor(
    enumerator: SplitEnumerator,
    reader: SourceReader,
    logger: LogLines,
    signals: Signals,
    recordsMax: number,
    letters: readonly UnreadRecord[],
  ) {
    this.enumerator = enumerator
    this.reader = reader
    this.logger = logger
    this.letters = letters
    this.#signals = signals
    this.#recordsMax = recordsMax
    this.#splits = new Map()
  }

  open(split: Split): void {
    this.#splits.set(split.id, split)
    this.#readers.set(split.id, this.reader.open(split))
  }

  /** At least `count` records, all splits in turn. Rejects with what the source fails with. */
  async take(count: number): Promise<ReadRecord<T>[]> {
    const records: ReadRecord<T>[] = []
    while (records.length < count) {
      const seen = this.#signals.count
      const before = records.length
      for (const id of this.#readers.keys()) this.#read(id, records)
      if (records.length === before) await this.#signals.after(seen)
    }
    return records
  }

  /** Every record of a bounded source. */
  async all(): Promise<ReadRecord<T>[]> {
    const records: ReadRecord<T>[] = []
    while (this.#ended.size < this.#readers.size) {
      const seen = this.#signals.count
      const before = records.length + this.#ended.size
      for (const id of this.#readers.keys()) this.#read(id, records)
      if (records.length + this.#ended.size === before) await this.#signals.after(seen)
    }
    return records
  }

  /** Rejects with what the source fails with by itself. */
  async failure(): Promise<never> {
    for (;;) await this.take(1)
  }

  /** The splits as a checkpoint would have them now. */
  checkpoint(): Split[] {
    return Array.from(this.#splits.values(), (split) => ({
      ...split,
      position: this.#readers.get(split.id)?.position(),
    }))
  }

  async close(): Promise<void> {
    openRuns.delete(this)
    this.#signals.abort.abort()
    await this.reader.close?.()
    await this.enumerator.close?.()
  }

  #read(id: string, records: ReadRecord<T>[]): void {
    if (this.#ended.has(id)) return
    const batch = this.#batch
    batch.reset()
    const answer = this.#readers.get(id)?.read(batch, this.#recordsMax)
    if (answer === 'ended') this.#ended.add(id)
    for (let i = 0; i < batch.count; i++) {
      const timestampMs = batch.timestamps[i] ?? NaN
      records.push({ splitId: id, value: batch.values[i] as T, timestampMs })
    }
  }
}

/** What the source says from its callbacks. */
class Signals {
  readonly abort = new AbortController()
  count = 0
  #resume: (() => void) | undefined
  #failure: { readonly error: unknown } | undefined

  available(): void {
    this.count++
    this.#resume?.()
  }

  fail(error: unknown): void {
    this.#failure ??= { error }
    this.available()
  }

  /** Settles when more was said than `seen`. */
  async after(seen: number): Promise<void> {
    if (this.count === seen) await new Promise<void>((resolve) => (this.#resume = resolve))
    this.#resume = undefined
    if (this.#failure !== undefined) throw this.#failure.error
    await sleep(0)
  }
}

/** The values that `kafkaSource` gives: all of a bounded source, else at least `count`. */
export async function readValues(
  bootstrap: string,
  options: Omit<KafkaSourceOptions<string>, 'brokers' | 'value' | 'key'>,
  run: SourceRunOptions & { readonly count?: number } = {},
): Promise<string[]> {
  const source = kafkaSource({ brokers: [bootstrap], value: text, ...options })
  const reading = await SourceRun.start(source, run)
  const records = run.count === undefined ? await reading.all() : await reading.take(run.count)
  return records.map(({ value }) => value)
}

/** The values of one split. */
export function valuesOf(records: readonly ReadRecord<string>[], splitId: string): string[] {
  return records.filter((record) => record.splitId === splitId).map(({ value }) => value)
}
