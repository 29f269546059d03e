/** A checkpoint does not stop the stream: measured by bench/checkpoint/pause.bench.ts in a process of its own. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { extname } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const BENCH = new URL(
  `../../../bench/checkpoint/pause.bench${extname(import.meta.url)}`,
  import.meta.url,
)

test('while 1,000,000 keys are checkpointed, records stand still for at most a twentieth of a full copy', async (t) => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    fileURLToPath(BENCH),
    'keys=1000000',
    'rounds=20',
  ])

  const line = stdout.trim().split('\n').at(-1) ?? ''
  t.diagnostic(line)
  const { gapMs, copyMs } = JSON.parse(line) as { gapMs: number; copyMs: number }
  assert.ok(gapMs > 0)
  assert.ok(gapMs * 20 <= copyMs, `the gap is ${gapMs} ms, a copy takes ${copyMs} ms`)
})
