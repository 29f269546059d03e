/** Options that are counts of bytes. */
import { EngineError } from '../../src/core/errors.ts'

/** The count, which must be a whole number above zero; `option` names it in the error. */
export function positiveBytes(value: number, option: string): number {
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new EngineError(
    'OPTION_INVALID',
    `${option} must be a whole number of bytes above 0, but is ${value}`,
  )
}
