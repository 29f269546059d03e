/** Where a test runs the counting job: a directory of its own, with the input written. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { Random } from '../../simulation/random.ts'
import type { CountingParams } from './job.ts'
import { writeInput } from './records.ts'
import type { InputSize } from './records.ts'

/** The module that worker threads load. */
export const countingModule: URL = new URL(`./job${extname(import.meta.url)}`, import.meta.url)

export interface Place {
  /** From a seed that is printed; MILLRACE_SEED=n repeats a run's choices. */
  readonly random: Random
  readonly size: InputSize
  readonly params: CountingParams
  readonly checkpoints: string
  /** Where what happened once is noted. */
  readonly once: string
  readonly temporary: string
}

/** Is removed after the test. */
export async function place(t: TestContext, size: InputSize): Promise<Place> {
  const seed = Number(process.env['MILLRACE_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  t.diagnostic(`seed ${seed}`)
  const directory = await mkdtemp(join(tmpdir(), 'millrace-counting-'))
  t.after(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))
  const at = (name: string): string => join(directory, name)
  await writeInput(at('input'), size)
  for (const name of ['once', 'temporary']) await mkdir(at(name))
  return {
    random: new Random(seed),
    size,
    params: { input: at('input'), rows: at('rows'), windows: at('windows') },
    checkpoints: at('checkpoints'),
    once: at('once'),
    temporary: at('temporary'),
  }
}

/**
 * Records at which something is to happen, spread over the input. Now and then it happens at two of them before the job is
 * restarted, so it may be restarted fewer times than there are records.
 */
export function chosen({ random, size }: Place, count: number): number[] {
  const part = size.recordCount / count
  return Array.from({ length: count }, (_, index) =>
    Math.floor((index + 0.2 + 0.6 * random.next()) * part),
  )
}
