/**
 * Two processes and one checkpoint directory: the second is refused; and where the lock was lost (another host, a file system that forgot
 * it) the first one, which stood still meanwhile, finds that it is no longer the owner, and publishes and commits nothing.
 */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ChildMessage } from '../../support/counting/child.ts'
import { Life } from '../../support/counting/life.ts'
import { place } from '../../support/counting/place.ts'
import type { Place } from '../../support/counting/place.ts'
import { checkOutput, namesIn, visibleFiles } from '../../support/counting/records.ts'
import { fenceOf, newestCheckpoint, newestData } from '../../support/counting/traces.ts'

const SIZE = { recordCount: 60_000, fileCount: 6, keyCount: 240 }
const DEADLINE_MS = 60_000

/** A process that runs the job; `recordsMax` keeps it from coming to its end. */
function process(t: TestContext, here: Place, recordsMax: number | undefined): Life {
  const pace = { recordsPerSecond: 20_000, ...(recordsMax === undefined ? {} : { recordsMax }) }
  const life = new Life(
    {
      params: { ...here.params, pace },
      options: {
        parallelism: 2,
        state: 'leveldb',
        checkpoints: { directory: here.checkpoints, interval: '100ms' },
      },
      threads: 2,
    },
    here.temporary,
  )
  t.after(() => life.kill())
  return life
}

async function until(life: Life, what: string, condition: () => boolean): Promise<void> {
  const endMs = performance.now() + DEADLINE_MS
  while (!condition()) {
    assert(!life.isOver, `it ended before ${what}: ${JSON.stringify(life.last)}`)
    assert(performance.now() < endMs, `no sign of ${what}: ${life.log.join('\n')}`)
    await sleep(2)
  }
}

/** The visible files of the first owner's epochs. */
function committedByFirst({ params }: Place): string[] {
  return [params.rows, params.windows]
    .flatMap(visibleFiles)
    .filter((name) => /-1-[^-]+-\d+\.jsonl$/.test(name))
}

function checkFailed(end: ChildMessage | undefined, code: string, text: RegExp): void {
  assert(end?.kind === 'failed', JSON.stringify(end))
  assert.equal(end.code, code)
  assert.match(end.text, text)
}

test('the second of two processes on a directory is refused, and the first goes on', async (t) => {
  const here = await place(t, SIZE)
  const first = process(t, here, undefined)
  await until(first, 'a checkpoint', () => newestCheckpoint(here.checkpoints) > 0)

  const second = process(t, here, undefined)
  checkFailed(await second.end(), 'CHECKPOINT_DIRECTORY_IN_USE', /belongs to another running job/)

  assert.equal((await first.end())?.kind, 'finished')
  assert.equal(fenceOf(here.checkpoints), 1)
  checkOutput(here.params.rows, here.params.windows, SIZE)
})

for (const moment of ['between checkpoints', 'while it takes a checkpoint'] as const) {
  test(`an owner that is stopped ${moment} and wakes up after another took over is fenced`, async (t) => {
    const here = await place(t, SIZE)
    const stopped = process(t, here, SIZE.recordCount / 3)
    await until(stopped, 'two checkpoints', () => newestCheckpoint(here.checkpoints) > 1)
    if (moment === 'while it takes a checkpoint') {
      const newest = newestData(here.checkpoints)
      await until(stopped, 'data', () => newestData(here.checkpoints) > newest)
    }
    stopped.signal('SIGSTOP')
    // as on another host, or a file system that has forgotten the lock
    rmSync(join(here.checkpoints, 'owner', 'LOCK'))

    const next = process(t, here, SIZE.recordCount / 3)
    const taken = newestCheckpoint(here.checkpoints)
    await until(next, 'its checkpoint', () => newestCheckpoint(here.checkpoints) > taken)
    assert(committedByFirst(here).length > 0)
    const publishedBefore = newestCheckpoint(here.checkpoints)
    const committedBefore = committedByFirst(here)
    stopped.signal('SIGCONT')
    checkFailed(await stopped.end(), 'FENCED', /fence 2, this one has 1/)
    assert.deepEqual(committedByFirst(here), committedBefore)

    await until(next, 'a later checkpoint', () => {
      return newestCheckpoint(here.checkpoints) > publishedBefore
    })
    await next.kill()
    const last = process(t, here, undefined)
    assert.equal((await last.end())?.kind, 'finished', last.log.join('\n'))
    assert.equal(fenceOf(here.checkpoints), 3)
    checkOutput(here.params.rows, here.params.windows, SIZE)
    for (const directory of [here.params.rows, here.params.windows]) {
      assert.equal(namesIn(directory).length, visibleFiles(directory).length, 'nothing is left')
    }
  })
}
