/** The tests of killed processes, in the short and the long form. MILLRACE_SEED=n repeats a run's choices. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { killRun } from './kill-run.ts'
import type { KillRunOptions } from './kill-run.ts'
import { MOMENTS } from './traces.ts'

export interface KillTestOptions extends Pick<KillRunOptions, 'state' | 'killCount'> {
  readonly recordCount: number
}

export function killTest({ state, killCount, recordCount }: KillTestOptions): void {
  const name = `${state}, ${recordCount} records, ${killCount} times after a checkpoint and at times while it restores`
  test(`${name}: the committed files are those of the reference`, async (t) => {
    const seed = Number(process.env['MILLRACE_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    t.diagnostic(`seed ${seed}`)
    const directory = await mkdtemp(join(tmpdir(), 'millrace-kills-'))
    try {
      const { kills, tally, parallelisms } = await killRun({
        seed,
        directory,
        state,
        size: { recordCount, fileCount: 12, keyCount: 600 },
        killCount,
      })

      const told = MOMENTS.map((moment) => `${moment}: ${tally.get(moment) ?? 0}`).join(', ')
      t.diagnostic(`${kills} kills; ${told}`)
      assert(kills >= killCount, `${kills} kills`)
      assert(parallelisms.size > 1, 'the parallelism changed')
    } finally {
      await rm(directory, { recursive: true, force: true, maxRetries: 5 })
    }
  })
}
