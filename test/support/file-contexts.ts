/** What the engine hands to a file source and a file sink, for tests that play the engine. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Committable, SinkContext } from '../../src/contract/sink.ts'
import type { EnumeratorContext, ReaderContext, SplitReader } from '../../src/contract/source.ts'
import { RecordBatch } from '../../src/core/record-batch.ts'
import type { UnreadRecord } from '../../src/core/dead-letter.ts'
import type { Metrics } from '../../src/core/metrics.ts'
import { silentMetrics } from '../../src/core/metrics.ts'
import type { Clock } from '../../src/core/time.ts'
import type { Logger } from '../../src/core/log.ts'
import { silentLogger } from '../../src/core/log.ts'

/** A directory of the test's own, removed with it. */
export async function temporaryDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-files-'))
  // what a test has dropped may still be writing
  t.after(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))
  return directory
}

const stoppedClock: Clock = { now: () => 0, elapsed: () => 0 }

/** Remembers warnings. */
export class ListLogger implements Logger {
  readonly warnings: string[] = []

  info(): void {}

  warn(message: string): void {
    this.warnings.push(message)
  }

  error(message: string): void {
    this.warnings.push(message)
  }
}

export function enumeratorContext(logger: Logger = silentLogger): EnumeratorContext {
  return {
    operatorUid: 'orders',
    parallelism: 1,
    clock: stoppedClock,
    logger,
    signal: new AbortController().signal,
  }
}

/** A reader's context that can be waited on. */
export class FakeReaderContext implements ReaderContext {
  readonly operatorUid = 'orders'
  readonly subtaskIndex = 0
  readonly parallelism = 1
  readonly clock: Clock = stoppedClock
  readonly logger: Logger = silentLogger
  readonly signal: AbortSignal = new AbortController().signal
  readonly mailbox = { submit: (action: () => void): void => action() }
  readonly metrics: Metrics = silentMetrics
  readonly letters: UnreadRecord[] = []
  availableCount = 0
  #wake: (() => void) | undefined

  available(): void {
    this.availableCount += 1
    this.#wake?.()
    this.#wake = undefined
  }

  deadLetter(letter: UnreadRecord): void {
    this.letters.push(letter)
  }

  availableAt(): void {
    assert.fail('a file is available when it was read, not at a time')
  }

  fail(error: unknown): void {
    throw error
  }

  /** Settles at the next call of `available`. */
  nextAvailable(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}

/** Reads up to `recordsMax` values of a split, waiting where it has none yet. Fewer only at its end. */
export async function take(
  reader: SplitReader,
  context: FakeReaderContext,
  recordsMax: number = Infinity,
): Promise<unknown[]> {
  const values: unknown[] = []
  const batch = new RecordBatch(7)
  while (values.length < recordsMax) {
    batch.reset()
    const available = context.nextAvailable()
    const answer = reader.read(batch, Math.min(7, recordsMax - values.length))
    values.push(...batch.values.slice(0, batch.count))
    assert.equal(answer === 'records', batch.count > 0)
    if (answer === 'ended') break
    if (answer === 'empty') await available
  }
  return values
}

/** A sink's context that remembers what it was told. */
export class FakeSinkContext implements SinkContext {
  readonly jobName: string
  readonly operatorUid: string
  readonly subtaskIndex: number
  readonly parallelism: number
  readonly attempt: string
  readonly lineage = 'line'
  readonly restored: readonly Committable[]
  readonly isCheckpointed = true
  readonly clock: Clock = stoppedClock
  readonly logger: ListLogger = new ListLogger()
  readonly signal: AbortSignal = new AbortController().signal
  readonly failures: unknown[] = []
  wakeCount = 0
  #wake: (() => void) | undefined

  constructor(options: {
    readonly attempt: string
    readonly jobName?: string
    readonly operatorUid?: string
    readonly subtaskIndex?: number
    readonly parallelism?: number
    readonly restored?: readonly Committable[]
  }) {
    this.jobName = options.jobName ?? 'job'
    this.operatorUid = options.operatorUid ?? 'out'
    this.subtaskIndex = options.subtaskIndex ?? 0
    this.parallelism = options.parallelism ?? 1
    this.attempt = options.attempt
    this.restored = options.restored ?? []
  }

  readonly mailbox = {
    submit: (action: () => void): void => {
      this.wakeCount += 1
      action()
      this.#wake?.()
      this.#wake = undefined
    },
  }

  fail(error: unknown): void {
    this.failures.push(error)
    this.#wake?.()
    this.#wake = undefined
  }

  /** Settles at the next word from the sink. */
  nextWake(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}
