/**
 * One job in this process, from its start to its end.
 *
 * Signals
 *  1. The first SIGTERM or SIGINT stops the job without drain: last checkpoint, commits confirmed, exit 0.
 *  2. The second ends the process at once (exit 130 or 143): the next start goes on from the last complete checkpoint. So does
 *     `--stop-deadline` after the first (exit 6), which under a supervisor is the supervisor's business.
 */
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { checkpointIdsIn } from '../checkpoint/storage/checkpoint-directory.ts'
import { nodeFileSystem } from '../checkpoint/storage/node-file-system.ts'
import { EngineError, isEngineError } from '../core/errors.ts'
import { loadJobModule } from '../job/job-module.ts'
import type { JobResult, RestoredFrom } from '../job/run.ts'
import type { RunOptions } from '../job/run-options.ts'
import { planExecution } from '../plan/execution-plan.ts'
import { explainPlan } from '../plan/explain.ts'
import type { ExplainFormat } from '../plan/explain.ts'
import type { JobDefinition } from '../plan/job-definition.ts'
import type { JobGraph } from '../plan/job-graph.ts'
import { JobProcess } from '../service/job-process.ts'
import type { JobControl } from '../service/job-process.ts'
import { runDirectoryOf } from '../service/run-registry.ts'
import { resumedFrom, tellSupervisor } from '../service/supervised.ts'
import type { SupervisedStart } from '../service/supervised.ts'
import { configInvalid, jobLayer, mergeLayers } from './configuration.ts'
import type { Layer } from './configuration.ts'
import { EXIT, exitCodeOfSignal } from './exit-codes.ts'
import type { CommandLog } from './log-lines.ts'
import type { JobCommand } from './run-command.ts'
import { decideRun } from './run-decisions.ts'
import type { RunDecisions } from './run-decisions.ts'
import { onStopSignal } from './stop-signal.ts'
import { aboutText, countText } from './table.ts'

/** A job, and how it is to be run. */
interface PreparedJob {
  readonly job: JobDefinition
  readonly module: URL
  readonly graph: JobGraph
  readonly params: unknown
  readonly decisions: RunDecisions
}

/** Loads the job, and joins what it says of itself with what the others say. */
async function prepareJob(command: JobCommand, layers: readonly Layer[]): Promise<PreparedJob> {
  const module = pathToFileURL(resolve(command.file))
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
export async function explainJob(
  command: JobCommand,
  layers: readonly Layer[],
  format: ExplainFormat,
): Promise<string> {
  const { graph, decisions } = await prepareJob(command, layers)
  const text = explainPlan(planExecution(graph, decisions), format)
  return text.endsWith('\n') ? text : `${text}\n`
}

/** What differs between a job that is alone in its process and one that has a supervisor. */
export interface Keeping {
  readonly supervised?: SupervisedStart
  /** Undefined: the supervisor sees to it. */
  readonly stopDeadlineMs?: number
}

/** Runs the job to its end; answers the exit code. */
export async function runJob(
  command: JobCommand,
  layers: readonly Layer[],
  { supervised, stopDeadlineMs }: Keeping,
): Promise<number> {
  const { logger } = command
  const startedAtMs = performance.now()
  const prepared = await prepareJob(command, layers)
  const { job, module, params, decisions } = prepared
  const { threads, parallelism, checkpointIntervalMs, savepoints } = decisions
  const run =
    supervised === undefined ? decisions.run : await resumed(job.name, decisions.run, supervised)
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
    control: controlOf(command, decisions, supervised !== undefined),
    logger,
  })
  const release = onSignals(running, logger, stopDeadlineMs)
  if (supervised !== undefined) {
    process.once('disconnect', () => {
      logger.error('The supervisor is gone: ends at once, so that another one can start the job')
      running.forget()
      process.exit(EXIT.failed)
    })
  }
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

/** What a restarted process begins with; tells the supervisor what was there before the first one. */
async function resumed(
  job: string,
  run: RunOptions,
  { newestBefore }: SupervisedStart,
): Promise<RunOptions> {
  const directory = run.checkpoints?.directory
  const ids = directory === undefined ? [] : await checkpointIdsIn(nodeFileSystem, directory)
  const newestNow = ids.at(-1) ?? 0
  await tellSupervisor({ kind: 'begins', job, newestBefore: newestBefore ?? newestNow })
  const from = resumedFrom(run.from, { newestBefore, newestNow })
  if (from === undefined || from === run.from) return run
  const { force: _force, ...others } = run
  return { ...others, from }
}

/** A supervisor needs the port also where other commands are not to find the job. */
function controlOf(
  { environment }: JobCommand,
  { controlPort }: RunDecisions,
  isSupervised: boolean,
): JobControl | undefined {
  if (controlPort === undefined && !isSupervised) return undefined
  return {
    port: controlPort ?? 0,
    runDirectory: controlPort === undefined ? undefined : runDirectoryOf(environment),
    ...(isSupervised ? { onOpen: (entry) => void tellSupervisor({ kind: 'control', entry }) } : {}),
  }
}

/** A first start, a resume and a start from elsewhere are told apart; a mismatch is an error before this. */
function sayBeginning(
  job: JobDefinition,
  restored: RestoredFrom | undefined,
  { from, checkpoints }: RunOptions,
  logger: CommandLog,
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

function onSignals(
  running: JobProcess,
  logger: CommandLog,
  stopDeadlineMs: number | undefined,
): () => void {
  let first: string | undefined
  let deadline: NodeJS.Timeout | undefined
  const release = onStopSignal((signal) => {
    if (first !== undefined) {
      logger.warn(`${signal} after ${first}: ends at once, without a last checkpoint`)
      running.forget()
      process.exit(exitCodeOfSignal(signal))
    }
    first = signal
    logger.info(`${signal}: a second one ends at once`)
    if (stopDeadlineMs !== undefined) {
      deadline = setTimeout(() => {
        logger.error(
          `The job has not stopped within ${stopDeadlineMs} ms (--stop-deadline): ends without a last checkpoint; the next start goes on from the last complete one`,
        )
        running.forget()
        process.exit(EXIT.deadline)
      }, stopDeadlineMs)
    }
    // how it ends is told by `finished`
    running.stop({}).catch(() => {})
  })
  return () => {
    clearTimeout(deadline)
    release()
  }
}
