/**
 * Lets `import()` read TypeScript where Node does not do so by itself (before 22.18): types are erased by the same SWC that newer
 * versions of Node have built in, so a job behaves the same on all of them. Nothing that needs more than erasing is allowed.
 */
import { register } from 'node:module'
import { extname } from 'node:path'

let isRegistered = false

/** Registers the loader for this thread, once, if it is needed. */
export function registerTypeScript(): void {
  const features = process.features as { readonly typescript?: unknown }
  if (isRegistered || features.typescript === 'strip') return
  isRegistered = true
  register(new URL(`./typescript-hooks${extname(import.meta.url)}`, import.meta.url))
}
