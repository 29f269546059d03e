/** Values of every kind of the value model come out as they went in, wherever the job runs and whatever it went through. */
import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { describe, test } from 'node:test'
import { start } from 'millrace'
import type { RunOptions } from 'millrace'
import kindsJob, { KINDS, expectedRows } from '../../support/jobs/kinds-job.ts'
import { Directory, sameRows, until } from '../../support/running-jobs.ts'

const MODULE = new URL(`../../support/jobs/kinds-job${extname(import.meta.url)}`, import.meta.url)

describe('values of every kind are the same', { timeout: 300_000 }, () => {
  for (const state of ['memory', 'leveldb'] as const) {
    for (const parallelism of [1, 2, 3]) {
      for (const isRestored of [false, true]) {
        test(`at parallelism ${parallelism} on ${state}${isRestored ? ', with a restore' : ''}`, async () => {
          await using directory = await Directory.make()
          const output = directory.at('out')
          const options: RunOptions & { readonly threads: number; readonly module: URL } = {
            parallelism,
            threads: parallelism,
            module: MODULE,
            state,
            restart: { kind: 'none' },
            checkpoints: { directory: directory.at('checkpoints'), interval: '1h' },
          }
          const params = { output, recordsPerSecond: isRestored ? KINDS.length * 6 : 1_000_000 }

          if (isRestored) {
            await using first = start(kindsJob, { ...options, params })
            await Promise.race([
              first.finished,
              until('half of it was read', () => {
                return (
                  first.status === 'running' && first.figures.totals().recordsRead > KINDS.length
                )
              }),
            ])
            await first.checkpoint()
          }
          const running = start(kindsJob, {
            ...options,
            params: { ...params, recordsPerSecond: 1_000_000 },
          })
          await running.finished

          assert.equal(running.restored !== undefined, isRestored)
          sameRows(await linesOf(output), expectedRows())
        })
      }
    }
  }
})

async function linesOf(directory: string): Promise<string[]> {
  const names = (await readdir(directory)).filter((name) => name.startsWith('part-'))
  const files = await Promise.all(names.map((name) => readFile(join(directory, name), 'utf8')))
  return files.flatMap((text) => text.split('\n').filter((line) => line !== ''))
}
