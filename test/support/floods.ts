/** Runs a flood in worker threads whose channels hold one frame each, with barriers all the time, and watches the memory. */
import assert from 'node:assert/strict'
import { extname } from 'node:path'
import { run } from 'millrace'
import floodJob from './jobs/flood-job.ts'
import type { Flood } from './jobs/flood-job.ts'
import { Directory } from './running-jobs.ts'

const MODULE = new URL(`./jobs/flood-job${extname(import.meta.url)}`, import.meta.url)
const MEBIBYTE = 1024 * 1024

export interface FloodFigures {
  /** The largest resident size on the way, beyond that at the start. */
  readonly grownMb: number
  /** How far the largest resident size of the second half of the time lies above that of the first; 0 where it does not. */
  readonly grownLateMb: number
  readonly checkpoints: number
}

export async function flood(
  what: Omit<Flood, 'arrived'> & { readonly parallelism: number; readonly threads: number },
): Promise<FloodFigures> {
  const { kind, count, width, parallelism, threads } = what
  await using directory = await Directory.make()
  const arrived = new SharedArrayBuffer(16)
  const before = process.memoryUsage.rss()
  const sizes: number[] = []
  const watch = setInterval(() => sizes.push(process.memoryUsage.rss()), 50)

  const result = await run(floodJob, {
    params: { kind, count, width, arrived },
    parallelism,
    threads,
    module: MODULE,
    channels: { framesInFlightMax: 1, bytesInFlightMax: 65_536 },
    checkpoints: { directory: directory.path, interval: '50ms' },
    restart: { kind: 'none' },
  }).finally(() => clearInterval(watch))

  const total = BigInt(count * width)
  const totals = [...new BigInt64Array(arrived)]
  assert.deepEqual(totals, [total, (total * (total - 1n)) / 2n], 'each row arrives once')
  const early = Math.max(before, ...sizes.slice(0, sizes.length / 2))
  const late = Math.max(before, ...sizes.slice(sizes.length / 2))
  return {
    grownMb: megabytes(Math.max(early, late) - before),
    grownLateMb: megabytes(Math.max(0, late - early)),
    checkpoints: result.checkpoints,
  }
}

function megabytes(bytes: number): number {
  return Math.round(bytes / MEBIBYTE)
}
