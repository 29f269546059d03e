/**
 * One job in a process of its own: started, reachable by its control port, known to the commands.
 *
 * Life
 *  1. the job is started; the control port opens and its entry is written at once, so that a job that takes long to restore can be
 *     seen and cancelled;
 *  2. when the job is over its entry is removed, then the port closes after its last answers.
 * A job without a control port (`control: undefined`, or none could be opened) runs all the same.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { EngineError, toEngineError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import { start } from '../job/run.ts'
import type { JobResult, RunningJob } from '../job/run.ts'
import type { Placement, RunOptions } from '../job/run-options.ts'
import type { JobDefinition } from '../plan/job-definition.ts'
import type { JobReport, SavepointReply, StopRequest } from './control-protocol.ts'
import { openControlServer } from './control-server.ts'
import type { ControlledJob, ControlServer } from './control-server.ts'
import type { MetricsPage } from './metrics.ts'
import { registerRun } from './run-registry.ts'
import type { RunEntry } from './run-registry.ts'

export interface JobControl {
  readonly port: number
  /** Where the job is made known; undefined: not to the commands of this machine. */
  readonly runDirectory: string | undefined
  /** Is told how the job can be reached. */
  readonly onOpen?: (entry: RunEntry) => void
}

export interface JobProcessOptions {
  readonly job: JobDefinition
  readonly run: RunOptions & Placement & { readonly params?: unknown }
  /** Where the job lies, for reports. */
  readonly module: string
  readonly parallelism: number
  /** Milliseconds between checkpoints; undefined where none are taken. */
  readonly checkpointIntervalMs: number | undefined
  /** Where savepoints go if no place is named. Absolute. */
  readonly savepoints: string
  /** The control port, 0 for any; undefined: none. */
  readonly control: JobControl | undefined
  readonly logger: Logger
}

export class JobProcess implements ControlledJob {
  /** Settles once: with the totals, or with the error that ended the job; then nothing of it is left. */
  readonly finished: Promise<JobResult>
  readonly #options: JobProcessOptions
  readonly #running: RunningJob
  readonly #runId = randomUUID()
  readonly #startedAtMs = Date.now()
  #server: ControlServer | undefined
  #unregister: () => void = () => {}
  #metrics: MetricsPage | undefined

  constructor(options: JobProcessOptions) {
    this.#options = options
    this.#running = start(options.job, { ...options.run, logger: options.logger })
    this.finished = this.#run()
    // whoever never asks for the result need not hear of its failure
    this.finished.catch(() => {})
  }

  /** Settles when it is known what the job begins with; rejects with what prevents its start. */
  get started(): Promise<void> {
    return this.#running.started
  }

  get restored(): RunningJob['restored'] {
    return this.#running.restored
  }

  report(): JobReport {
    const { job, run, module, parallelism, checkpointIntervalMs } = this.#options
    const { status, restored } = this.#running
    const figures = this.#figures()
    const totals = figures?.totals()
    const { lastCheckpoint, lastSavepoint } = figures ?? {}
    const directory = run.checkpoints?.directory
    return {
      job: job.name,
      runId: this.#runId,
      pid: process.pid,
      status,
      module,
      startedAtMs: this.#startedAtMs,
      parallelism,
      threads: run.threads ?? 0,
      checkpoints:
        directory === undefined || checkpointIntervalMs === undefined
          ? null
          : { directory, intervalMs: checkpointIntervalMs },
      restored:
        restored === undefined
          ? null
          : { kind: restored.kind, checkpointId: restored.checkpointId },
      lastCheckpoint: lastCheckpoint === undefined ? null : checkpointReport(lastCheckpoint),
      lastSavepoint:
        lastSavepoint === undefined
          ? null
          : { ...checkpointReport(lastSavepoint), path: lastSavepoint.path ?? '' },
      checkpointCount: figures?.checkpoints ?? 0,
      checkpointFailureCount: figures?.checkpointFailures ?? 0,
      restartCount: figures?.restarts ?? 0,
      lastFailure: figures?.lastFailure ?? null,
      recordsRead: totals?.recordsRead ?? 0,
      recordsWritten: totals?.recordsWritten ?? 0,
      lateRecords: totals?.lateRecords ?? 0,
      tasks: (figures?.tasks() ?? []).map((task) => ({
        ...task,
        watermarkMs: Number.isFinite(task.watermarkMs) ? task.watermarkMs : null,
      })),
    }
  }

  async metrics(): Promise<string> {
    // not for those who do without
    const { MetricsPage, jobFamilies, jobSamples } = await import('./metrics.ts')
    this.#metrics ??= new MetricsPage(jobFamilies, 'millrace_')
    const subtasks = this.#figures()?.subtasks() ?? []
    return this.#metrics.text(jobSamples(this.report(), subtasks, Date.now()))
  }

  async savepoint(directory: string | undefined): Promise<SavepointReply> {
    const info = await this.#running.savepoint(directory ?? this.#options.savepoints)
    this.#options.logger.info(`Savepoint ${info.checkpointId} taken: ${info.path}`)
    return info
  }

  async checkpoint(): Promise<{ readonly checkpointId: number }> {
    return { checkpointId: await this.#running.checkpoint() }
  }

  stop({ drain, savepoint }: StopRequest): Promise<JobResult> {
    const { status } = this.#running
    const isRunning = status === 'running'
    if (!isRunning && (drain === true || savepoint !== undefined)) {
      throw new EngineError(
        'JOB_NOT_RUNNING',
        `Job '${this.#options.job.name}' is ${status}, so it can neither be drained nor saved; wait until it runs, or stop it without`,
      )
    }
    const how = isRunning
      ? `Stopping ${drain === true ? 'with drain: windows fire, then' : 'after'} a last checkpoint`
      : `Stopping; it is ${status}, so there will be no further checkpoint`
    if (status !== 'stopping') this.#options.logger.info(how)
    return this.#running.stop({
      drain: drain ?? false,
      ...(savepoint === undefined ? {} : { savepoint }),
    })
  }

  async cancel(): Promise<void> {
    await this.#running.cancel()
  }

  /** Takes back at once what would tell others of this process; for exits that wait for nothing. */
  forget(): void {
    this.#unregister()
  }

  async #run(): Promise<JobResult> {
    const { control, logger } = this.#options
    if (control !== undefined) {
      try {
        await this.#openControl(control)
      } catch (error) {
        if (control.port !== 0) {
          await this.#running.cancel()
          throw new EngineError(
            'CONTROL_UNREACHABLE',
            `The control port ${control.port} cannot be opened: ${toEngineError(error).message}`,
            { cause: error },
          )
        }
        logger.warn(`Other commands will not find this job: ${toEngineError(error).message}`)
      }
    }
    try {
      return await this.#running.finished
    } finally {
      this.#unregister()
      await this.#server?.close()
    }
  }

  async #openControl({ port, runDirectory, onOpen }: JobControl): Promise<void> {
    const token = randomBytes(32).toString('base64url')
    const server = await openControlServer(this, { port, token })
    this.#server = server
    const entry: RunEntry = {
      job: this.#options.job.name,
      runId: this.#runId,
      pid: process.pid,
      host: hostname(),
      address: server.address,
      port: server.port,
      token,
      startedAtMs: this.#startedAtMs,
    }
    onOpen?.(entry)
    if (runDirectory !== undefined) this.#unregister = await registerRun(runDirectory, entry)
  }

  /** Undefined as long as the job comes up. */
  #figures(): RunningJob['figures'] | undefined {
    try {
      return this.#running.figures
    } catch {
      // it says so by its status
      return undefined
    }
  }
}

function checkpointReport({
  checkpointId,
  completedAtMs,
  durationMs,
  bytes,
}: NonNullable<JobReport['lastCheckpoint']>): NonNullable<JobReport['lastCheckpoint']> {
  return { checkpointId, completedAtMs, durationMs: Math.round(durationMs), bytes }
}
