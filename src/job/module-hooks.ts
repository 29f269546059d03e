/** Module hooks by module-rules.ts for versions of Node that run them on a thread of their own (before 22.15). */
import { readFile } from 'node:fs/promises'
import type { LoadHook, ResolveHook } from 'node:module'
import { fileURLToPath } from 'node:url'
import { eraseTypes, isTypeScript, parentOf, sourceSpecifier } from './module-rules.ts'

export const resolve: ResolveHook = (specifier, context, nextResolve) => {
  const parentURL = parentOf(specifier)
  if (parentURL !== undefined) return nextResolve(specifier, { ...context, parentURL })
  return nextResolve(sourceSpecifier(specifier, context.parentURL), context)
}

export const load: LoadHook = async (url, context, nextLoad) => {
  if (!isTypeScript(url)) return nextLoad(url, context)
  const source = await readFile(fileURLToPath(url), 'utf8')
  return { format: 'module', shortCircuit: true, source: eraseTypes(source, url) }
}
