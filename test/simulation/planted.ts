/**
 * Bugs that are planted to see whether the simulation finds them: each patch of `planted/` is applied to a copy of the sources,
 * which is compiled and simulated until a seed fails.
 *
 *   node dist/test/simulation/planted.js [NAME]...      finds the bugs of these names, or all
 */
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readFile, readdir, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { simulate } from './simulate.ts'

const run = promisify(execFile)

/** Of the package: compiled files lie three directories below it. */
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const PATCHES = join(ROOT, 'test/simulation/planted')
/** Those of the sink for Kafka are looked for by jobs that have it. */
function sinkOf(name: string): 'store' | 'kafka' {
  return name.startsWith('kafka-') ? 'kafka' : 'store'
}

const SOURCES = ['src', 'operators', 'state-backends', 'test/simulation']

/** Seeds within which each planted bug is found. */
export const PLANTED_SEEDS_MAX = 2000

/** The names of all planted bugs. */
export async function plantedNames(): Promise<string[]> {
  const files = await readdir(PATCHES)
  return files.filter((name) => name.endsWith('.patch')).map((name) => name.slice(0, -6))
}

/** Whether a patch still fits the sources; rejects if it does not. */
export async function checkPatch(name: string): Promise<void> {
  await run('git', ['apply', '--check', '-C1', patchPath(name)], { cwd: ROOT })
}

/** Looks for a planted bug: the seed that found it and what it said; undefined if none did. */
export async function findPlanted(
  name: string,
): Promise<{ readonly seed: number; readonly failure: string } | undefined> {
  const directory = await mkdtemp(join(tmpdir(), `planted-${name}-`))
  try {
    await plant(name, directory)
    const script = pathToFileURL(join(directory, 'dist/test/simulation/run.js'))
    const output = await outputOf([
      fileURLToPath(script),
      '1',
      String(PLANTED_SEEDS_MAX),
      '--until-failure',
      ...(sinkOf(name) === 'kafka' ? ['--kafka'] : []),
    ])
    const found = /^seed (\d+): (.*)$/m.exec(output)
    if (found === null) return undefined
    const seed = Number(found[1])
    const { failure } = await simulate(seed, { sink: sinkOf(name) })
    if (failure !== undefined) throw new Error(`Seed ${seed} fails without ${name} too: ${failure}`)
    return { seed, failure: found[2] ?? '' }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** A compiled copy of the sources with the bug in it. */
async function plant(name: string, directory: string): Promise<void> {
  for (const part of SOURCES) {
    await cp(join(ROOT, part), join(directory, part), { recursive: true })
  }
  for (const file of ['package.json', 'tsconfig.json']) {
    await cp(join(ROOT, file), join(directory, file))
  }
  await symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
  await run('git', ['apply', '-C1', patchPath(name)], { cwd: directory })
  const { bin } = JSON.parse(
    await readFile(join(ROOT, 'node_modules/typescript/package.json'), 'utf8'),
  ) as { readonly bin: { readonly tsc: string } }
  const compiler = join(ROOT, 'node_modules/typescript', bin.tsc)
  await run(process.execPath, [compiler, '--incremental', 'false'], { cwd: directory })
}

/** Whatever it printed, also if it failed: a failing seed makes the exit code 1. */
async function outputOf(args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await run(process.execPath, args, { maxBuffer: 1 << 26 })
    return stdout
  } catch (error) {
    const { stdout, code } = error as { readonly stdout?: string; readonly code?: unknown }
    if (code === 1 && stdout !== undefined && stdout.length > 0) return stdout
    throw error
  }
}

function patchPath(name: string): string {
  return join(PATCHES, `${name}.patch`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const given = process.argv.slice(2)
  for (const name of given.length > 0 ? given : await plantedNames()) {
    const found = await findPlanted(name)
    const result = found === undefined ? 'NOT FOUND' : `seed ${found.seed}: ${found.failure}`
    console.log(`${name.padEnd(30)} ${result}`)
    if (found === undefined) process.exitCode = 1
  }
}
