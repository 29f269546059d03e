/** A decoded value against the schema of its format. */
import type { Schema } from '../../src/core/schema.ts'
import { isUnchecked, issueText, validate } from '../../src/core/schema.ts'

/**
 * The function that makes a decoded value one of `schema`: the schema's output, or an Error that lists every issue with its
 * path. Without a schema, and with `type<T>()`, it costs nothing: the value passes as it is, and `T` is the caller's word.
 */
export function checkedBy<T>(schema: Schema<T> | undefined): (value: unknown) => T {
  if (schema === undefined || isUnchecked(schema)) return unchecked as (value: unknown) => T
  return (value) => {
    const result = validate(schema, value)
    if (result.issues === undefined) return result.value
    throw new Error(`The value does not fit its schema: ${result.issues.map(issueText).join('; ')}`)
  }
}

function unchecked(value: unknown): unknown {
  return value
}
