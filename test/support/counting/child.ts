/**
 * The process that is killed: runs the counting job as its parent says, tells what it comes to, and ends with its parent.
 */
import { extname } from 'node:path'
import { isEngineError, start } from '../../../src/index.ts'
import type { RunOptions } from '../../../src/index.ts'
import type { CountingParams } from './job.ts'
import counting from './job.ts'

/** What the child is told: its only message. */
export interface ChildOrder {
  readonly params: CountingParams
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

async function main({ params, options, threads }: ChildOrder): Promise<void> {
  const log = (text: string): void => tell({ kind: 'log', text })
  const running = start(counting, {
    ...options,
    params,
    logger: { info: log, warn: log, error: log },
    ...(threads === 0
      ? {}
      : { threads, module: new URL(`./job${extname(import.meta.url)}`, import.meta.url) }),
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
