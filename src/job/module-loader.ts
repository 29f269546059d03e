/** Lets `import()` of this thread find and read jobs by module-rules.ts. */
import { readFileSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { eraseTypes, isTypeScript, parentOf, sourceSpecifier } from './module-rules.ts'

/** Of `module.registerHooks` (Node 22.15 and later), what is used here. */
interface SyncHooks {
  resolve(
    specifier: string,
    context: { readonly parentURL?: string },
    nextResolve: (specifier: string, context?: object) => unknown,
  ): unknown
  load(url: string, context: object, nextLoad: (url: string, context?: object) => unknown): unknown
}

const hooks: SyncHooks = {
  resolve(specifier, context, nextResolve) {
    const parentURL = parentOf(specifier)
    if (parentURL !== undefined) return nextResolve(specifier, { ...context, parentURL })
    return nextResolve(sourceSpecifier(specifier, context.parentURL), context)
  },
  load(url, context, nextLoad) {
    if (!isTypeScript(url)) return nextLoad(url, context)
    const source = eraseTypes(readFileSync(fileURLToPath(url), 'utf8'), url)
    return { format: 'module', shortCircuit: true, source }
  },
}

let isRegistered = false

/** Registers the hooks for this thread, once. */
export function registerModuleHooks(): void {
  if (isRegistered) return
  isRegistered = true
  const { registerHooks } = nodeModule as { readonly registerHooks?: (hooks: SyncHooks) => void }
  if (registerHooks !== undefined) registerHooks(hooks)
  else nodeModule.register(new URL(`./module-hooks${extname(import.meta.url)}`, import.meta.url))
}
