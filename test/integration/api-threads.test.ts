/** Every operator gives the same rows wherever its subtasks run: in the calling thread, in workers, on either backend. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { isEngineError, run } from 'millrace'
import type { Placement, RunOptions } from 'millrace'
import allOperators, { eventAt } from './jobs/all-operators.ts'

const RECORDS = 3000
const module = new URL('./jobs/all-operators.js', import.meta.url)
let base: string
let expected: Map<string, string[]>

before(async () => {
  base = mkdtempSync(join(tmpdir(), 'millrace-api-'))
  expected = await rowsOf('reference', {})
})

after(() => rmSync(base, { recursive: true, force: true }))

/** The rows of each sink, sorted. */
async function rowsOf(
  name: string,
  options: RunOptions & Placement,
): Promise<Map<string, string[]>> {
  const directory = join(base, name)
  await run(allOperators, {
    ...options,
    params: { directory, records: RECORDS },
    checkpoints: { directory: join(base, `${name}-checkpoints`), interval: '2s' },
  })
  const rows = new Map<string, string[]>()
  for (const sink of readdirSync(directory)) {
    const lines = readdirSync(join(directory, sink))
      .filter((file) => file.startsWith('part-'))
      .flatMap((file) => readFileSync(join(directory, sink, file), 'utf8').split('\n'))
    const sorted = lines.filter((line) => line !== '').toSorted()
    // every subtask says what it holds of the broadcast state: the same
    rows.set(sink, sink === 'broadcast' ? [...new Set(sorted)] : sorted)
  }
  return rows
}

test('the rows are what the events say', () => {
  const events = Array.from({ length: RECORDS }, (_, id) => eventAt(id))
  const rows = (sink: string): string[] => expected.get(sink) ?? []

  assert.equal(rows('nothing').length, events.filter(({ note }) => note === null).length)
  assert.ok(rows('nothing').every((row) => row === 'null'))
  assert.deepEqual(
    rows('divided')
      .map(Number)
      .toSorted((a, b) => a - b),
    [...events.map(({ id }) => -id || 0), ...events.map(({ id }) => id)].toSorted((a, b) => a - b),
  )
  assert.equal(rows('by-tuple').length, RECORDS)
  const pairs = rows('paired').filter((row) => row.includes('paired'))
  assert.equal(pairs.length, RECORDS / 2)
  assert.equal(rows('alone').length, RECORDS / 2)
  const timers = new Set(events.map(({ id, atMs }) => `${id % 50} ${Math.ceil(atMs / 1000)}`))
  assert.equal(rows('paired').length - pairs.length, timers.size)
  assert.deepEqual(rows('broadcast'), [String(2 * (RECORDS / 10))])
  assert.deepEqual(rows('late'), [])
  assert.ok(rows('sessions').length > 100)
})

const runs: readonly (readonly [string, RunOptions & Placement])[] = [
  ['in the calling thread at parallelism 3', { parallelism: 3 }],
  ['in two threads at parallelism 3', { threads: 2, module, parallelism: 3 }],
  [
    'in three threads at parallelism 4 on leveldb',
    { threads: 3, module, parallelism: 4, state: 'leveldb' },
  ],
  [
    'in two threads with channels of one small frame',
    { threads: 2, module, channels: { framesInFlightMax: 1, bytesInFlightMax: 4096 } },
  ],
]
for (const [how, options] of runs) {
  test(`the same rows ${how}`, async () => {
    const rows = await rowsOf(how.replaceAll(' ', '-'), options)

    assert.deepEqual([...rows.keys()].toSorted(), [...expected.keys()].toSorted())
    for (const [sink, lines] of rows) assert.deepEqual(lines, expected.get(sink), sink)
  })
}

test('a sink into an object of the caller is refused in threads', async () => {
  const { arraySink, fromArray, job } = await import('millrace')
  const closed = job('closed', (env) =>
    env.from('n', fromArray([1])).to('out', arraySink<number>([])),
  )

  await assert.rejects(run(closed, { threads: 1, module }), (error) => {
    assert.ok(isEngineError(error))
    assert.equal(error.code, 'OPTION_INVALID')
    return true
  })
})
