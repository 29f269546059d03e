/**
 * A sink as the last operator of a chain: carries the contract's two phases out (docs/protocol.md 5).
 *
 * Invariants
 *  - `#pending` holds all prepared, unconfirmed epochs, oldest first; all of them are in every snapshot. An epoch leaves it when
 *    its commit is confirmed, and only then is the next one committed.
 *  - Epochs are committed only when a checkpoint that covers them is complete; an aborted one's goes with the next.
 *  - After a restore the epochs of the checkpoint are committed before the first record is written.
 */
import type { OperatorContext, OperatorInstance, SnapshotPoint } from '../contract/operator.ts'
import type { OperatorSnapshot } from '../contract/operator.ts'
import type { Committable, Sink, SinkWriter } from '../contract/sink.ts'
import { EngineError, InvariantError, toEngineError } from '../core/errors.ts'
import type { Counter } from '../core/metrics.ts'

export interface SinkOperatorOptions {
  readonly sink: Sink<never, never>
  readonly lineage: string
  readonly attempt: string
  readonly isCheckpointed: boolean
  readonly mayRetract: boolean
  readonly fail: (error: unknown) => void
  /** An epoch was confirmed: somebody may be waiting for it. */
  readonly committed: () => void
}

/** Opens a sink's writer and commits what the restored checkpoint left. */
export async function openSink(
  context: OperatorContext,
  options: SinkOperatorOptions,
): Promise<OperatorInstance> {
  const restored = context.restoredItems as readonly Committable[]
  const writer = await options.sink.open({
    jobName: context.jobName,
    operatorUid: context.operatorUid,
    subtaskIndex: context.subtaskIndex,
    parallelism: context.parallelism,
    lineage: options.lineage,
    attempt: options.attempt,
    isCheckpointed: options.isCheckpointed,
    mayRetract: options.mayRetract,
    clock: context.clock,
    logger: context.logger,
    signal: context.signal,
    mailbox: context.mailbox,
    restored,
    fail: options.fail,
  })
  try {
    for (const committable of restored) await commit(writer, committable)
  } catch (error) {
    // the commit's error is the one to tell
    await Promise.resolve(writer.close?.()).catch(() => {})
    throw error
  }
  return new SinkOperator(context, writer, options)
}

class SinkOperator implements OperatorInstance {
  readonly #context: OperatorContext
  readonly #writer: SinkWriter
  readonly #options: SinkOperatorOptions
  readonly #recordsWritten: Counter
  readonly #pending: Committable[] = []
  /** Epochs up to this may be committed. */
  #completeId = 0
  #isCommitting = false
  #isClosed = false

  constructor(context: OperatorContext, writer: SinkWriter, options: SinkOperatorOptions) {
    this.#context = context
    this.#writer = writer
    this.#options = options
    this.#recordsWritten = context.metrics.counter('recordsWritten')
  }

  onStart(): void {
    this.#writer.discardUnnamed?.().catch((error: unknown) => {
      // what is left lies hidden and harms nobody
      this.#context.logger.warn(
        `Sink '${this.#context.operatorUid}' could not remove what former runs left: ${toEngineError(error).message}`,
      )
    })
  }

  process(value: unknown): void {
    this.#recordsWritten.add()
    const { timestampMs, isRetraction } = this.#context.time
    if (isRetraction && this.#options.sink.takesRetractions !== true) {
      throw new InvariantError('A row was taken back at a sink that only appends')
    }
    this.#writer.write(value, timestampMs, isRetraction ? 'retract' : 'insert')
  }

  hasRoom(): boolean {
    return this.#writer.hasRoom?.() ?? true
  }

  snapshot({ checkpointId, kind }: SnapshotPoint): OperatorSnapshot {
    const { committable, durable } = this.#writer.prepare?.(checkpointId, kind) ?? {}
    if (committable !== undefined) this.#pending.push({ checkpointId, data: committable })
    const items = [...this.#pending]
    return durable === undefined ? { items } : { items, durable, isCompletedLater: true }
  }

  onCheckpointComplete(checkpointId: number): void {
    this.#completeId = Math.max(this.#completeId, checkpointId)
    void this.#commitComplete()
  }

  isCommitted(): boolean {
    const [oldest] = this.#pending
    return oldest === undefined || oldest.checkpointId > this.#completeId
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#writer.close?.()
  }

  /** One epoch after the other; an error fails the subtask, and the restart commits again. */
  async #commitComplete(): Promise<void> {
    if (this.#isCommitting) return
    this.#isCommitting = true
    try {
      while (!this.isCommitted() && !this.#isClosed) {
        await commit(this.#writer, this.#pending[0] as Committable)
        this.#pending.shift()
      }
    } catch (error) {
      this.#options.fail(error)
    } finally {
      this.#isCommitting = false
    }
    this.#context.mailbox.submit(this.#options.committed)
  }
}

async function commit(writer: SinkWriter, committable: Committable): Promise<void> {
  try {
    await writer.commit?.(committable)
  } catch (error) {
    const cause = toEngineError(error)
    throw cause.code === 'UNEXPECTED'
      ? new EngineError(
          'COMMIT_FAILED',
          `The output of checkpoint ${committable.checkpointId} could not be committed: ${cause.message}; it is tried again after a restart`,
          { cause: error },
        )
      : cause
  }
}
