/**
 * `millrace run`: one job, from its start to its end.
 *
 * Signals
 *  1. The first SIGTERM or SIGINT stops the job without drain: last checkpoint, commits confirmed, exit 0.
 *  2. The second ends the process at once (exit 130 or 143): the next start goes on from the last complete checkpoint.
 */
import { access } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { EngineError, isEngineError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import { loadJobModule } from '../job/job-module.ts'
import type { JobResult, RestoredFrom } from '../job/run.ts'
import type { RunOptions } from '../job/run-options.ts'
import { planExecution } from '../plan/execution-plan.ts'
import { explainPlan } from '../plan/explain.ts'
import type { ExplainFormat } from '../plan/explain.ts'
import type { JobDefinition } from '../plan/job-definition.ts'
import type { JobGraph } from '../plan/job-graph.ts'
import { JobProcess } from '../service/job-process.ts'
import { runDirectoryOf } from '../service/run-registry.ts'
import { configInvalid, jobLayer, mergeLayers } from './configuration.ts'
import { EXIT, exitCodeOfSignal } from './exit-codes.ts'
import { decideRun } from './run-decisions.ts'
import type { RunDecisions } from './run-decisions.ts'
import { readSources } from './sources.ts'
import type { GivenOptions } from './sources.ts'
import { aboutText, countText } from './table.ts'

export interface JobCommand extends GivenOptions {
  /** As the user wrote it. */
  readonly file: string
  /** Mistakes that the command line has beside the options' values. */
  readonly mistakes: readonly string[]
  readonly logger: Logger
}

/** A job, and how it is to be run. */
interface PreparedJob {
  readonly job: JobDefinition
  readonly module: URL
  readonly graph: JobGraph
  readonly params: unknown
  readonly decisions: RunDecisions
}

/** Reads all sources and the job; throws `CONFIG_INVALID` with every mistake. */
async function prepareJob(command: JobCommand): Promise<PreparedJob> {
  const layers = await readSources(command)
  for (const { warnings } of layers) for (const text of warnings) command.logger.warn(text)
  const path = resolve(command.file)
  const mistakes = [
    ...command.mistakes,
    ...(await missing(path, command.file)),
    ...mergeLayers(layers, { isJobKnown: false }).mistakes,
  ]
  if (mistakes.length > 0) throw configInvalid(mistakes)
  const module = pathToFileURL(path)
  const job = await loadJobModule(module)
  const merged = mergeLayers([jobLayer(job.name, job.defaults), ...layers], { isJobKnown: true })
  if (merged.mistakes.length > 0) throw configInvalid(merged.mistakes)
  const params = merged.configuration.params ?? {}
  const graph = buildGraph(job, params, command.file)
  const decisions = decideRun(merged.configuration, { graph, cores: availableParallelism() })
  // its defaults are in the decisions; where these leave something out they would come back
  return { job: { ...job, defaults: {} }, module, graph, params, decisions }
}

/** What a job's own function throws while it builds is the job's mistake, whatever it is. */
function buildGraph(job: JobDefinition, params: unknown, file: string): JobGraph {
  try {
    return job.build(params)
  } catch (error) {
    if (isEngineError(error)) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new EngineError(
      'JOB_MODULE_INVALID',
      `Job '${job.name}' (${file}) cannot be built: ${why}`,
      {
        cause: error,
        job: job.name,
      },
    )
  }
}

/** The plan that `run` would carry out, as text. */
export async function explainCommand(command: JobCommand, format: ExplainFormat): Promise<string> {
  const { graph, decisions } = await prepareJob(command)
  const text = explainPlan(planExecution(graph, decisions), format)
  return text.endsWith('\n') ? text : `${text}\n`
}

/** Runs the job to its end; answers the exit code. */
export async function runCommand(command: JobCommand): Promise<number> {
  const { logger, environment } = command
  const startedAtMs = performance.now()
  const { job, module, params, decisions } = await prepareJob(command)
  const { run, threads, parallelism, controlPort, checkpointIntervalMs, savepoints } = decisions
  logger.info(
    `Job '${job.name}': parallelism ${parallelism}, ${
      threads === 0 ? 'in the calling thread' : `${threads} thread(s)`
    }, state in ${run.state ?? 'memory'}`,
  )
  logger.info(decisions.checkpointsText)
  const running = new JobProcess({
    job,
    run: { ...run, ...(threads === 0 ? {} : { threads, module }), params },
    module: module.href,
    parallelism,
    checkpointIntervalMs,
    savepoints,
    control:
      controlPort === undefined
        ? undefined
        : { port: controlPort, runDirectory: runDirectoryOf(environment) },
    logger,
  })
  const release = onSignals(running, logger)
  try {
    await running.started
    sayBeginning(job, running.restored, run, logger)
    const result = await running.finished
    const isCheckpointed = run.checkpoints !== undefined
    logger.info(resultText(result, isCheckpointed, performance.now() - startedAtMs))
    if (result.status === 'stopped' && !isCheckpointed) {
      logger.warn('It takes no checkpoints, so its next start begins anew')
    }
    return EXIT.ok
  } catch (error) {
    // nothing of the job is left when this settles; its own error is the one that is told
    await running.finished.catch(() => {})
    throw error
  } finally {
    release()
  }
}

/** A first start, a resume and a start from elsewhere are told apart; a mismatch is an error before this. */
function sayBeginning(
  job: JobDefinition,
  restored: RestoredFrom | undefined,
  { from, checkpoints }: RunOptions,
  logger: Logger,
): void {
  if (restored === undefined) {
    const directory = checkpoints?.directory
    const first = from === 'none' ? 'Begins anew, as asked' : 'First start: begins with nothing'
    logger.info(
      directory === undefined ? first : `${first}; there is no checkpoint in ${directory} yet`,
    )
    return
  }
  const { kind, checkpointId, jobName, completedAtMs, mapping } = restored
  const at = new Date(completedAtMs).toISOString()
  logger.info(
    from === undefined || from === 'latest'
      ? `Resumes from ${kind} ${checkpointId} of job '${jobName}', taken ${at}:`
      : `Restored from ${kind} ${checkpointId} of job '${jobName}', taken ${at} (${from}):`,
  )
  for (const line of mapping) logger.info(`  ${line}`)
  if (jobName !== job.name) {
    logger.warn(`It was taken by another job, '${jobName}', and is used since its uids fit`)
  }
}

function resultText(result: JobResult, isCheckpointed: boolean, durationMs: number): string {
  const { status, recordsRead, recordsWritten, lateRecords, checkpoints, savepoint } = result
  const parts = [
    `${countText(recordsRead)} records read`,
    `${countText(recordsWritten)} written`,
    ...(lateRecords === 0 ? [] : [`${countText(lateRecords)} late`]),
    ...(isCheckpointed ? [`${countText(checkpoints)} checkpoint(s)`] : []),
    ...(savepoint === undefined ? [] : [`savepoint ${savepoint.path}`]),
  ]
  const word = status === 'finished' ? 'Finished' : 'Stopped'
  return `${word} after ${aboutText(durationMs)}: ${parts.join(', ')}`
}

function onSignals(running: JobProcess, logger: Logger): () => void {
  let first: string | undefined
  const onSignal = (signal: 'SIGINT' | 'SIGTERM'): void => {
    if (first !== undefined) {
      logger.warn(`${signal} after ${first}: ends at once, without a last checkpoint`)
      running.forget()
      process.exit(exitCodeOfSignal(signal))
    }
    first = signal
    logger.info(`${signal}: a second one ends at once`)
    // how it ends is told by `finished`
    running.stop({}).catch(() => {})
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return () => {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}

async function missing(path: string, file: string): Promise<string[]> {
  try {
    await access(path)
    return []
  } catch {
    // the mistake is told with the others
    return [`${file}: there is no such job file`]
  }
}
