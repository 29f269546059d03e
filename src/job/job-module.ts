/** Loading a job's module: its default export is the job. How it is found and read: module-rules.ts. */
import { fileURLToPath } from 'node:url'
import { EngineError, isEngineError } from '../core/errors.ts'
import type { JobDefinition } from '../plan/job-definition.ts'
import { registerModuleHooks } from './module-loader.ts'

export async function loadJobModule(module: URL): Promise<JobDefinition> {
  registerModuleHooks()
  let loaded: { readonly default?: unknown }
  try {
    loaded = (await import(module.href)) as { readonly default?: unknown }
  } catch (error) {
    if (isEngineError(error)) throw error
    throw new EngineError(
      'JOB_MODULE_INVALID',
      `The job ${fileURLToPath(module)} could not be loaded: ${reasonOf(error)}`,
      { cause: error },
    )
  }
  const job = loaded.default
  if (typeof job === 'object' && job !== null && 'millrace' in job && job.millrace === 'job') {
    return job as JobDefinition
  }
  throw new EngineError(
    'JOB_MODULE_INVALID',
    `The module ${fileURLToPath(module)} has no job as its default export; end it with: export default job('name', (env) => { … })`,
  )
}

/** What went wrong, with the line of the source where Node tells it (syntax errors have it only on top of their stack). */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const place = /^file:\/\/\S+:\d+$/.exec(error.stack?.split('\n', 1)[0] ?? '')
  return place === null ? error.message : `${error.message} (${place[0]})`
}
