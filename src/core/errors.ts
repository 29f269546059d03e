/**
 * What can go wrong, as values that survive a thread.
 *
 * Invariants
 *  - Every error that leaves the engine is an `EngineError` with a code of `error-codes.ts`.
 *  - An error crosses a thread or a process as `ErrorData` and is rebuilt there: callers compare `code`, never the class.
 *  - `InvariantError` is a mistake of ours. It is never caught to carry on.
 */
import { errorCodes } from './error-codes.ts'
import type { ErrorCode } from './error-codes.ts'

/** Who must act: the author of the job, whoever runs it, or the authors of the engine. */
export type ErrorOrigin = 'job' | 'environment' | 'engine'

/** Where an error happened, as far as it is known. */
export interface ErrorPlace {
  readonly job?: string
  readonly operatorUid?: string
  readonly subtaskIndex?: number
}

/** What an `EngineError` is made of beside its text. */
export interface ErrorOptions extends ErrorPlace {
  readonly cause?: unknown
  /** Overrides what the table of codes says: a network error may be worth a retry where the code alone is not. */
  readonly retryable?: boolean
}

/** Every error of the engine. It crosses threads as data: compare `code`, not the class. Codes: docs/errors.md. */
export class EngineError extends Error {
  override readonly name = 'EngineError'
  readonly code: ErrorCode
  /** Who must act. */
  readonly origin: ErrorOrigin
  /** Whether a restart from the last checkpoint can help. */
  readonly retryable: boolean
  readonly job: string | undefined
  readonly operatorUid: string | undefined
  readonly subtaskIndex: number | undefined

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    const [origin, retryable] = errorCodes[code].split(', ')
    this.code = code
    this.origin = origin as ErrorOrigin
    this.retryable = options.retryable ?? retryable !== undefined
    this.job = options.job
    this.operatorUid = options.operatorUid
    this.subtaskIndex = options.subtaskIndex
  }

  /** The same error with the parts of `place` that it did not know yet, named in its message too. */
  at(place: ErrorPlace): EngineError {
    const job = this.job ?? place.job
    const operatorUid = this.operatorUid ?? place.operatorUid
    const subtaskIndex = this.subtaskIndex ?? place.subtaskIndex
    if (
      job === this.job &&
      operatorUid === this.operatorUid &&
      subtaskIndex === this.subtaskIndex
    ) {
      return this
    }
    const words = [
      job === this.job ? undefined : `job '${job}'`,
      operatorUid === this.operatorUid ? undefined : `operator '${operatorUid}'`,
      subtaskIndex === this.subtaskIndex ? undefined : `subtask ${subtaskIndex}`,
    ].filter((word) => word !== undefined)
    const message = `${words.join(', ')}: ${this.message}`
    const error = new EngineError(this.code, message, {
      retryable: this.retryable,
      ...(this.cause === undefined ? {} : { cause: this.cause }),
      ...definedPlace({ job, operatorUid, subtaskIndex }),
    })
    // where it happened, not where it was given its place
    if (this.stack !== undefined) error.stack = this.stack.replace(this.message, () => message)
    return error
  }
}

/** A mistake of the engine itself: what it believed did not hold. */
export class InvariantError extends EngineError {
  constructor(message: string) {
    super('INVARIANT_BROKEN', message)
  }
}

/** Fails with `INVARIANT_BROKEN` unless `condition` holds. State the positive form and put the values in the message. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message)
}

/** For the default branch of a `switch` over a union: the compiler proves that it is never reached. */
export function unreachable(value: never): never {
  throw new InvariantError(`Unexpected value ${String(value)}`)
}

/** An error as it travels between threads and processes, and as it is shown by the API. */
export interface ErrorData {
  readonly code: ErrorCode
  readonly message: string
  readonly retryable: boolean
  readonly job?: string
  readonly operatorUid?: string
  readonly subtaskIndex?: number
  readonly stack?: string
  /** The text of the original error and of its causes, outermost first. */
  readonly causes?: readonly string[]
}

/** The data of an error. Anything that is no `EngineError` becomes one with code `UNEXPECTED`. */
export function toErrorData(error: unknown): ErrorData {
  return toPlainData(toEngineError(error))
}

/** The error that `data` was made from. Its stack is the one of the thread where it happened. */
export function fromErrorData(data: ErrorData): EngineError {
  const cause = data.causes?.reduceRight<Error | undefined>(
    (inner, text) => toCause(text, inner),
    undefined,
  )
  const error = new EngineError(data.code, data.message, {
    retryable: data.retryable,
    ...definedPlace(data),
    ...(cause === undefined ? {} : { cause }),
  })
  if (data.stack !== undefined) error.stack = data.stack
  return error
}

/** The error itself if it is the engine's, else `UNEXPECTED` with it as the cause. */
export function toEngineError(error: unknown): EngineError {
  if (error instanceof EngineError) return error
  if (isEngineError(error)) return fromErrorData(toPlainData(error))
  const text = error instanceof Error ? error.message : textOf(error)
  return new EngineError('UNEXPECTED', text, { cause: error })
}

/** Whether an error is the engine's; true also for one that crossed a thread. */
export function isEngineError(error: unknown): error is EngineError {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    Object.hasOwn(errorCodes, error.code)
  )
}

function toPlainData(error: EngineError): ErrorData {
  const causes = causesOf(error)
  return {
    code: error.code,
    message: error.message,
    retryable: error.retryable,
    ...definedPlace(error),
    ...(error.stack === undefined ? {} : { stack: error.stack }),
    ...(causes.length === 0 ? {} : { causes }),
  }
}

/** A cause from its text, which stays the same however often the error travels on. */
function toCause(text: string, inner: Error | undefined): Error {
  const cause = new Error(text, inner === undefined ? undefined : { cause: inner })
  cause.stack = text
  return cause
}

/** What was thrown, as text: anything can be thrown, also what has no text or throws when asked for it. */
function textOf(thrown: unknown): string {
  try {
    return String(thrown)
  } catch {
    // an object without prototype, or with a toString of its own that fails
    return Object.prototype.toString.call(thrown)
  }
}

function definedPlace(place: {
  readonly job?: string | undefined
  readonly operatorUid?: string | undefined
  readonly subtaskIndex?: number | undefined
}): ErrorPlace {
  return {
    ...(place.job === undefined ? {} : { job: place.job }),
    ...(place.operatorUid === undefined ? {} : { operatorUid: place.operatorUid }),
    ...(place.subtaskIndex === undefined ? {} : { subtaskIndex: place.subtaskIndex }),
  }
}

function causesOf(error: EngineError): string[] {
  const causes: string[] = []
  const causesMax = 8
  let cause: unknown = error.cause
  while (cause !== undefined && cause !== null && causes.length < causesMax) {
    causes.push(cause instanceof Error ? (cause.stack ?? cause.message) : textOf(cause))
    cause = cause instanceof Error ? cause.cause : undefined
  }
  return causes
}
