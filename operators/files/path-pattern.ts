/**
 * A path with wildcards, taken apart: the directory that is certain, and a test for each name below it. Pure.
 *
 *  - `*` stands for any characters of one name, `?` for one. `**`, braces and classes are not known: the first is refused, the
 *    others are characters like any other. This little is own code: a library would be a dependency for ten lines, and
 *    would bring syntax that file names may contain by chance.
 *  - A wildcard does not match names that begin with `.` or `_`, unless the pattern begins so: those are files that are still
 *    written, of the file sink and of most other programs.
 */
import { parse, resolve, sep } from 'node:path'
import { EngineError } from '../../src/core/errors.ts'

export interface PathPattern {
  /** The absolute path up to the first wildcard; without a wildcard, the path itself. */
  readonly base: string
  /** What is asked of the names below `base`, one for each level; empty without a wildcard. */
  readonly levels: readonly NamePattern[]
}

/** A test for one name. */
export interface NamePattern {
  /** The name itself, where it has no wildcard. */
  readonly literal: string | undefined
  matches(name: string): boolean
}

/** Takes a path apart. Throws `OPTION_INVALID` for what is not known. */
export function parsePathPattern(path: string): PathPattern {
  if (path === '') throw new EngineError('OPTION_INVALID', 'path must not be empty')
  const absolute = resolve(path)
  const { root } = parse(absolute)
  const names = absolute.slice(root.length).split(sep)
  if (names.some((name) => name.includes('**'))) {
    throw new EngineError(
      'OPTION_INVALID',
      `path '${path}' has a ** in it, which is not known here; write one * for each level of directories`,
    )
  }
  const first = names.findIndex(hasWildcard)
  if (first < 0) return { base: absolute, levels: [] }
  return { base: resolve(root, ...names.slice(0, first)), levels: names.slice(first).map(toLevel) }
}

/** Whether a name marks a file as not meant for readers. */
export function isHidden(name: string): boolean {
  return name.startsWith('.') || name.startsWith('_')
}

function hasWildcard(name: string): boolean {
  return name.includes('*') || name.includes('?')
}

function toLevel(pattern: string): NamePattern {
  if (!hasWildcard(pattern)) {
    return { literal: pattern, matches: (name) => name === pattern }
  }
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  const expression = new RegExp(`^${source}$`, 'su')
  return {
    literal: undefined,
    matches: (name) =>
      expression.test(name) && (!isHidden(name) || name.startsWith(pattern.charAt(0))),
  }
}
