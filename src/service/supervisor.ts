/**
 * Keeps a job running: starts it in a process of its own, and starts it again from its newest checkpoint when that has crashed.
 *
 * Life
 *  1. HTTP opens, if it is wanted; then the process of the job is started, with the same arguments as the supervisor's.
 *  2. Once a second the job is asked for its report, over its control port; health.ts judges what is known.
 *  3. When the process ends, restart-bounds.ts decides: end with it, or wait and start the next. In between HTTP still answers.
 *  4. A signal goes on to the job, whose process group is its own, so that a terminal's Ctrl-C comes once, from here. If the job has
 *     not ended `stopDeadlineMs` after the first, it is killed.
 *
 * The supervisor loads nothing of the job: what crashes the one leaves the other alone. What is the job's memory limit is its own.
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { EngineError, assert, toEngineError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import type {
  CheckpointReply,
  JobReport,
  SavepointReply,
  StopReply,
  StopRequest,
} from './control-protocol.ts'
import { ControlClient } from './control-client.ts'
import type { ControlServer } from './control-server.ts'
import { failuresAfter, isReady, troublesOf } from './health.ts'
import type { HealthFacts } from './health.ts'
import { MetricsPage, supervisorFamilies } from './metrics.ts'
import type { Sample } from './metrics.ts'
import { afterEnd, endText } from './restart-bounds.ts'
import type { ProcessEnd, RestartBounds } from './restart-bounds.ts'
import { keepSecret } from './run-registry.ts'
import { openServiceServer } from './service-server.ts'
import type { ServiceJob, Verdict } from './service-server.ts'
import { SUPERVISED } from './supervised.ts'
import type { SupervisedMessage, SupervisedStart } from './supervised.ts'

export interface SupervisorOptions {
  /** The module that runs the job, and its arguments. */
  readonly program: string
  readonly args: readonly string[]
  /** Of Node itself. */
  readonly nodeOptions: readonly string[]
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly bounds: RestartBounds
  /** Exit codes of the job after which a restart cannot help. */
  readonly lastCodes: readonly number[]
  readonly stopDeadlineMs: number
  /** The exit code of a job that had to be killed then. */
  readonly killedCode: number
  /** Without a token one is made, and kept in a file of the user in `runDirectory`. */
  readonly http:
    { readonly host: string; readonly port: number; readonly token?: string } | undefined
  readonly runDirectory: string
  readonly logger: Logger
}

/** The process of the job that runs now. */
interface Child {
  readonly process: ChildProcess
  readonly startedAtMs: number
  client: ControlClient | undefined
  report: JobReport | undefined
  runningSinceMs: number | undefined
  answeredAtMs: number
}

const ASK_EVERY_MS = 1_000
const REPORT_MS_MAX = 5_000

export class Supervisor implements ServiceJob {
  readonly #options: SupervisorOptions
  readonly #metrics = new MetricsPage(supervisorFamilies, 'millrace_supervisor_')
  readonly #restartedAtMs: number[] = []
  #restartCount = 0
  #child: Child | undefined
  #newestBefore: number | undefined
  #jobName: string | undefined
  #lastCheckpointAtMs: number | undefined
  #failuresInRow = 0
  #firstSignal: NodeJS.Signals | undefined
  #isKilled = false
  #cancelWait: () => void = () => {}

  constructor(options: SupervisorOptions) {
    this.#options = options
  }

  /** Runs until the job has ended for good; answers the exit code. */
  async run(): Promise<number> {
    const { logger } = this.#options
    const http = await this.#openHttp()
    const asking = setInterval(() => void this.#ask(), ASK_EVERY_MS)
    try {
      for (;;) {
        if (this.#firstSignal !== undefined) {
          logger.info('Stopped while the job was to be started: its last checkpoint stands')
          return 0
        }
        const end = await this.#runChild()
        const decision = this.#afterEnd(end)
        if (decision.kind === 'end') {
          if (decision.gaveUp) {
            const { restartsMax, withinMs } = this.#options.bounds
            logger.error(
              `The process of the job ended with ${endText(end)}; it was restarted ${restartsMax} time(s) within ${withinMs} ms, which is as often as it may be: gives up`,
            )
          }
          return decision.exitCode
        }
        logger.warn(
          `The process of the job ended with ${endText(end)}; starting it again in ${decision.delayMs} ms`,
        )
        await this.#wait(decision.delayMs)
        if (this.#firstSignal !== undefined) continue
        this.#restartCount += 1
        this.#restartedAtMs.push(Date.now())
        this.#forgetOldRestarts()
      }
    } finally {
      clearInterval(asking)
      await http?.close()
    }
  }

  /** Hands a signal on. From the first one on the job has its deadline. */
  signal(signal: NodeJS.Signals): void {
    const { stopDeadlineMs, logger } = this.#options
    if (this.#firstSignal === undefined) {
      this.#firstSignal = signal
      const deadline = setTimeout(() => {
        logger.error(
          `The job has not stopped within ${stopDeadlineMs} ms of ${signal} (--stop-deadline) and is killed; its next start goes on from its last complete checkpoint`,
        )
        this.#isKilled = true
        this.#child?.process.kill('SIGKILL')
      }, stopDeadlineMs)
      deadline.unref()
    }
    this.#cancelWait()
    this.#child?.process.kill(signal)
  }

  health(): Verdict {
    const troubles = troublesOf(this.#facts(), Date.now())
    return this.#verdict(troubles.length === 0, troubles)
  }

  readiness(): Verdict {
    return this.#verdict(isReady(this.#facts()), [])
  }

  report(): Promise<JobReport> {
    return this.#call((client) => client.report(REPORT_MS_MAX))
  }

  savepoint(directory: string | undefined): Promise<SavepointReply> {
    return this.#call((client) => client.savepoint(directory))
  }

  checkpoint(): Promise<CheckpointReply> {
    return this.#call((client) => client.checkpoint())
  }

  stop(request: StopRequest): Promise<StopReply> {
    return this.#call((client) => client.stop(request))
  }

  cancel(): Promise<void> {
    return this.#call((client) => client.cancel())
  }

  /** The supervisor's own, and the job's if it answers. */
  async metrics(): Promise<string> {
    const own = await this.#metrics.text(this.#samples())
    try {
      return `${own}${(await this.#child?.client?.metrics(REPORT_MS_MAX)) ?? ''}`
    } catch {
      // millrace_job_up says so
      return own
    }
  }

  // ---- the process of the job

  /** Settles when it has ended. */
  #runChild(): Promise<ProcessEnd> {
    const { program, args, nodeOptions, environment } = this.#options
    const start: SupervisedStart = { newestBefore: this.#newestBefore }
    const child = fork(program, args, {
      execArgv: [...process.execArgv, ...nodeOptions],
      env: { ...environment, [SUPERVISED]: JSON.stringify(start) },
      // a group of its own, on systems that have such
      detached: process.platform !== 'win32',
    })
    const nowMs = Date.now()
    this.#child = {
      process: child,
      startedAtMs: nowMs,
      client: undefined,
      report: undefined,
      runningSinceMs: undefined,
      answeredAtMs: nowMs,
    }
    child.on('message', (message) => this.#onMessage(message as SupervisedMessage))
    return new Promise((resolve, reject) => {
      child.on('error', (error) => {
        if (child.pid === undefined) reject(toEngineError(error))
      })
      child.on('exit', (code, signal) => {
        this.#child = undefined
        resolve({ code, signal })
      })
    })
  }

  #onMessage(message: SupervisedMessage): void {
    switch (message.kind) {
      case 'begins':
        this.#jobName = message.job
        this.#newestBefore ??= message.newestBefore
        return
      case 'control':
        if (this.#child !== undefined) {
          this.#child.client = new ControlClient({ ...message.entry, path: '' })
          void this.#ask()
        }
    }
  }

  #afterEnd(end: ProcessEnd): ReturnType<typeof afterEnd> {
    const { bounds, lastCodes, killedCode } = this.#options
    const decision = afterEnd(
      {
        end,
        lastCodes,
        stopSignal: this.#firstSignal,
        killedCode: this.#isKilled ? killedCode : undefined,
        restartedAtMs: this.#restartedAtMs,
        nowMs: Date.now(),
      },
      bounds,
    )
    if (decision.kind === 'restart') this.#failuresInRow += 1
    return decision
  }

  #forgetOldRestarts(): void {
    const { restartsMax } = this.#options.bounds
    while (this.#restartedAtMs.length > restartsMax) this.#restartedAtMs.shift()
  }

  #wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, delayMs)
      this.#cancelWait = () => {
        clearTimeout(timer)
        resolve()
      }
      if (this.#firstSignal !== undefined) this.#cancelWait()
    })
  }

  // ---- what is known of it

  #isAsking = false

  async #ask(): Promise<void> {
    const child = this.#child
    if (child?.client === undefined || this.#isAsking) return
    this.#isAsking = true
    try {
      this.#onReport(child, await child.client.report(REPORT_MS_MAX))
    } catch {
      // it comes up, is ending or is stuck: the age of its last answer counts
    } finally {
      this.#isAsking = false
    }
  }

  #onReport(child: Child, report: JobReport): void {
    const nowMs = Date.now()
    this.#failuresInRow = failuresAfter(this.#failuresInRow, {
      before: child.report,
      now: report,
      nowMs,
    })
    child.report = report
    child.answeredAtMs = nowMs
    if (report.status === 'running') child.runningSinceMs ??= nowMs
    this.#lastCheckpointAtMs = report.lastCheckpoint?.completedAtMs ?? this.#lastCheckpointAtMs
  }

  #facts(): HealthFacts {
    return {
      child: this.#child,
      lastCheckpointAtMs: this.#lastCheckpointAtMs,
      failuresInRow: this.#failuresInRow,
    }
  }

  #verdict(isWell: boolean, troubles: readonly string[]): Verdict {
    return {
      isWell,
      job: this.#jobName ?? null,
      status: this.#child === undefined ? 'restarting' : (this.#child.report?.status ?? 'starting'),
      troubles,
      restartCount: this.#restartCount,
    }
  }

  #samples(): Sample[] {
    const facts = this.#facts()
    const nowMs = Date.now()
    const values = {
      millrace_job_up: isReady(facts) ? 1 : 0,
      millrace_healthy: troublesOf(facts, nowMs).length === 0 ? 1 : 0,
      millrace_failures_in_row: this.#failuresInRow,
      millrace_supervisor_restarts_total: this.#restartCount,
      ...(this.#lastCheckpointAtMs === undefined
        ? {}
        : { millrace_checkpoint_age_seconds: (nowMs - this.#lastCheckpointAtMs) / 1000 }),
    }
    return Object.entries(values).map(([name, value]) => ({ name, labels: {}, value }))
  }

  /** What the job itself says, also of a refusal. */
  async #call<T>(ask: (client: ControlClient) => Promise<T>): Promise<T> {
    const client = this.#child?.client
    if (client === undefined) {
      const name = this.#jobName === undefined ? 'The job' : `Job '${this.#jobName}'`
      throw new EngineError('JOB_NOT_RUNNING', `${name} is starting; try again when it runs`)
    }
    try {
      return await ask(client)
    } catch (error) {
      const { cause } = toEngineError(error)
      throw cause instanceof EngineError ? cause : error
    }
  }

  // ---- HTTP

  async #openHttp(): Promise<ControlServer | undefined> {
    const { http, runDirectory, logger } = this.#options
    if (http === undefined) return undefined
    const token = http.token ?? randomBytes(32).toString('base64url')
    assert(token.length > 0, 'A token has characters')
    const server = await openServiceServer(this, { ...http, token })
    const address = `http://${http.host.includes(':') ? `[${http.host}]` : http.host}:${server.port}`
    if (http.token !== undefined) {
      logger.info(`Listens on ${address}`)
      return server
    }
    try {
      const secret = await keepSecret(runDirectory, `http-${server.port}.token`, token)
      logger.info(`Listens on ${address}; the token for it is in ${secret.path}`)
      return {
        ...server,
        close: async () => {
          secret.remove()
          await server.close()
        },
      }
    } catch (error) {
      await server.close()
      throw error
    }
  }
}
