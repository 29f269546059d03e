/** Standard Schema (https://standardschema.dev): how a job says what a thing is where nothing else tells. */
import { EngineError } from './errors.ts'

/**
 * Any Standard Schema (zod, valibot, arktype, TypeBox, ...), or `type<T>()` where nothing is to be checked. Says what a
 * thing is where nothing else tells: records from outside, state, what a process function emits. `validate` must answer
 * synchronously (`SCHEMA_ASYNC`).
 */
export interface Schema<T> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<T> | Promise<SchemaResult<T>>
    readonly types?: { readonly input: unknown; readonly output: T } | undefined
  }
}

/** What a schema answers: the value, or what is wrong with it. */
export type SchemaResult<T> =
  { readonly value: T; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] }

/** One thing that is wrong with a value; `path` leads to it, from the outside in. */
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/**
 * A schema that checks nothing: the type alone. Costs nothing at run time.
 *
 * @example
 * stream.keyBy((view) => view.page).process('top', { emits: type<string>() }, open)
 */
export function type<T>(): Schema<T> {
  return unchecked as Schema<T>
}

const unchecked: Schema<unknown> = {
  '~standard': { version: 1, vendor: 'millrace', validate: (value) => ({ value }) },
}

/** Whether a schema lets everything pass. */
export function isUnchecked(schema: Schema<unknown>): boolean {
  return schema === unchecked
}

/** The value as the schema gives it, or the texts of what is wrong with it. */
export function validate<T>(schema: Schema<T>, value: unknown): SchemaResult<T> {
  const result = schema['~standard'].validate(value)
  if (result instanceof Promise) {
    // nobody waits for it: without a handler its rejection would end the process
    result.catch(() => undefined)
    throw new EngineError(
      'SCHEMA_ASYNC',
      `The ${schema['~standard'].vendor} schema answers with a promise; records are checked synchronously: leave out async refinements`,
    )
  }
  return result
}

/** An issue as text: where in the value it is, like `a[0].b`, and what it is. */
export function issueText({ message, path }: SchemaIssue): string {
  if (path === undefined || path.length === 0) return message
  return `${path.reduce(pathText, '').replace(/^\./, '')}: ${message}`
}

function pathText(path: string, step: PropertyKey | { readonly key: PropertyKey }): string {
  const key = typeof step === 'object' ? step.key : step
  return typeof key === 'number' ? `${path}[${key}]` : `${path}.${String(key)}`
}
