/** Runs a sink as the engine would, with one subtask, and keeps what it reports. */
import type { PreparedEpoch, Sink, SinkWriter } from '../../../src/contract/sink.ts'
import type { ChangeKind } from '../../../src/core/change.ts'
import { LogLines, machineClock } from './source-run.ts'

const openRuns = new Set<SinkRun<never>>()

/** For `afterEach`: ends the runs that the test left open, without waiting for what they have not written. */
export async function closeSinkRuns(): Promise<void> {
  await Promise.all(Array.from(openRuns, (run) => run.abandon()))
}

export class SinkRun<T> {
  readonly logger: LogLines = new LogLines()
  readonly #abort = new AbortController()
  #writer: SinkWriter | undefined
  #checkpointId = 0
  #failure: { readonly error: unknown } | undefined
  #resume: (() => void)[] = []

  static async start<T>(
    sink: Sink<T> | Sink<T, ChangeKind>,
    options: { readonly mayRetract?: boolean; readonly isCheckpointed?: boolean } = {},
  ): Promise<SinkRun<T>> {
    const run = new SinkRun<T>()
    const context = {
      jobName: 'job',
      operatorUid: 'sink',
      subtaskIndex: 0,
      parallelism: 1,
      attempt: 'a',
      lineage: 'line',
      isCheckpointed: options.isCheckpointed ?? true,
      mayRetract: options.mayRetract ?? false,
      clock: machineClock,
      logger: run.logger,
      signal: run.#abort.signal,
      restored: [],
      mailbox: {
        submit(action: () => void) {
          action()
          run.#wake()
        },
      },
      fail(error: unknown) {
        run.#failure ??= { error }
        run.#wake()
      },
    }
    run.#writer = await sink.open(context)
    openRuns.add(run)
    return run
  }

  write(value: T, timestampMs: number, kind: ChangeKind = 'insert'): void {
    this.#open.write(value, timestampMs, kind)
  }

  hasRoom(): boolean {
    return this.#open.hasRoom?.() ?? true
  }

  /** Settles when there is room, as far as the mailbox says so. */
  async room(): Promise<void> {
    while (!this.hasRoom()) await this.#woken()
  }

  prepareNow(): PreparedEpoch {
    return this.#open.prepare?.(++this.#checkpointId, 'checkpoint') ?? {}
  }

  /** Settles when the epoch is durable. */
  async prepare(): Promise<void> {
    await this.prepareNow().durable
  }

  /** Rejects with what the sink fails with by itself. */
  async failure(): Promise<never> {
    for (;;) await this.#woken()
  }

  /** Settles when something was logged. */
  async warned(): Promise<void> {
    while (this.logger.lines.length === 0) await new Promise(setImmediate)
  }

  async close(): Promise<void> {
    openRuns.delete(this)
    await this.#writer?.close?.()
  }

  async abandon(): Promise<void> {
    this.#abort.abort()
    await this.close()
  }

  async #woken(): Promise<void> {
    if (this.#failure === undefined) {
      await new Promise<void>((resolve) => this.#resume.push(resolve))
    }
    if (this.#failure !== undefined) throw this.#failure.error
  }

  #wake(): void {
    for (const resume of this.#resume.splice(0)) resume()
  }

  get #open(): SinkWriter {
    if (this.#writer === undefined) throw new Error('The sink is not open')
    return this.#writer
  }
}
