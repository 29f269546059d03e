/** The commands that ask and tell a running job: list, savepoint, checkpoint, stop, cancel. Results go to `print`. */
import { resolve } from 'node:path'
import { findJob, listJobs } from '../service/control-client.ts'
import type { ListedJob } from '../service/control-client.ts'
import { aboutText, bytesText, countText, tableText } from './table.ts'

export interface ControlCommand {
  readonly runDirectory: string
  readonly isJson: boolean
  readonly print: (text: string) => void
}

export async function listCommand({ runDirectory, isJson, print }: ControlCommand): Promise<void> {
  const jobs = await listJobs(runDirectory)
  if (isJson) {
    const rows = jobs.map(({ entry, report }) => report ?? notAnswering(entry))
    print(`${JSON.stringify(rows, null, 2)}\n`)
  } else if (jobs.length === 0) {
    print('No job runs\n')
  } else {
    print(tableText([listHead, ...jobs.map((job) => listRow(job, Date.now()))]))
  }
}

export async function savepointCommand(
  name: string,
  directory: string | undefined,
  { runDirectory, isJson, print }: ControlCommand,
): Promise<void> {
  const job = await findJob(runDirectory, name)
  const reply = await job.savepoint(directory === undefined ? undefined : resolve(directory))
  print(isJson ? json(reply) : `${reply.path}\n`)
}

export async function checkpointCommand(
  name: string,
  { runDirectory, isJson, print }: ControlCommand,
): Promise<void> {
  const job = await findJob(runDirectory, name)
  const reply = await job.checkpoint()
  print(isJson ? json(reply) : `checkpoint ${reply.checkpointId}\n`)
}

export async function stopCommand(
  name: string,
  options: { readonly drain: boolean; readonly savepoint: string | undefined },
  { runDirectory, isJson, print }: ControlCommand,
): Promise<void> {
  const job = await findJob(runDirectory, name)
  const { drain, savepoint } = options
  const reply = await job.stop({
    drain,
    ...(savepoint === undefined ? {} : { savepoint: resolve(savepoint) }),
  })
  if (isJson) print(json(reply))
  else if (reply.savepoint === undefined) print(`${reply.status}\n`)
  else print(`${reply.savepoint.path}\n`)
}

export async function cancelCommand(
  name: string,
  { runDirectory, isJson, print }: ControlCommand,
): Promise<void> {
  const job = await findJob(runDirectory, name)
  await job.cancel()
  print(isJson ? json({ status: 'cancelled' }) : 'cancelled\n')
}

const listHead = [
  'JOB',
  'PID',
  'STATUS',
  'UP',
  'READ',
  'WRITTEN',
  'RESTARTS',
  'LAST CHECKPOINT',
  'CHECKPOINT DIRECTORY',
]

function listRow({ entry, report }: ListedJob, nowMs: number): string[] {
  const up = aboutText(nowMs - entry.startedAtMs)
  if (report === undefined) return [entry.job, String(entry.pid), 'not answering', up]
  const last = report.lastCheckpoint
  return [
    entry.job,
    String(entry.pid),
    report.status,
    up,
    countText(report.recordsRead),
    countText(report.recordsWritten),
    countText(report.restartCount),
    last === null
      ? '-'
      : `${last.checkpointId}, ${aboutText(nowMs - last.completedAtMs)} ago, ${bytesText(last.bytes)}`,
    report.checkpoints?.directory ?? '-',
  ]
}

function notAnswering({ job, runId, pid, startedAtMs }: ListedJob['entry']): object {
  return { job, runId, pid, status: 'not-answering', startedAtMs }
}

function json(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}
