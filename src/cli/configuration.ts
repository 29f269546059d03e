/**
 * From what the job, a config file, the environment and the command line say to one configuration. Pure: texts and values go in,
 * a configuration or all mistakes come out.
 *
 * Rules
 *  - Job < config file < environment < command line, setting by setting; parameters of the job are merged key by key.
 *  - Whoever names a restart strategy begins it anew: what weaker sources say of delays and attempts was meant for theirs.
 *  - An empty environment variable says nothing.
 *  - Each mistake names its source. None hides another.
 */
import { resolve } from 'node:path'
import { z } from 'zod'
import { MAX_PARALLELISM_DEFAULT } from '../core/key-group.ts'
import { ms } from '../core/duration.ts'
import type { Duration } from '../core/duration.ts'
import { EngineError } from '../core/errors.ts'
import { isParams, parseParams } from './params.ts'
import type { Configuration, RestartKind, Setting } from './settings.ts'
import {
  CONFIG_FLAG,
  PARAMS_FLAG,
  PARAMS_KEY,
  restartFields,
  settings,
  variableOf,
} from './settings.ts'
import { didYouMean, nearest } from './suggest.ts'

/** A value and who gave it: `--threads`, `MILLRACE_THREADS`, `prod.yaml: threads`. */
interface Given {
  readonly value: unknown
  readonly source: string
}

/** What one source says, by key. */
export interface Layer {
  readonly values: ReadonlyMap<string, Given>
  readonly mistakes: readonly string[]
  /** Worth a word, but no mistake. */
  readonly warnings: readonly string[]
}

export interface MergedConfiguration {
  readonly configuration: Configuration
  readonly mistakes: readonly string[]
}

/** What a job says of itself: its defaults, as its module has them. */
export function jobLayer(jobName: string, defaults: object): Layer {
  const values = new Map<string, Given>()
  for (const { key } of settings) {
    const value = valueAt(defaults, key)
    if (value !== undefined) values.set(key, { value, source: `${key} of job '${jobName}'` })
  }
  return { values, mistakes: [], warnings: [] }
}

/** A config file's content, decoded. Paths in it are relative to `directory`. */
export function fileLayer(document: unknown, file: string, directory: string): Layer {
  const values = new Map<string, Given>()
  // a file with nothing in it says nothing
  if (document === null || document === undefined) return { values, mistakes: [], warnings: [] }
  const { error } = documentSchema.safeParse(document)
  const wrong = new Set<string>()
  const mistakes = (error?.issues ?? []).flatMap((issue) => {
    const path = issue.path.map(String)
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => `${file}: ${unknownKey([...path, key])}`)
    }
    const setting = settings.find(({ key }) => `${path.join('.')}.`.startsWith(`${key}.`))
    wrong.add(setting?.key ?? path.join('.'))
    return [`${file}: ${wrongValue(document, path, setting)}`]
  })
  for (const { key, isPath } of settings) {
    const value = valueAt(document, key)
    if (value === undefined || wrong.has(key)) continue
    const isPlace = isPath && typeof value === 'string' && !isWord(key, value)
    values.set(key, {
      value: isPlace ? resolve(directory, value) : value,
      source: `${file}: ${key}`,
    })
  }
  const params = valueAt(document, PARAMS_KEY)
  if (isParams(params)) values.set(PARAMS_KEY, { value: params, source: `${file}: ${PARAMS_KEY}` })
  return { values, mistakes, warnings: [] }
}

/** The variables `MILLRACE_…`. */
export function environmentLayer(environment: Readonly<Record<string, string | undefined>>): Layer {
  const values = new Map<string, Given>()
  const mistakes: string[] = []
  const warnings: string[] = []
  for (const setting of settings) {
    const variable = variableOf(setting.flag)
    const text = environment[variable]
    if (text === undefined || text === '') continue
    put(values, mistakes, setting, fromText(setting, text), variable)
  }
  const variable = variableOf(PARAMS_FLAG)
  const text = environment[variable]
  if (text !== undefined && text !== '') {
    const texts = text.trimStart().startsWith('{') ? [text] : text.split('\n')
    putParams(
      values,
      mistakes,
      texts.filter((line) => line.trim() !== ''),
      variable,
    )
  }
  const known = [...settings.map(({ flag }) => flag), PARAMS_FLAG, CONFIG_FLAG].map(variableOf)
  for (const name of Object.keys(environment)) {
    if (!name.startsWith('MILLRACE_') || known.includes(name)) continue
    // others may have variables of this beginning (Kubernetes makes some), so only what looks mistyped is worth a word
    const meant = nearest(
      name.slice('MILLRACE_'.length),
      known.map((each) => each.slice(9)),
    )
    if (meant !== undefined) {
      warnings.push(`${name} is no variable of millrace; did you mean MILLRACE_${meant}?`)
    }
  }
  return { values, mistakes, warnings }
}

/** The options given on the command line, by their names; values are texts, or booleans of switches. */
export function commandLineLayer(
  options: ReadonlyMap<string, string | boolean | readonly string[]>,
): Layer {
  const values = new Map<string, Given>()
  const mistakes: string[] = []
  for (const setting of settings) {
    const value = options.get(setting.flag)
    if (value === undefined) continue
    const converted = typeof value === 'string' ? fromText(setting, value) : value
    put(values, mistakes, setting, converted, setting.flag)
  }
  const params = options.get(PARAMS_FLAG)
  if (Array.isArray(params)) putParams(values, mistakes, params as readonly string[], PARAMS_FLAG)
  return { values, mistakes, warnings: [] }
}

/**
 * All sources in one, weakest first. Before the job is known (`isJobKnown: false`) only those contradictions are mistakes that
 * nothing the job may say of itself can resolve.
 */
export function mergeLayers(
  layers: readonly Layer[],
  { isJobKnown }: { readonly isJobKnown: boolean },
): MergedConfiguration {
  const merged = new Map<string, Given>()
  for (const { values } of layers) {
    if (values.has('restart.kind')) {
      for (const key of merged.keys()) if (key.startsWith('restart.')) merged.delete(key)
    }
    for (const [key, given] of values) {
      const former = key === PARAMS_KEY ? merged.get(key)?.value : undefined
      const value = isParams(former) ? { ...former, ...(given.value as object) } : given.value
      merged.set(key, { ...given, value })
    }
  }
  const mistakes = [
    ...layers.flatMap((layer) => layer.mistakes),
    ...restartMistakes(merged, isJobKnown),
    ...scaleMistakes(merged, isJobKnown),
  ]
  return { configuration: nested(merged), mistakes }
}

/** The error that names all mistakes. */
export function configInvalid(mistakes: readonly string[]): EngineError {
  const count =
    mistakes.length === 1 ? 'There is a mistake' : `There are ${mistakes.length} mistakes`
  const list = mistakes.map((mistake) => `\n  ${mistake}`).join('')
  return new EngineError('CONFIG_INVALID', `${count} in how the job is to be run:${list}`)
}

// ---- one value

function put(
  values: Map<string, Given>,
  mistakes: string[],
  setting: Setting,
  value: unknown,
  source: string,
): void {
  if (setting.schema.safeParse(value).success) values.set(setting.key, { value, source })
  else mistakes.push(`${source}: ${shown(setting, value)} is not ${setting.expected}`)
}

function putParams(
  values: Map<string, Given>,
  mistakes: string[],
  texts: readonly string[],
  source: string,
): void {
  let params: Readonly<Record<string, unknown>> = {}
  for (const text of texts) {
    const parsed = parseParams(text)
    if (parsed.mistake === undefined) params = { ...params, ...parsed.params }
    else mistakes.push(`${source}: ${parsed.mistake}`)
  }
  values.set(PARAMS_KEY, { value: params, source })
}

/** A text as the number or boolean that it says, where the setting wants one; else as it is, for the schema to refuse. */
function fromText({ schema, placeholder }: Setting, text: string): unknown {
  if (placeholder === undefined) {
    const isTrue = text === 'true' || text === '1'
    return isTrue || (text === 'false' || text === '0' ? false : text)
  }
  // not all that is made of digits is a number: a token
  if (schema.safeParse(text).success || !/^-?\d+(\.\d+)?$/.test(text)) return text
  return Number(text)
}

/** Whether the value of a path is a word with a meaning of its own. */
function isWord(key: string, value: unknown): boolean {
  if (key === 'from') return value === 'latest' || value === 'none'
  return key === 'checkpoints.directory' && value === 'none'
}

function shown({ isSecret }: Setting, value: unknown): string {
  return isSecret ? 'the value given' : show(value)
}

function show(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : (JSON.stringify(value) ?? String(value))
}

// ---- a document

const documentSchema = z.strictObject({
  ...Object.fromEntries(
    [...new Set(settings.map(({ key }) => key.split('.')[0] as string))].map((name) => [
      name,
      schemaOf(name).optional(),
    ]),
  ),
  [PARAMS_KEY]: z.record(z.string(), z.unknown()).optional(),
})

function schemaOf(name: string): z.ZodType {
  const single = settings.find(({ key }) => key === name)
  if (single !== undefined) return single.schema
  const fields = settings.filter(({ key }) => key.startsWith(`${name}.`))
  return z.strictObject(
    Object.fromEntries(
      fields.map(({ key, schema }) => [key.slice(name.length + 1), schema.optional()]),
    ),
  )
}

function unknownKey(path: readonly string[]): string {
  const name = path.join('.')
  const keys = [...settings.map(({ key }) => key), PARAMS_KEY]
  const byFlag = settings.find(({ flag }) => nearest(name, [flag]) !== undefined)
  const siblings = keys.filter((key) => key.split('.').length === path.length)
  const meant = nearest(name, siblings) ?? nearest(name, keys) ?? byFlag?.key
  const last = path.at(-1) ?? ''
  const inGroup = keys.filter((key) => key.split('.').at(-1) === last)
  const found = meant ?? (inGroup.length === 1 ? inGroup[0] : undefined)
  return `${name} is no option${found === undefined ? '' : `; did you mean ${found}?`}`
}

function wrongValue(
  document: unknown,
  path: readonly string[],
  setting: Setting | undefined,
): string {
  if (path.length === 0) return `it must be a mapping of options, but is ${show(document)}`
  const name = path.join('.')
  const value = valueAt(document, name)
  if (setting !== undefined) return `${name}: ${shown(setting, value)} is not ${setting.expected}`
  if (name === PARAMS_KEY) {
    return `${name}: ${Array.isArray(value) ? 'a list' : `a ${typeof value}`} is not a mapping of parameters`
  }
  const fields = settings.filter(({ key }) => key.startsWith(`${name}.`))
  const names = fields.map(({ key }) => key.slice(name.length + 1)).join(', ')
  return `${name}: ${show(value)} is not a mapping of ${names}`
}

function valueAt(document: unknown, path: string): unknown {
  let value = document
  for (const step of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
    value = (value as Record<string, unknown>)[step]
  }
  return value
}

// ---- values together

function restartMistakes(merged: Map<string, Given>, isJobKnown: boolean): string[] {
  const given = merged.get('restart.kind')
  const fields = [...merged].filter(([key]) => /^restart\.(?!kind$)/.test(key))
  if (given === undefined) {
    if (!isJobKnown) return []
    return fields.map(
      ([, { source }]) => `${source}: no restart strategy is named; choose one with --restart`,
    )
  }
  const kind = given.value as RestartKind
  const known = restartFields[kind]
  const mistakes = fields
    .filter(([key]) => !Object.hasOwn(known, key.slice('restart.'.length)))
    .map(([, { source }]) => {
      const names = Object.keys(known).map(
        (name) => settings.find(({ key }) => key === `restart.${name}`)?.flag ?? name,
      )
      const takes = names.length === 0 ? 'takes no further options' : `takes ${names.join(', ')}`
      return `${source}: has no meaning with the restart strategy '${kind}' (${given.source}), which ${takes}`
    })
  const delay = merged.get('restart.delay')
  const delayMax = merged.get('restart.delayMax')
  if (kind === 'exponential' && delay !== undefined) {
    const max = (delayMax?.value ?? restartFields.exponential['delayMax']) as Duration
    if (ms(delay.value as Duration) > ms(max)) {
      mistakes.push(
        `${delay.source}: ${show(delay.value)} is longer than the longest delay, ${show(max)} (${delayMax?.source ?? 'default'})`,
      )
    }
  }
  return mistakes
}

function scaleMistakes(merged: Map<string, Given>, isJobKnown: boolean): string[] {
  const parallelism = merged.get('parallelism')
  const max = merged.get('maxParallelism')
  if (parallelism === undefined || (max === undefined && !isJobKnown)) return []
  const most = (max?.value ?? MAX_PARALLELISM_DEFAULT) as number
  if ((parallelism.value as number) <= most) return []
  return [
    `${parallelism.source}: ${show(parallelism.value)} is above the maximum parallelism, ${most} (${max?.source ?? 'default'})`,
  ]
}

/** Every value was checked by the schema of its setting, or by the compiler where the job says it. */
function nested(merged: ReadonlyMap<string, Given>): Configuration {
  const configuration: Record<string, unknown> = {}
  for (const [key, { value }] of merged) {
    const [first, second] = key.split('.') as [string, string?]
    if (second === undefined) configuration[first] = value
    else configuration[first] = { ...(configuration[first] as object | undefined), [second]: value }
  }
  return configuration
}

/** What is wrong with options that the command does not have. */
export function unknownOptionMistakes(
  given: readonly string[],
  known: readonly string[],
): readonly string[] {
  return given.map((text) => {
    const name = text.split('=', 1)[0] ?? text
    return `${name} is no option of this command${didYouMean(name, known)}`
  })
}
