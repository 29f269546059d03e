/** Declaring a job: what a user's module exports. */
import type { Duration } from '../core/duration.ts'
import { EngineError } from '../core/errors.ts'
import { checkOptionNames } from '../core/options.ts'
import type { Schema } from '../core/schema.ts'
import { isUnchecked, issueText, validate } from '../core/schema.ts'
import type { ExplainFormat } from '../plan/explain.ts'
import { explainPlan } from '../plan/explain.ts'
import { planExecution } from '../plan/execution-plan.ts'
import type { JobDefinition, JobDefaults } from '../plan/job-definition.ts'
import { jobDefaultNames } from '../plan/job-definition.ts'
import type { JobGraph } from '../plan/job-graph.ts'
import { MAX_PARALLELISM_DEFAULT } from '../core/key-group.ts'
import { GraphBuilder } from './graph-builder.ts'
import type { Env } from './streams.ts'
import { EnvImplementation } from './stream-implementations.ts'

/** A job as declared: a description that can be explained, run and started any number of times. */
export interface Job<P = unknown> extends JobDefinition {
  /** Only in the type. */
  readonly params?: Schema<P>
  /** The plan, without running it. Throws the job's mistake, or `JOB_INVALID` listing all of them. */
  explain(options?: ExplainOptions & ParamsOption<P>): string
}

/** How a plan is shown. */
export interface ExplainOptions {
  /** Default `'text'`. */
  readonly format?: ExplainFormat
  /** Default 1. */
  readonly parallelism?: number
  /** Default 128. */
  readonly maxParallelism?: number
  /** Default true. */
  readonly preAggregate?: boolean
}

/** Parameters of a deployment; missing or wrong ones are `PARAMS_INVALID`, with every mistake named. */
export interface ParamsOption<P> {
  readonly params?: P
}

/** Defaults of a job. Config file, environment and command line override them, in this order. */
export interface JobOptions<P = unknown> extends JobDefaults {
  /** Decodes the parameters of a deployment; their type is `env.params`. */
  readonly params?: Schema<P>
}

/**
 * Declares a job; a module's default export. `build` runs once in every thread and must describe the same
 * graph each time: take what differs between deployments from `env.params`, never from a clock or a random
 * number. Graphs that differ between threads stop the start with `GRAPH_DIFFERS`, naming the first operator.
 *
 * @example
 * export default job('page-views', (env) => {
 *   env.from('views', generate({ count: 1000, record: (index) => ({ page: `p${index % 7}` }) }))
 *     .keyBy((view) => view.page)
 *     .count('views-per-page')
 *     .to('print', printSink())
 * })
 */
export function job(name: string, build: (env: Env) => void): Job
export function job<P>(name: string, options: JobOptions<P>, build: (env: Env<P>) => void): Job<P>
export function job<P>(
  name: string,
  optionsOrBuild: JobOptions<P> | ((env: Env<P>) => void),
  maybeBuild?: (env: Env<P>) => void,
): Job<P> {
  const options = typeof optionsOrBuild === 'function' ? {} : optionsOrBuild
  const build = typeof optionsOrBuild === 'function' ? optionsOrBuild : maybeBuild
  if (typeof name !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name)) {
    throw new EngineError(
      'OPTION_INVALID',
      `'${String(name)}' is no job name; use up to 100 letters, digits, '.', '_' and '-', beginning with a letter or digit`,
    )
  }
  if (typeof build !== 'function') {
    throw new EngineError(
      'OPTION_INVALID',
      `Job '${name}': the last argument must be the function that builds it`,
    )
  }
  const { params: schema, ...defaults } = options
  checkOptionNames(defaults, jobDefaultNames, `job('${name}', …)`)
  const buildGraph = (params: unknown): JobGraph => {
    const graph = new GraphBuilder(name)
    build(new EnvImplementation(graph, decodeParams(name, schema, params)))
    return graph.build()
  }
  return {
    millrace: 'job',
    name,
    defaults,
    build: buildGraph,
    explain({ format = 'text', parallelism, maxParallelism, preAggregate, params } = {}) {
      const plan = planExecution(buildGraph(params), {
        parallelism: parallelism ?? defaults.parallelism ?? 1,
        maxParallelism: maxParallelism ?? defaults.maxParallelism ?? MAX_PARALLELISM_DEFAULT,
        preAggregate: preAggregate ?? defaults.preAggregate ?? true,
      })
      return explainPlan(plan, format)
    },
  }
}

function decodeParams<P>(jobName: string, schema: Schema<P> | undefined, params: unknown): P {
  if (schema === undefined || isUnchecked(schema)) return params as P
  const result = validate(schema, params)
  if (result.issues === undefined) return result.value
  const list = result.issues.map((issue) => `\n  ${issueText(issue)}`).join('')
  throw new EngineError(
    'PARAMS_INVALID',
    `The parameters of job '${jobName}' are not right:${list}`,
    {
      job: jobName,
    },
  )
}

/** A length of time, for options. */
export type { Duration }
