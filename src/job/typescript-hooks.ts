/** Module hooks that erase types; runs on the thread Node keeps for hooks. */
import { readFile } from 'node:fs/promises'
import type { LoadHook } from 'node:module'
import { fileURLToPath } from 'node:url'
import { transformSync } from '@swc/wasm-typescript'

export const load: LoadHook = async (url, context, nextLoad) => {
  if (!/^file:.*\.m?ts$/.test(url)) return nextLoad(url, context)
  const source = await readFile(fileURLToPath(url), 'utf8')
  const { code } = transformSync(source, { mode: 'strip-only', filename: fileURLToPath(url) })
  return { format: 'module', shortCircuit: true, source: `${code}\n//# sourceURL=${url}` }
}
