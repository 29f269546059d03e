/**
 * What a source does with a record that its format refuses: one instance per subtask of a source.
 *
 * Invariants
 *  - Whatever is not failed is counted, in the metric `undecodableRecords`.
 *  - The log has the 1st, 2nd, 4th, 8th, … of a subtask: a topic full of such records writes some lines, not a log full of them.
 *  - What is wrong with the job (an `EngineError`: a schema that answers with a promise) is never taken for a bad record.
 */
import type { ReaderContext } from '../src/contract/source.ts'
import type { UnreadRecord } from '../src/core/dead-letter.ts'
import { EngineError, isEngineError } from '../src/core/errors.ts'
import type { Counter } from '../src/core/metrics.ts'

/**
 * `'fail'`: the job fails with `RECORD_UNDECODABLE`. `'skip'`: the record is left out, counted and logged. `'dead-letter'`: the
 * same, and it is sent to `env.deadLetters`.
 */
export type OnUndecodable = 'fail' | 'skip' | 'dead-letter'

/** Throws `OPTION_INVALID` for what is no policy. */
export function checkOnUndecodable(policy: string | undefined): void {
  if (policy === undefined || policy === 'fail' || policy === 'skip' || policy === 'dead-letter') {
    return
  }
  throw new EngineError(
    'OPTION_INVALID',
    `onUndecodable must be 'fail', 'skip' or 'dead-letter', but is '${policy}'`,
  )
}

export class UndecodableRecords {
  /** Letters and their bytes since `beginRead`: a read ends early where they are many. */
  bytes = 0
  readonly #policy: OnUndecodable
  readonly #context: Pick<ReaderContext, 'metrics' | 'logger' | 'deadLetter' | 'operatorUid'>
  readonly #counter: Counter
  #count = 0

  constructor(
    policy: OnUndecodable,
    context: Pick<ReaderContext, 'metrics' | 'logger' | 'deadLetter' | 'operatorUid'>,
  ) {
    this.#policy = policy
    this.#context = context
    this.#counter = context.metrics.counter('undecodableRecords')
  }

  beginRead(): void {
    this.bytes = 0
  }

  /** Whether enough was given up for one read. */
  get isFull(): boolean {
    return this.bytes > letterBytesPerRead
  }

  /**
   * `cause`: what the format threw. `tell` makes a sentence of its text that names the record, `record` copies it. Throws where the
   * policy is to fail.
   */
  take(
    cause: unknown,
    tell: (text: string) => string,
    record: () => Omit<UnreadRecord, 'error'>,
  ): void {
    if (isEngineError(cause) && cause.code !== 'RECORD_UNDECODABLE') throw cause
    const text = cause instanceof Error ? cause.message : String(cause)
    const message = tell(text)
    if (this.#policy === 'fail') {
      throw new EngineError(
        'RECORD_UNDECODABLE',
        `${message}. Correct the format, or leave such records out with onUndecodable: 'skip' or 'dead-letter'`,
        { cause },
      )
    }
    this.#count += 1
    this.#counter.add()
    const isNoteworthy = (this.#count & (this.#count - 1)) === 0
    if (isNoteworthy) {
      this.#context.logger.warn(
        `${message}. ${this.#policy === 'skip' ? 'Left out' : 'Sent to the dead letters'}`,
        { operatorUid: this.#context.operatorUid, count: this.#count },
      )
    }
    if (this.#policy === 'skip') return
    const letter = record()
    this.bytes += letterBytes + (letter.value?.length ?? 0) + (letter.key?.length ?? 0)
    this.#context.deadLetter({
      ...letter,
      error: {
        code: 'RECORD_UNDECODABLE',
        message,
        ...(cause instanceof Error && cause.stack !== undefined ? { stack: cause.stack } : {}),
      },
    })
  }
}

/** So much is given up in one read at most, and one record more. */
const letterBytesPerRead = 256 * 1024
/** Of a letter without its record: the stack, mostly. */
const letterBytes = 1024
