/** Asks running jobs over their control ports. Used by commands; each call is one request. */
import { request } from 'node:http'
import { EngineError, fromErrorData } from '../core/errors.ts'
import { CONTROL_PREFIX } from './control-protocol.ts'
import type {
  CheckpointReply,
  ErrorReply,
  JobReport,
  SavepointReply,
  SavepointRequest,
  StopReply,
  StopRequest,
} from './control-protocol.ts'
import { listRuns, removeEntry } from './run-registry.ts'
import type { FoundEntry } from './run-registry.ts'

/** A job that was found, and what it says of itself: undefined where it does not answer in time. */
export interface ListedJob {
  readonly entry: FoundEntry
  readonly report: JobReport | undefined
}

/** How long a job may take to tell of itself. Savepoints and stopping take as long as they take. */
const REPORT_MS_MAX = 5_000

/** All jobs of the user that run on this host. */
export async function listJobs(directory: string): Promise<ListedJob[]> {
  const entries = await listRuns(directory)
  const jobs = await Promise.all(entries.map(ask))
  return jobs.filter((job) => job !== undefined)
}

/** The job of that name, or with that process id. */
export async function findJob(directory: string, nameOrPid: string): Promise<ControlClient> {
  const jobs = (await listJobs(directory)).map(({ entry }) => entry)
  const found = jobs.filter(({ job, pid }) => job === nameOrPid || String(pid) === nameOrPid)
  const [entry] = found
  if (entry === undefined) {
    const names = [...new Set(jobs.map(({ job }) => job))].join(', ')
    throw new EngineError(
      'CONTROL_UNREACHABLE',
      `No job '${nameOrPid}' of this user runs on this machine; ${
        names === '' ? 'none does' : `there are: ${names}`
      } (looked in ${directory})`,
    )
  }
  if (found.length > 1) {
    throw new EngineError(
      'CONTROL_UNREACHABLE',
      `Several jobs '${nameOrPid}' run; give the process id of the one that is meant: ${found
        .map(({ pid }) => pid)
        .join(', ')}`,
    )
  }
  return new ControlClient(entry)
}

/** Undefined where the process is gone; then its entry goes too. */
async function ask(entry: FoundEntry): Promise<ListedJob | undefined> {
  try {
    const report = await new ControlClient(entry).report(REPORT_MS_MAX)
    if (report.runId === entry.runId) return { entry, report }
  } catch (error) {
    const code = connectionCode(error)
    if (code !== 'ECONNREFUSED') return { entry, report: undefined }
  }
  // nobody listens there, or somebody else does: the process id was given out again
  await removeEntry(entry)
  return undefined
}

export class ControlClient {
  readonly entry: FoundEntry

  constructor(entry: FoundEntry) {
    this.entry = entry
  }

  report(timeoutMs?: number): Promise<JobReport> {
    return this.#call('GET', '/job', undefined, timeoutMs)
  }

  savepoint(directory: string | undefined): Promise<SavepointReply> {
    const body: SavepointRequest = directory === undefined ? {} : { directory }
    return this.#call('POST', '/savepoint', body)
  }

  checkpoint(): Promise<CheckpointReply> {
    return this.#call('POST', '/checkpoint', {})
  }

  stop(options: StopRequest): Promise<StopReply> {
    return this.#call('POST', '/stop', options)
  }

  async cancel(): Promise<void> {
    await this.#call('POST', '/cancel', {})
  }

  metrics(timeoutMs?: number): Promise<string> {
    return this.#request('GET', '/metrics', undefined, timeoutMs)
  }

  async #call<T>(
    method: 'GET' | 'POST',
    path: string,
    body: object | undefined,
    timeoutMs?: number,
  ): Promise<T> {
    return decoded(this.entry, await this.#request(method, path, body, timeoutMs)) as T
  }

  /** The text of the answer; throws what a refusal says. */
  async #request(
    method: 'GET' | 'POST',
    path: string,
    body: object | undefined,
    timeoutMs: number | undefined,
  ): Promise<string> {
    const { job, pid } = this.entry
    let answer: Answer
    try {
      answer = await send(this.entry, method, path, body, timeoutMs)
    } catch (error) {
      throw noAnswer(this.entry, error)
    }
    if (answer.status < 300) return answer.text
    const { error } = decoded(this.entry, answer.text) as Partial<ErrorReply>
    const cause = error === undefined ? undefined : fromErrorData(error)
    const why =
      cause === undefined
        ? `status ${answer.status}`
        : cause.code === 'CONTROL_REFUSED'
          ? cause.message
          : `${cause.code}: ${cause.message}`
    throw new EngineError('CONTROL_REFUSED', `Job '${job}' (process ${pid}) refuses: ${why}`, {
      cause,
    })
  }
}

interface Answer {
  readonly status: number
  readonly text: string
}

function noAnswer({ job, pid }: FoundEntry, error: unknown): EngineError {
  const why = error instanceof Error ? error.message : String(error)
  return new EngineError(
    'CONTROL_UNREACHABLE',
    `Job '${job}' (process ${pid}) did not answer: ${why}; if it has ended, its log says why`,
    { cause: error },
  )
}

function decoded(entry: FoundEntry, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw noAnswer(entry, new Error('what it says is no JSON'))
  }
}

function send(
  { address, port, token }: FoundEntry,
  method: string,
  path: string,
  body: object | undefined,
  timeoutMs: number | undefined,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const sent = request(
      {
        host: address,
        port,
        method,
        path: `${CONTROL_PREFIX}${path}`,
        agent: false,
        headers: {
          authorization: `Bearer ${token}`,
          ...(text === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        },
        ...(timeoutMs === undefined ? {} : { signal: AbortSignal.timeout(timeoutMs) }),
      },
      (response) => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.on('error', reject)
        response.on('end', () => {
          const said = Buffer.concat(parts).toString('utf8')
          resolve({ status: response.statusCode ?? 0, text: said })
        })
      },
    )
    sent.on('error', reject)
    sent.end(text)
  })
}

function connectionCode(error: unknown): unknown {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause ? cause.code : undefined
}
