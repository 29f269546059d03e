/** The resident size of the whole process behind a slow sink. memory.full.test.ts has the long form. */
import assert from 'node:assert/strict'
import { extname } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { skipWithoutProc, slopeMbPerSecond, watchMemory } from '../../support/process-memory.ts'

const PROGRAM = fileURLToPath(
  new URL(`../../support/jobs/slow-sink-job${extname(import.meta.url)}`, import.meta.url),
)

test(
  'a sink of 20,000 records/s behind a source at full speed does not fill the memory',
  { skip: skipWithoutProc(), timeout: 300_000 },
  async (t) => {
    const { samples, answer } = await watchMemory(PROGRAM, ['16'])

    const { written, checkpoints } = answer as { written: number; checkpoints: number }
    const slope = slopeMbPerSecond(samples.slice(-samples.length / 2))
    t.diagnostic(JSON.stringify({ slope, written, checkpoints }))
    assert.ok(written > 0 && written <= 16 * 21_000, `${written} records were written`)
    assert.ok(checkpoints > 0, 'barriers get through')
    // a source that is not held back makes some hundred thousand records of 200 bytes a second
    assert.ok(slope < 8, `it grows by ${slope} MB a second`)
  },
)
