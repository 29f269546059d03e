/** From a configuration and a job to how it is run: what is left open is decided here. Pure. */
import { join, resolve } from 'node:path'
import { MAX_PARALLELISM_DEFAULT } from '../core/key-group.ts'
import { ms } from '../core/duration.ts'
import type { RunOptions } from '../job/run-options.ts'
import { planExecution } from '../plan/execution-plan.ts'
import type { CheckpointOptions, RestartOptions } from '../plan/job-definition.ts'
import type { JobGraph } from '../plan/job-graph.ts'
import type { Configuration } from './settings.ts'
import { restartFields } from './settings.ts'

/** How a job is run, with nothing left open that the commands decide. */
export interface RunDecisions {
  readonly run: RunOptions
  readonly threads: number
  readonly parallelism: number
  readonly maxParallelism: number
  /** Undefined: none are taken. */
  readonly checkpointIntervalMs: number | undefined
  /** Absolute. */
  readonly savepoints: string
  /** Undefined: no control port. */
  readonly controlPort: number | undefined
  /** A word on checkpoints for whoever starts the job. */
  readonly checkpointsText: string
}

/** Where things go that nobody gave a place. */
const HOME = '.millrace'
const INTERVAL_DEFAULT = '10s'

export function decideRun(
  configuration: Configuration,
  { graph, cores }: { readonly graph: JobGraph; readonly cores: number },
): RunDecisions {
  const { state, leveldb, from, force, allowNonRestoredState, preAggregate } = configuration
  const { onPartialCommit, claim, closeTimeout } = configuration
  const maxParallelism = configuration.maxParallelism ?? MAX_PARALLELISM_DEFAULT
  const scale = decideScale(configuration, { graph, cores, maxParallelism })
  const isBounded = graph.nodes.every((node) => node.kind !== 'source' || node.source.isBounded)
  const checkpoints = decideCheckpoints(configuration, { jobName: graph.name, isBounded })
  const restart = decideRestart(configuration)
  return {
    ...scale,
    maxParallelism,
    run: {
      parallelism: scale.parallelism,
      maxParallelism,
      ...(state === undefined ? {} : { state }),
      ...(leveldb === undefined ? {} : { leveldb }),
      ...(checkpoints === undefined ? {} : { checkpoints }),
      ...(restart === undefined ? {} : { restart }),
      ...(closeTimeout === undefined ? {} : { closeTimeout }),
      ...(from === undefined ? {} : { from }),
      ...(force === undefined ? {} : { force }),
      ...(allowNonRestoredState === undefined ? {} : { allowNonRestoredState }),
      ...(onPartialCommit === undefined ? {} : { onPartialCommit }),
      ...(claim === undefined ? {} : { claim }),
      ...(preAggregate === undefined ? {} : { preAggregate }),
    },
    checkpointIntervalMs:
      checkpoints === undefined ? undefined : ms(checkpoints.interval ?? INTERVAL_DEFAULT),
    savepoints: resolve(configuration.savepoints ?? join(HOME, 'savepoints', graph.name)),
    controlPort: configuration.control === 'off' ? undefined : (configuration.control ?? 0),
    checkpointsText:
      checkpoints === undefined
        ? `Takes no checkpoints${isBounded && configuration.checkpoints?.directory !== 'none' ? ', since its input ends' : ''}: ` +
          `a new start begins anew (--checkpoint-dir DIR changes that)`
        : `Takes checkpoints every ${checkpoints.interval ?? INTERVAL_DEFAULT} in ${checkpoints.directory}`,
  }
}

/** A thread more than there are subtasks of an operator would have nothing to do. */
function decideScale(
  { parallelism, threads }: Configuration,
  {
    graph,
    cores,
    maxParallelism,
  }: { readonly graph: JobGraph; readonly cores: number; readonly maxParallelism: number },
): { readonly threads: number; readonly parallelism: number } {
  if (parallelism === undefined) {
    const chosen = threads ?? cores
    return { threads: chosen, parallelism: Math.max(1, Math.min(chosen, maxParallelism)) }
  }
  if (threads !== undefined) return { threads, parallelism }
  const { tasks } = planExecution(graph, { parallelism, maxParallelism })
  return {
    parallelism,
    threads: Math.min(cores, Math.max(...tasks.map((task) => task.parallelism))),
  }
}

/**
 * Whoever starts a job without end expects it to go on where it was; whoever runs a job over a file twice expects it to read the
 * file twice. Who says anything of checkpoints, or begins with some, wants them.
 */
function decideCheckpoints(
  { checkpoints, from }: Configuration,
  { jobName, isBounded }: { readonly jobName: string; readonly isBounded: boolean },
): CheckpointOptions | undefined {
  if (checkpoints?.directory === 'none') return undefined
  const isFromPath = from !== undefined && from !== 'latest' && from !== 'none'
  if (checkpoints === undefined && isBounded && !isFromPath) return undefined
  const directory = checkpoints?.directory ?? join(HOME, 'checkpoints', jobName)
  return { ...checkpoints, directory: resolve(directory) }
}

function decideRestart({ restart }: Configuration): RestartOptions | undefined {
  if (restart?.kind === undefined) return undefined
  const defaults = Object.entries(restartFields[restart.kind]).filter(
    ([, value]) => value !== undefined,
  )
  // the fields are those of the strategy: mergeLayers saw to that
  return { ...Object.fromEntries(defaults), ...restart } as RestartOptions
}
