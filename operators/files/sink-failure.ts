/** What the disk refused, as the error of the file sink. */
import { EngineError } from '../../src/core/errors.ts'

/** `SINK_FAILED` with what was tried and what the file system said; an error of the engine is passed on as it is. */
export function sinkFailure(what: string, cause: unknown): EngineError {
  if (cause instanceof EngineError) return cause
  const text = cause instanceof Error ? cause.message : String(cause)
  return new EngineError('SINK_FAILED', `${what}: ${text}`, { cause })
}

/** Does `action`; what it fails with says what was tried. */
export async function attempted<R>(what: string, action: () => Promise<R>): Promise<R> {
  try {
    return await action()
  } catch (error) {
    throw sinkFailure(what, error)
  }
}
