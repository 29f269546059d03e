/** The resident size of the whole process tree: behind a slow sink for a minute, and with state far larger than memory. */
import assert from 'node:assert/strict'
import { extname } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  peakMb,
  skipWithoutProc,
  slopeMbPerSecond,
  watchMemory,
} from '../../support/process-memory.ts'

test(
  'behind a sink of 20,000 records/s memory grows by less than 1 MB/s in the last half of a minute',
  { skip: skipWithoutProc() },
  async (t) => {
    const { samples, answer } = await watchMemory(program('slow-sink-job'), ['60'])

    const end = samples.at(-1)?.atMs ?? 0
    const slope = slopeMbPerSecond(samples.filter(({ atMs }) => atMs > end - 30_000))
    t.diagnostic(JSON.stringify({ slope, peakMb: peakMb(samples), answer }))
    assert.ok(slope < 1, `it grows by ${slope} MB a second`)
  },
)

test(
  '20,000,000 keys of 200 incompressible bytes on leveldb take less than 700 MB at parallelism 2',
  { skip: skipWithoutProc() },
  async (t) => {
    const updateCount = 2_000_000

    const { samples, answer } = await watchMemory(program('large-state-job'), [
      '20000000',
      String(updateCount),
    ])

    t.diagnostic(JSON.stringify({ peakMb: peakMb(samples), answer }))
    assert.equal((answer as { foundBytes: number }).foundBytes, updateCount * 200)
    assert.ok(peakMb(samples) < 700, `its peak is ${peakMb(samples)} MB`)
  },
)

function program(name: string): string {
  return fileURLToPath(
    new URL(`../../support/jobs/${name}${extname(import.meta.url)}`, import.meta.url),
  )
}
