/** Savepoints: taken from jobs that go on, stop or drain; restored elsewhere, at another parallelism, on another backend, by a changed job. */
import assert from 'node:assert/strict'
import { rename } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { arraySink, isEngineError, run, start } from 'millrace'
import type { JobResult, RunOptions, RunningJob } from 'millrace'
import { decodeItems } from '../../../src/checkpoint/manifest.ts'
import type { SplitState } from '../../../src/runtime/source-head.ts'
import { shopJob } from '../../support/jobs/shop-job.ts'
import type { Shop } from '../../support/jobs/shop-job.ts'
import {
  Directory,
  checkpointsIn,
  readManifest,
  sameRows,
  until,
} from '../../support/running-jobs.ts'

/** Takes a second and a half at the least, so that it can be saved on the way. */
const SHOP: Shop = { count: 12_000, recordsPerSecond: 8000 }

describe('a savepoint', { timeout: 300_000 }, () => {
  test('of parallelism 2 in memory goes on at 3 on leveldb and then at 1 in memory, with the output of an uninterrupted run', async () => {
    await using directory = await Directory.make()
    const rows: string[] = []

    const first = await stopped(begin(rows, directory, 'a', { parallelism: 2 }), directory)
    const second = await stopped(
      begin(rows, directory, 'b', { parallelism: 3, state: 'leveldb', from: pathOf(first) }),
      directory,
    )
    const third = await begin(rows, directory, 'c', { parallelism: 1, from: pathOf(second) })
      .finished

    assert.equal(third.status, 'finished')
    assert.deepEqual(
      [first, second, third].map(({ recordsRead }) => recordsRead > 0),
      [true, true, true],
    )
    sameRows(rows, await uninterrupted())
  })

  test('of a running job changes nothing for it, commits nothing, and can be moved', async () => {
    await using directory = await Directory.make()
    const rows: string[] = []
    const later: string[] = []
    const running = begin(rows, directory, 'a', { parallelism: 2, state: 'leveldb' })
    await hasRead(running, 2000)

    const savepoint = await running.savepoint(directory.at('saved'))
    const committed = rows.length
    await rename(savepoint.path, directory.at('moved'))
    await running.finished
    await begin(later, directory, 'b', { parallelism: 3, from: directory.at('moved') }).finished

    assert.equal(committed, 0)
    sameRows(rows, await uninterrupted())
    // nothing had been committed, so what was pending then is part of what comes after
    sameRows(later, await uninterrupted())
  })

  test('of a drained job has fired every window and timer of what was read', async () => {
    await using directory = await Directory.make()
    const rows: string[] = []
    const running = begin(rows, directory, 'a', { parallelism: 2 })
    await hasRead(running, 2000)

    const result = await running.stop({ savepoint: directory.at('saved'), drain: true })

    const { operators } = await readManifest(pathOf(result))
    const source = operators.find(({ uid }) => uid === 'sales')
    const limits = (source?.subtasks ?? [])
      .flatMap(({ items }) => decodeItems(items) as readonly SplitState[])
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .map(({ position }) => position as number)
    assert.equal(result.status, 'stopped')
    assert.ok(Math.max(...limits) < SHOP.count, 'it was stopped on the way')
    sameRows(rows, await uninterrupted({ ...SHOP, limits }))
  })
})

describe('a changed job', { timeout: 300_000 }, () => {
  test('finds its state when operators were added or re-ordered', async () => {
    await using directory = await Directory.make()
    const saved = await stopped(begin([], directory, 'a', { parallelism: 2 }), directory)
    // what was put out before is pending in the savepoint: each of the two begins with it
    const reordered: string[] = []
    const more: string[] = []

    await begin(reordered, directory, 'b', { from: pathOf(saved) }, 'reordered').finished
    await begin(more, directory, 'c', { from: pathOf(saved) }, 'more').finished

    sameRows(reordered, await uninterrupted())
    const isNew = (row: string): boolean => /^(visit|note) /.test(row)
    sameRows(
      more.filter((row) => !isNew(row)),
      await uninterrupted(),
    )
    const visits = more.filter((row) => row.startsWith('visit')).length
    assert.equal(visits, SHOP.count - saved.recordsRead)
    assert.equal(more.filter((row) => row.startsWith('note')).length, 2)
  })

  test('that lost an operator is refused before anything starts, with the mapping; allowNonRestoredState lets it go', async () => {
    await using directory = await Directory.make()
    const rows: string[] = []
    const saved = await stopped(begin(rows, directory, 'a', { parallelism: 2 }), directory)
    let opened = 0
    const watched = shopJob(
      { ...SHOP, variant: 'fewer' },
      {
        type: 'watched',
        open() {
          opened += 1
          return { write() {} }
        },
      },
    )

    const refusal = await run(watched, { from: pathOf(saved) }).catch((error: unknown) => error)
    const openedThen = opened
    await begin(rows, directory, 'b', { from: pathOf(saved), allowNonRestoredState: true }, 'fewer')
      .finished

    assert.ok(isEngineError(refusal) && refusal.code === 'SAVEPOINT_MISMATCH', String(refusal))
    assert.equal(openedThen, 0)
    assert.match(refusal.message, /no operator of the job has the uid 'receipts'/)
    assert.match(refusal.message, /allowNonRestoredState/)
    assert.match(
      refusal.message,
      /The mapping was:[^]*totals \(process\): restored, state sum, recent, byDigit/,
    )
    assert.match(refusal.message, /receipts \(process\): in no operator of the job, dropped/)
    const isGone = (row: string): boolean => row.startsWith('receipt')
    sameRows(
      rows.filter((row) => !isGone(row)),
      (await uninterrupted()).filter((row) => !isGone(row)),
    )
  })
})

test(
  'three jobs start from one checkpoint at once, and leave it as it was',
  { timeout: 300_000 },
  async () => {
    await using directory = await Directory.make()
    {
      await using running = begin([], directory, 'a', { parallelism: 2, state: 'leveldb' })
      await hasRead(running, 2000)
      await running.checkpoint()
    }
    const [checkpoint = ''] = await checkpointsIn(directory.at('a'))
    const outputs: string[][] = [[], [], []]

    await Promise.all(
      outputs.map((rows, index) =>
        begin(rows, directory, `reader-${index}`, {
          parallelism: index + 1,
          state: 'leveldb',
          from: checkpoint,
        }).finished.then(({ status }) => assert.equal(status, 'finished')),
      ),
    )

    // the first checkpoint: what it holds as pending is all that was put out until then
    for (const rows of outputs) sameRows(rows, await uninterrupted())
    await readManifest(checkpoint)
  },
)

/** Starts the job with checkpoints of its own; none is taken unless it is asked for. */
function begin(
  rows: string[],
  directory: Directory,
  name: string,
  options: RunOptions,
  variant: Shop['variant'] = 'plain',
): RunningJob {
  return start(shopJob({ ...SHOP, variant }, arraySink(rows)), {
    parallelism: 2,
    checkpoints: { directory: directory.at(name), interval: '1h', retainCount: 5 },
    ...options,
  })
}

/** Saved and stopped after it has done something. */
async function stopped(running: RunningJob, directory: Directory): Promise<JobResult> {
  await hasRead(running, 1500)
  return running.stop({ savepoint: directory.at('savepoints') })
}

async function hasRead(running: RunningJob, count: number): Promise<void> {
  await Promise.race([
    running.finished.then(() => assert.fail('It ended before it could be saved')),
    until(`${count} records are read`, () => {
      return running.status === 'running' && running.figures.totals().recordsRead >= count
    }),
  ])
}

function pathOf(result: JobResult): string {
  assert.ok(result.savepoint !== undefined)
  return result.savepoint.path
}

const outputs = new Map<string, Promise<string[]>>()

/** The rows of a run without interruption, sorted. */
function uninterrupted(shop: Shop = SHOP): Promise<string[]> {
  const { recordsPerSecond: _, ...fast } = shop
  const name = JSON.stringify(fast)
  let output = outputs.get(name)
  if (output === undefined) {
    const rows: string[] = []
    output = run(shopJob(fast, arraySink(rows))).then(() => rows.sort())
    outputs.set(name, output)
  }
  return output
}
