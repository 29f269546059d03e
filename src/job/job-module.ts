/** Loading a job's module: its default export is the job. TypeScript is stripped of its types on every version of Node. */
import { extname } from 'node:path'
import { EngineError, isEngineError } from '../core/errors.ts'
import type { JobDefinition } from '../plan/job-definition.ts'
import { registerTypeScript } from './typescript-loader.ts'

export async function loadJobModule(module: URL): Promise<JobDefinition> {
  if (/^\.[mc]?ts$/.test(extname(module.pathname))) registerTypeScript()
  let loaded: { readonly default?: unknown }
  try {
    loaded = (await import(module.href)) as { readonly default?: unknown }
  } catch (error) {
    if (isEngineError(error)) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new EngineError(
      'JOB_MODULE_INVALID',
      `The job ${module.pathname} could not be loaded: ${why}`,
      {
        cause: error,
      },
    )
  }
  const job = loaded.default
  if (typeof job === 'object' && job !== null && 'millrace' in job && job.millrace === 'job') {
    return job as JobDefinition
  }
  throw new EngineError(
    'JOB_MODULE_INVALID',
    `The module ${module.pathname} has no job as its default export; end it with: export default job('name', (env) => { … })`,
  )
}
