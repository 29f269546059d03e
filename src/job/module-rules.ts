/**
 * How the module of a job and what it imports are found and read, the same on every version of Node. Pure but for reading the
 * file system; used by both kinds of module hooks (module-hooks.ts, module-loader.ts).
 *
 * Rules
 *  - `millrace` and its entry points are those of the engine that runs, wherever the job lies: there is one engine, also where it
 *    is installed globally or the job's project has another copy.
 *  - TypeScript is read by erasing its types with the SWC that newer versions of Node have built in. Nothing that needs more than
 *    erasing is allowed (no enums, no parameter properties). It is always an ES module, whatever package.json says.
 *  - `./other.js` finds `./other.ts` where there is no `./other.js`, as the compiler has it.
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type * as SwcTypeScript from '@swc/wasm-typescript'

const require = createRequire(import.meta.url)

/** The file from which the engine's own name is looked up, if `specifier` is an entry point of the engine. */
export function parentOf(specifier: string): string | undefined {
  return /^millrace(\/|$)/.test(specifier) ? import.meta.url : undefined
}

/** What to look for instead of `specifier`, imported by the module `parentUrl`. */
export function sourceSpecifier(specifier: string, parentUrl: string | undefined): string {
  if (parentUrl === undefined || !/^\.{1,2}\/.*\.m?js$/.test(specifier)) return specifier
  if (!parentUrl.startsWith('file:')) return specifier
  const asWritten = new URL(specifier, parentUrl)
  if (existsSync(asWritten)) return specifier
  const typed = specifier.replace(/js$/, 'ts')
  return existsSync(new URL(typed, parentUrl)) ? typed : specifier
}

/** Whether the module at `url` is TypeScript. */
export function isTypeScript(url: string): boolean {
  return /^file:[^?#]*\.m?ts([?#]|$)/.test(url)
}

/** TypeScript without its types; every character that stays keeps its line and column. */
export function eraseTypes(source: string, url: string): string {
  const filename = fileURLToPath(url)
  // loaded where there are types to erase only: compiling it takes longer than starting a thread
  const { transformSync } = require('@swc/wasm-typescript') as typeof SwcTypeScript
  try {
    const { code } = transformSync(source, { mode: 'strip-only', filename })
    return `${code}\n//# sourceURL=${url}`
  } catch (error) {
    // SWC throws plain objects: { code, message, snippet, startLine, ... }
    const { message, startLine } = error as { message?: string; startLine?: number }
    throw new SyntaxError(
      `${filename}${startLine === undefined ? '' : `:${startLine}`}: ${message ?? String(error)}`,
      { cause: error },
    )
  }
}
