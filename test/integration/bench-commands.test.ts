/** The commands of the benchmarks beside `bench/run`, at a small size: they count right and tell what they should. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { extname } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { runWatched } from '../../bench/memory/process-tree.ts'

async function lineOf(program: string, args: readonly string[]): Promise<Record<string, number>> {
  const path = fileURLToPath(
    new URL(`../../bench/${program}${extname(import.meta.url)}`, import.meta.url),
  )
  const { stdout } = await promisify(execFile)(process.execPath, [path, ...args])
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Record<string, number>
}

describe('benchmarks at a small size', { concurrency: 2 }, () => {
  test('latency: every event is counted, and latencies are those of a clock', async () => {
    const line = await lineOf('latency/run', [
      '--rate',
      '2000',
      '--seconds',
      '1',
      '--warm-up',
      '1',
      '--parallelism',
      '2',
      '--keys',
      '10',
      '--checkpoint-ms',
      '200',
    ])

    assert.equal(line['counted'], 4000)
    assert.ok((line['results'] ?? 0) > 0)
    assert.ok((line['p50Ms'] ?? -1) > 0 && (line['p50Ms'] ?? -1) <= (line['maxMs'] ?? 0))
  })

  for (const state of ['heap', 'disk']) {
    test(`restore, ${state}: the job goes on after the failure, and in a new process`, async () => {
      const line = await lineOf('restore/run', [
        '--keys',
        '2000',
        '--rounds',
        '1',
        '--state',
        state,
      ])

      assert.ok((line['cells'] ?? 0) > 1900, `${line['cells']} cells`)
      assert.ok((line['msFromFailure'] ?? -1) > 0)
      assert.ok((line['msFromProcessStart'] ?? -1) > 0)
    })
  }

  for (const axis of ['keys', 'text-keys', 'slides', 'chain', 'subtasks']) {
    test(`scaling, ${axis}: a record costs something`, async () => {
      const line = await lineOf('scaling/run', [
        axis,
        '3',
        '--records',
        '20000',
        '--warm-up',
        '20000',
      ])

      assert.ok((line['cpuNsPerRecord'] ?? -1) > 0)
    })
  }

  test(
    'memory: of a program and those that it starts',
    { skip: process.platform === 'linux' ? false : 'reads /proc' },
    async () => {
      const hold = (mb: number): string =>
        `const held = Buffer.alloc(${mb} << 20, 1); setTimeout(() => console.log(held.length), 1000)`
      const child = `${process.execPath} -e '${hold(60)}'`

      const { stdout, peakMb } = await runWatched(['sh', '-c', `${child} & ${child} & wait`])

      assert.equal(stdout?.trim().split('\n').length, 2)
      assert.ok(peakMb > 120, `${peakMb} MB`)
    },
  )
})
