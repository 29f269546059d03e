/**
 * How commands find running jobs: each has a small file in a directory of the user.
 *
 *   <directory>/http-<port>.token    the token of a service that was given none; mode 0600
 *   <directory>/<job>-<pid>.json     RunEntry; mode 0600, since the token in it is the key to the job
 *
 * Invariants
 *  - The directory belongs to the user and nobody else can enter it (0700): in a shared temporary directory somebody else may have
 *    made one of this name. One that is not so is refused.
 *  - An entry is written under a temporary name and renamed: readers see all of it or nothing.
 *  - It is written after its port is open and removed before that is closed, so an entry whose port nobody listens to is that of a
 *    process that died. Such are removed by whoever meets them; entries of other hosts (a shared home) are left alone.
 */
import { rmSync } from 'node:fs'
import { lstat, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { hostname, tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { EngineError } from '../core/errors.ts'

/** Where and how a running job is asked. */
export interface RunEntry {
  readonly job: string
  readonly runId: string
  readonly pid: number
  readonly host: string
  readonly address: string
  readonly port: number
  readonly token: string
  readonly startedAtMs: number
}

const entrySchema: z.ZodType<RunEntry> = z.object({
  job: z.string(),
  runId: z.string(),
  pid: z.int().positive(),
  host: z.string(),
  address: z.string(),
  port: z.int().positive(),
  token: z.string(),
  startedAtMs: z.number(),
})

/** An entry and its file. */
export interface FoundEntry extends RunEntry {
  readonly path: string
}

/** `MILLRACE_RUN_DIR`, else a directory of the user where the system keeps such things. */
export function runDirectoryOf(environment: Readonly<Record<string, string | undefined>>): string {
  const chosen = environment['MILLRACE_RUN_DIR']
  if (chosen !== undefined && chosen !== '') return chosen
  const runtime = environment['XDG_RUNTIME_DIR']
  if (runtime !== undefined && runtime !== '') return join(runtime, 'millrace')
  const user = process.getuid?.() ?? userInfo().username
  return join(tmpdir(), `millrace-${user}`)
}

/** Makes a running job known; the answer takes it back, at once, so that it can be called while the process exits. */
export async function registerRun(directory: string, entry: RunEntry): Promise<() => void> {
  const name = `${entry.job}-${entry.pid}.json`
  return (await keepSecret(directory, name, JSON.stringify(entry))).remove
}

/** Writes a file that nobody but the user can read. */
export async function keepSecret(
  directory: string,
  name: string,
  text: string,
): Promise<{ readonly path: string; readonly remove: () => void }> {
  await openDirectory(directory)
  const path = join(directory, name)
  const temporary = `${path}.part`
  await rm(temporary, { force: true })
  await writeFile(temporary, text, { mode: 0o600, flag: 'wx' })
  await rename(temporary, path)
  return { path, remove: () => rmSync(path, { force: true }) }
}

/** The jobs of this host that have an entry and whose processes live; entries of dead processes are removed. */
export async function listRuns(directory: string): Promise<FoundEntry[]> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return []
    throw unusable(directory, error)
  })
  if (names.length > 0) await checkDirectory(directory)
  const entries: FoundEntry[] = []
  for (const name of names.filter((each) => each.endsWith('.json')).sort()) {
    const path = join(directory, name)
    const entry = await readEntry(path)
    if (entry === undefined || entry.host !== hostname()) continue
    if (isAlive(entry.pid)) entries.push({ ...entry, path })
    else await removeEntry({ path })
  }
  return entries
}

/** Removes an entry of which the caller has found that its process is gone. */
export async function removeEntry({ path }: { readonly path: string }): Promise<void> {
  await rm(path, { force: true })
}

async function readEntry(path: string): Promise<RunEntry | undefined> {
  try {
    return entrySchema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    // it went just now, or is no entry of ours: there is nothing to ask
    return undefined
  }
}

/** Signal 0 asks without sending; a process of another user answers EPERM and lives. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return !hasCode(error, 'ESRCH')
  }
}

async function openDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw unusable(directory, error)
  }
  await checkDirectory(directory)
}

async function checkDirectory(directory: string): Promise<void> {
  const uid = process.getuid?.()
  // Windows: the temporary directory is the user's own
  if (uid === undefined) return
  const stats = await lstat(directory)
  if (stats.isDirectory() && stats.uid === uid && (stats.mode & 0o077) === 0) return
  throw unusable(
    directory,
    new Error(
      `it must be a directory of this user with mode 0700; remove it, or set MILLRACE_RUN_DIR`,
    ),
  )
}

function unusable(directory: string, cause: unknown): EngineError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new EngineError(
    'CONTROL_UNREACHABLE',
    `The directory ${directory}, by which commands find running jobs, cannot be used: ${why}`,
    { cause },
  )
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
