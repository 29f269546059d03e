/**
 * Which files a pattern names now. Reads directories and the size and time of files, never what is in them.
 *
 * Called by the enumerator of a file source, on the coordinator's thread; costs one `stat` for each file and call. The order is that
 * of the paths' code units, the same on every machine.
 */
import type { Stats } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { EngineError } from '../../src/core/errors.ts'
import { isHidden } from './path-pattern.ts'
import type { NamePattern, PathPattern } from './path-pattern.ts'

/** A file as it was found. */
export interface FoundFile {
  /** Below the pattern's base, with `/` on every platform; empty where the base is the file. */
  readonly path: string
  readonly sizeBytes: number
  /** When it was changed last, in whole milliseconds: copies that keep times keep no more than that everywhere. */
  readonly modifiedMs: number
}

/**
 * The files of a pattern: the file itself, those directly in the directory it names, or those that its wildcards match.
 * Throws `FILE_NOT_FOUND` where the base does not exist, `SOURCE_FAILED` where something can't be read.
 */
export async function findFiles(
  { base, levels }: PathPattern,
  signal: AbortSignal,
): Promise<FoundFile[]> {
  const baseStats = await statOf(base)
  if (baseStats === undefined) {
    throw new EngineError(
      'FILE_NOT_FOUND',
      `There is no file or directory ${base}; make it before the job starts, or correct the path of the source`,
    )
  }
  if (baseStats.isFile() && levels.length === 0) return [toFound('', baseStats)]
  const found: FoundFile[] = []
  await collect(base, '', levels.length === 0 ? [anyVisible] : levels, found, signal)
  return found.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
}

const anyVisible: NamePattern = { literal: undefined, matches: (name) => !isHidden(name) }

async function collect(
  base: string,
  path: string,
  levels: readonly NamePattern[],
  found: FoundFile[],
  signal: AbortSignal,
): Promise<void> {
  const [level, ...below] = levels
  if (level === undefined) return
  for (const name of await namesIn(join(base, path), level)) {
    signal.throwIfAborted()
    const inner = path === '' ? name : `${path}/${name}`
    const stats = await statOf(join(base, inner))
    if (stats === undefined) {
      checkReadable(name, join(base, inner))
      continue
    }
    if (below.length > 0) {
      if (stats.isDirectory()) await collect(base, inner, below, found, signal)
    } else if (stats.isFile()) {
      found.push(toFound(inner, stats))
    }
  }
}

async function namesIn(directory: string, level: NamePattern): Promise<readonly string[]> {
  if (level.literal !== undefined) return [level.literal]
  try {
    return (await readdir(directory)).filter((name) => level.matches(name))
  } catch (error) {
    // removed since its parent was read: it has no files any more
    if (isMissing(error)) return []
    throw unreadable(directory, error)
  }
}

/** What the file system says of a path, links followed; undefined where there is nothing. */
async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw unreadable(path, error)
  }
}

/** A listed file that is not there was removed in between, unless its name is one that text cannot say. */
function checkReadable(name: string, path: string): void {
  if (!name.includes('\ufffd')) return
  throw new EngineError(
    'SOURCE_FAILED',
    `The name of the file ${path} is no UTF-8 text, so it cannot be opened; rename it`,
    { retryable: false },
  )
}

function toFound(path: string, stats: Stats): FoundFile {
  return { path, sizeBytes: stats.size, modifiedMs: Math.floor(stats.mtimeMs) }
}

function unreadable(path: string, cause: unknown): EngineError {
  const text = cause instanceof Error ? cause.message : String(cause)
  return new EngineError('SOURCE_FAILED', `The path ${path} cannot be read: ${text}`, { cause })
}

function isMissing(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    (error.code === 'ENOENT' || error.code === 'ENOTDIR')
  )
}
