/**
 * `millrace run` and `millrace explain`: what they were given, and who carries it out.
 *
 * Under a supervisor `run` is two processes: the one that was called keeps the other one running (src/service/supervisor.ts), and only
 * that one loads the engine and the job (job-run.ts).
 */
import { access } from 'node:fs/promises'
import { extname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ExplainFormat } from '../plan/explain.ts'
import { runDirectoryOf } from '../service/run-registry.ts'
import { takeSupervised } from '../service/supervised.ts'
import { configInvalid, mergeLayers } from './configuration.ts'
import type { Layer } from './configuration.ts'
import { EXIT, lastExitCodes } from './exit-codes.ts'
import type { CommandLog } from './log-lines.ts'
import { decideService, jobArguments } from './service-decisions.ts'
import type { ServiceDecisions } from './service-decisions.ts'
import { HTTP_TOKEN_FLAG, variableOf } from './settings.ts'
import { onStopSignal } from './stop-signal.ts'
import { readSources } from './sources.ts'
import type { GivenOptions } from './sources.ts'

export interface JobCommand extends GivenOptions {
  /** As the user wrote it. */
  readonly file: string
  /** Mistakes that the command line has beside the options' values. */
  readonly mistakes: readonly string[]
  readonly logger: CommandLog
  /** What the process itself was started with, after its module. */
  readonly args: readonly string[]
}

/** What was said outside of the job. */
interface Sources {
  readonly layers: readonly Layer[]
  readonly service: ServiceDecisions
}

/** Reads all sources but the job; throws `CONFIG_INVALID` with every mistake. */
async function prepare(command: JobCommand): Promise<Sources> {
  const { logger, file } = command
  const layers = await readSources(command)
  const { configuration, mistakes } = mergeLayers(layers, { isJobKnown: false })
  logger.secrets.add(configuration.http?.token)
  logger.secrets.addParams(configuration.params)
  await logger.use(configuration.logs ?? {})
  for (const { warnings } of layers) for (const text of warnings) logger.warn(text)
  const service = decideService(configuration)
  const all = [...command.mistakes, ...(await missing(file)), ...mistakes]
  if (all.length > 0) throw configInvalid(all)
  return { layers, service }
}

/** The plan that `run` would carry out, as text. */
export async function explainCommand(command: JobCommand, format: ExplainFormat): Promise<string> {
  const { layers } = await prepare(command)
  const { explainJob } = await import('./job-run.ts')
  return explainJob(command, layers, format)
}

/** Runs the job to its end; answers the exit code. */
export async function runCommand(command: JobCommand): Promise<number> {
  const supervised = takeSupervised(process.env)
  const { layers, service } = await prepare(command)
  if (supervised === undefined) {
    if (service.mistakes.length > 0) throw configInvalid(service.mistakes)
    if (service.supervisor !== undefined) return supervise(command, service, service.supervisor)
  }
  const { runJob } = await import('./job-run.ts')
  return runJob(
    command,
    layers,
    supervised === undefined ? { stopDeadlineMs: service.stopDeadlineMs } : { supervised },
  )
}

/** Keeps the job running in a process of its own. */
async function supervise(
  { environment, logger, args }: JobCommand,
  { stopDeadlineMs }: ServiceDecisions,
  { bounds, http, maxOldSpaceMiB }: NonNullable<ServiceDecisions['supervisor']>,
): Promise<number> {
  const { Supervisor } = await import('../service/supervisor.ts')
  const { [variableOf(HTTP_TOKEN_FLAG)]: _token, ...ofJob } = environment
  const supervisor = new Supervisor({
    program: fileURLToPath(new URL(`./main${extname(import.meta.url)}`, import.meta.url)),
    args: jobArguments(args),
    nodeOptions: maxOldSpaceMiB === undefined ? [] : [`--max-old-space-size=${maxOldSpaceMiB}`],
    environment: ofJob,
    bounds,
    lastCodes: lastExitCodes,
    stopDeadlineMs,
    killedCode: EXIT.deadline,
    http,
    runDirectory: runDirectoryOf(environment),
    logger,
  })
  const release = onStopSignal((signal) => supervisor.signal(signal))
  try {
    return await supervisor.run()
  } finally {
    release()
  }
}

async function missing(file: string): Promise<string[]> {
  try {
    await access(resolve(file))
    return []
  } catch {
    // the mistake is told with the others
    return [`${file}: there is no such job file`]
  }
}
