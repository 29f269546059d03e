/** Runs `bench/run` as its user would, in a process of its own, and holds its line against the reference. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { EXPECTED } from '../../bench/nexmark/expected.ts'
import type { KnownEvents } from '../../bench/nexmark/expected.ts'
import { QUERIES } from '../../bench/nexmark/queries.ts'
import type { Query } from '../../bench/nexmark/queries.ts'

export const PARALLELISMS = [1, 2, 4] as const
export const STATES = ['heap', 'disk'] as const
export const CHECKPOINTS_MS = [0, 200] as const

/** What a run varies in. */
export interface BenchCase {
  readonly query: Query
  readonly parallelism: (typeof PARALLELISMS)[number]
  readonly state: (typeof STATES)[number]
  readonly checkpointMs: (typeof CHECKPOINTS_MS)[number]
}

/** Every case. */
export function allCases(): BenchCase[] {
  return QUERIES.flatMap((query) =>
    PARALLELISMS.flatMap((parallelism) =>
      STATES.flatMap((state) =>
        CHECKPOINTS_MS.map((checkpointMs) => ({ query, parallelism, state, checkpointMs })),
      ),
    ),
  )
}

/** Few cases that have every pair of values of any two variables. */
export function pairwiseCases(): BenchCase[] {
  return QUERIES.flatMap((query, q) =>
    PARALLELISMS.map((parallelism, p) => ({
      query,
      parallelism,
      state: STATES[(q + p) % 2] as BenchCase['state'],
      checkpointMs: CHECKPOINTS_MS[(Math.floor(q / 2) + (p % 2)) % 2] as BenchCase['checkpointMs'],
    })),
  )
}

export function nameOfCase({ query, parallelism, state, checkpointMs }: BenchCase): string {
  return `${query} p=${parallelism} ${state} checkpoints=${checkpointMs === 0 ? 'none' : `${checkpointMs}ms`}`
}

const program = fileURLToPath(
  new URL(`../../bench/nexmark/run${extname(import.meta.url)}`, import.meta.url),
)

/** Fails unless the line has the rows and the checksum of the reference, got without a restart. */
export async function checkBenchRun(
  { query, parallelism, state, checkpointMs }: BenchCase,
  events: KnownEvents,
): Promise<void> {
  const options = {
    events,
    parallelism,
    state,
    'checkpoint-ms': checkpointMs,
  }
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    [
      program,
      query,
      '--verbose',
      ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`]),
    ],
    { timeout: 180_000, killSignal: 'SIGKILL' },
  )
  const line = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Record<string, unknown>

  const { rows, checksum } = line
  assert.deepEqual({ rows, checksum }, EXPECTED[query][events])
  // a restart mends the output, but has no business here
  assert.doesNotMatch(stderr, /restarting in/)
  const hasCheckpoints = (line['checkpoints'] as number) > 0
  assert.equal(hasCheckpoints, checkpointMs > 0, `${String(line['checkpoints'])} checkpoints`)
}
