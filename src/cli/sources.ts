/** Gathers what config file, environment and command line say of a run. Reads the file; decides nothing (configuration.ts). */
import { readFile } from 'node:fs/promises'
import { dirname, extname, resolve } from 'node:path'
import { parseDocument } from 'yaml'
import type { Layer } from './configuration.ts'
import { commandLineLayer, environmentLayer, fileLayer } from './configuration.ts'
import { CONFIG_FLAG, variableOf } from './settings.ts'

export interface GivenOptions {
  /** By their names: `--threads`. */
  readonly options: ReadonlyMap<string, string | boolean | readonly string[]>
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** The layers, weakest first, without that of the job. */
export async function readSources({ options, environment }: GivenOptions): Promise<Layer[]> {
  const chosen = options.get(CONFIG_FLAG) ?? environment[variableOf(CONFIG_FLAG)]
  const file = typeof chosen === 'string' && chosen !== '' ? chosen : undefined
  return [
    ...(file === undefined ? [] : [await readConfigFile(file)]),
    environmentLayer(environment),
    commandLineLayer(options),
  ]
}

/** YAML, or JSON by its name. */
async function readConfigFile(file: string): Promise<Layer> {
  const wrong = (mistake: string): Layer => ({
    values: new Map(),
    mistakes: [`${file}: ${mistake}`],
    warnings: [],
  })
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    return wrong(`it cannot be read: ${textOf(error)}`)
  }
  let document: unknown
  if (extname(file) === '.json') {
    try {
      document = JSON.parse(text)
    } catch (error) {
      return wrong(`it is no JSON: ${textOf(error)}`)
    }
  } else {
    const parsed = parseDocument(text)
    const [error] = parsed.errors
    if (error !== undefined) return wrong(`it is no YAML: ${error.message.trimEnd()}`)
    try {
      document = parsed.toJS({ maxAliasCount: 100 })
    } catch (cause) {
      return wrong(`it is no YAML: ${textOf(cause)}`)
    }
  }
  return fileLayer(document, file, dirname(resolve(file)))
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
