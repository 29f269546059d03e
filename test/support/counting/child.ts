/**
 * The process that is killed: runs a job as its parent says, tells what it comes to, and ends with its parent.
 */
import { isEngineError, start } from '../../../src/index.ts'
import type { RunOptions } from '../../../src/index.ts'
import type { Job } from '../../../src/index.ts'
import type { CountingParams } from './job.ts'
import { countingModule } from './place.ts'

/** What the child is told: its only message. */
export interface ChildOrder {
  /** Of the job. Default: the counting job's. */
  readonly module?: string
  readonly params: CountingParams | { readonly [name: string]: unknown }
  readonly options: Omit<RunOptions, 'signal' | 'logger'>
  readonly threads: number
}

/** What the child tells. */
export type ChildMessage =
  /** All subtasks run, from this checkpoint on. */
  | { readonly kind: 'running'; readonly restored: number | undefined }
  | { readonly kind: 'log'; readonly text: string }
  | { readonly kind: 'finished'; readonly lateRecords: number; readonly restarts: number }
  | { readonly kind: 'failed'; readonly code: string; readonly text: string }

const RUNNING_LOOK_MS = 5

process.on('disconnect', () => process.exit(1))
process.once('message', (order: ChildOrder) => void main(order))

async function main({ params, options, threads, module }: ChildOrder): Promise<void> {
  const url = module === undefined ? countingModule : new URL(module)
  const { default: job } = (await import(url.href)) as { readonly default: Job }
  const log = (text: string): void => tell({ kind: 'log', text })
  const running = start(job, {
    ...options,
    params,
    logger: { info: log, warn: log, error: log },
    ...(threads === 0 ? {} : { threads, module: url }),
  })
  const looking = setInterval(() => {
    if (running.status !== 'running') return
    clearInterval(looking)
    tell({ kind: 'running', restored: running.restored?.checkpointId })
  }, RUNNING_LOOK_MS)
  try {
    const { lateRecords } = await running.finished
    tell({ kind: 'finished', lateRecords, restarts: running.figures.restarts })
  } catch (error) {
    const code = isEngineError(error) ? error.code : 'no code'
    tell({ kind: 'failed', code, text: String(error) })
  } finally {
    clearInterval(looking)
    process.disconnect()
  }
}

function tell(message: ChildMessage): void {
  process.send?.(message)
}
