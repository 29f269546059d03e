/**
 * What every state backend must do, by src/contract/state-backend.ts. `stateBackendSuite` runs against any backend; make it
 * once for each set of options that takes other ways (tiny caches, large ones).
 *
 * The core is a job of several subtasks that does random things to its state beside a plain model: snapshots begin, go on step by step, are
 * abandoned or completed in the midst of it, and each completed one is restored with some parallelism and compared with the
 * model as it was at its barrier. The seed stands in the name of each test; `STATE_SEED=<n>` runs that one again.
 */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { SnapshotHandle } from '../../src/contract/snapshot-storage.ts'
import type {
  CellState,
  KeyedSnapshot,
  KeyedStore,
  StateBackend,
} from '../../src/contract/state-backend.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { intersectRanges, keyGroupOf, keyGroupsOf, subtaskOf } from '../../src/core/key-group.ts'
import type { KeyGroupRange } from '../../src/core/key-group.ts'
import { hashKey } from '../../src/core/key-hash.ts'
import { TestSnapshotStorage } from '../support/snapshot-storage.ts'
import { StateModel, assertSameState } from '../support/state-model.ts'

const maxParallelism = 16
/** Random lives of each backend; `STATE_LIVES=<n>` for more. */
const LIVES = Number(process.env['STATE_LIVES'] ?? 5)
const states: readonly CellState[] = [
  { name: 'value', kind: 'value', layout: 'key' },
  { name: 'count', kind: 'value', layout: 'key' },
  { name: 'list', kind: 'list', layout: 'page' },
  { name: 'panes', kind: 'window', layout: 'slice' },
  { name: 'timers', kind: 'timers', layout: 'timers' },
]
const everyKindOfKey: readonly AnyKey[] = [
  null,
  true,
  false,
  0,
  1,
  -1,
  1.5,
  2 ** 53,
  -Infinity,
  1n,
  -1n,
  2n ** 70n,
  '',
  '1',
  'a\u0000b',
  'ü€😀',
  '\ud800 alone',
  ['a'],
  ['a', 1, 1n, true],
  ['a', '1'],
]

/** Runs the suite. `makeBackend` is called once for each test. */
export function stateBackendSuite(name: string, makeBackend: () => StateBackend): void {
  describe(`State backend ${name}`, { timeout: 600_000 }, () => {
    let directory = ''
    let jobs = 0
    const open: TestJob[] = []

    /** A job of its own directory, closed at the end. */
    async function start(options: JobOptions = {}): Promise<TestJob> {
      const jobDirectory = join(directory, `job-${jobs++}`)
      await mkdir(jobDirectory, { recursive: true })
      const job = new TestJob(makeBackend(), jobDirectory, options)
      await job.open(options.parallelism ?? 1, [])
      open.push(job)
      return job
    }

    before(async () => {
      directory = await mkdtemp(join(tmpdir(), 'state-backend-'))
    })
    after(async () => {
      for (const job of open) await job.close()
      await rm(directory, { recursive: true, force: true })
    })

    it('keeps cells of keys of every type apart, and over a restore', async () => {
      const job = await start()
      everyKindOfKey.forEach((key, index) => {
        job.put('value', key, 0, index)
        job.put('list', key, 0, [index])
        job.put('list', key, 7, [index, 'seven'])
        job.put('panes', key, 60_000, { index })
        job.addTimer('timers', key, 1000 + index)
      })
      for (const kind of ['checkpoint', 'savepoint'] as const) {
        await job.checkRestored(await job.takeSnapshot(kind), 1)
      }
    })

    it('keeps every kind of value, undefined properties and -0 included', async () => {
      const job = await start()
      const values = [
        null,
        -0,
        Number.NaN,
        2n ** 80n,
        'text \ud800',
        new Date(5),
        Uint8Array.of(1, 2),
        Float64Array.of(1.5),
        new Map<unknown, unknown>([[{ a: 1 }, [2]]]),
        new Set([1, 'b']),
        { a: undefined, b: [1, { c: null }] },
        [],
      ]
      values.forEach((value, index) => job.put('value', index, 0, value))
      await job.checkRestored(await job.takeSnapshot('checkpoint'), 1)
      await job.checkRestored(await job.takeSnapshot('savepoint'), 2)
    })

    it('answers undefined for what was never stored or has been removed', async () => {
      const job = await start()
      const store = job.storeOf('a')
      assert.equal(store.cells('value').get(0), undefined)
      assert.equal(store.cells('value').edit(0), undefined)
      store.cells('value').remove(0)
      job.put('value', 'a', 0, 1)
      job.remove('value', 'a', 0)
      assert.equal(job.storeOf('a').cells('value').get(0), undefined)
      assert.equal(store.slices('panes').get(5), undefined)
      store.slices('panes').remove(5)
      store.slices('panes').drop(5)
      assert.equal(store.slices('panes').keys(5).next(), false)
      assert.deepEqual([...store.slices('panes').slices()], [])
      assert.equal(store.timers('timers').peek(), Infinity)
      assert.equal(store.timers('timers').poll(Infinity), false)
    })

    for (const kind of ['checkpoint', 'savepoint'] as const) {
      it(`sees in a ${kind} nothing of what is edited, replaced or removed after the barrier`, async () => {
        for (let stepsBefore = 0; stepsBefore < 6; stepsBefore++) {
          const job = await start()
          const keys = Array.from({ length: 300 }, (_, index) => index)
          for (const key of keys) {
            job.put('value', key, 0, { n: key, list: [key] })
            job.put('panes', key, key % 3, [key])
            job.addTimer('timers', key, key * 10)
          }
          await job.rest()
          const snapshot = job.beginSnapshot(kind)
          for (let step = 0; step < stepsBefore; step++) await job.step(snapshot, 50)
          for (const key of keys) {
            if (key % 4 === 0) job.editInPlace('value', key, 0)
            if (key % 4 === 1) job.put('value', key, 0, 'replaced')
            if (key % 4 === 2) job.remove('value', key, 0)
            if (key % 2 === 0) job.editInPlace('panes', key, key % 3)
          }
          job.dropSlice('panes', 1)
          job.pollTimers('timers', 1500)
          job.addTimer('timers', 'late', 3)
          await job.checkRestored(await job.finish(snapshot), 1)
          await job.checkRestored(await job.takeSnapshot(kind), 1)
        }
      })
    }

    it('leaves the state right when a snapshot is abandoned at any step, and the next one exact', async () => {
      for (const kind of ['checkpoint', 'savepoint'] as const) {
        for (let steps = 0; steps < 8; steps++) {
          const job = await start()
          for (let key = 0; key < 200; key++) {
            job.put('value', key, 0, { n: key, list: [] })
            job.put('panes', key, key % 2, key)
          }
          const snapshot = job.beginSnapshot(kind)
          for (let step = 0; step < steps; step++) {
            job.editInPlace('value', step, 0)
            await job.step(snapshot, 20)
          }
          for (let key = 0; key < 200; key += 3) job.editInPlace('value', key, 0)
          await job.abandon(snapshot)
          for (let key = 0; key < 200; key += 5) job.remove('panes', key, key % 2)
          await job.checkRestored(await job.takeSnapshot('checkpoint'), 1)
          await job.checkRestored(await job.takeSnapshot('savepoint'), 1)
        }
      }
    })

    it('rejects the result of an abandoned snapshot, however often it is abandoned', async () => {
      const job = await start()
      job.put('value', 1, 0, 1)
      const snapshot = job.beginSnapshot('checkpoint')
      const part = snapshot.parts[0]
      assert(part !== undefined)
      part.snapshot.abandon()
      part.snapshot.abandon()
      await assert.rejects(part.snapshot.finished)
      assert.equal(part.snapshot.step(10), 'written')
      const complete = await job.takeSnapshot('checkpoint')
      await job.checkRestored(complete, 1)
    })

    it('keeps the result of a snapshot that is abandoned after its end', async () => {
      const job = await start()
      job.put('value', 1, 0, 1)
      const snapshot = job.beginSnapshot('checkpoint')
      const complete = await job.finish(snapshot)
      for (const part of snapshot.parts) part.snapshot.abandon()
      await job.checkRestored(complete, 1)
    })

    it('restores one snapshot into fewer and more subtasks, and several into one', async () => {
      for (const kind of ['checkpoint', 'savepoint'] as const) {
        const job = await start({ parallelism: 3 })
        for (let key = 0; key < 500; key++) {
          job.put('value', `k${key}`, 0, key)
          for (let page = 0; page < key % 3; page++) job.put('list', `k${key}`, page, [key, page])
          job.put('panes', key, (key % 5) * 1000, [key])
          job.addTimer('timers', key, (key * 7919) % 1000)
          job.addTimer('timers', key, 10_000_000 + key)
        }
        job.dropSlice('panes', 2000)
        await job.rest()
        const complete = await job.takeSnapshot(kind)
        for (const parallelism of [1, 2, 3, 5, 16]) await job.checkRestored(complete, parallelism)
      }
    })

    it('keeps many numbers under integer keys exactly, some of which are no numbers for a while', async () => {
      const job = await start({ parallelism: 2 })
      for (const [round, kind] of (['checkpoint', 'savepoint', 'checkpoint'] as const).entries()) {
        for (let key = 0; key < 2000; key++) {
          if (round === 0 || key % 3 === 0) job.put('count', key, 0, numberOf(key + round))
          if (key % 500 === 7) job.put('count', key, 0, { n: round, list: [] })
          if (key % 700 === 3) job.remove('count', key, 0)
          if (key % 100 === 0) {
            job.put('count', `k${key}`, 0, key)
            job.check('count', -1 - key, 0)
            await job.untilRoom()
          }
        }
        const snapshot = job.beginSnapshot(kind)
        for (let key = 0; key < 2000; key += 2) {
          if (key % 14 === 0) job.remove('count', key, 0)
          else if (key % 500 === 7) job.put('count', key, 0, round)
          else job.put('count', key - 2_000_000_000, 0, round + 0.5)
          if (key % 100 === 0) await job.step(snapshot, 20)
          await job.untilRoom(snapshot)
        }
        const complete = await job.finish(snapshot)
        for (const parallelism of [1, 2, 3, 16]) await job.checkRestored(complete, parallelism)
        if (round === 1) await job.restart(complete, 2)
      }
      await job.restart(await job.takeSnapshot('checkpoint'), 2)
      for (let key = 0; key < 2000; key++) {
        job.check('count', key, 0)
        await job.untilRoom()
      }
      await job.close()
    })

    it('tells numbers from what is beside them when subtasks of either kind are merged', async () => {
      const job = await start({ parallelism: 2 })
      const subtask = (key: AnyKey): number =>
        subtaskOf(keyGroupOf(hashKey(key), maxParallelism), { parallelism: 2, maxParallelism })
      for (let key = 0; key < 400; key++) job.put('count', key, 0, subtask(key) === 0 ? key : [key])
      for (let key = 0; key < 400; key++) job.put('value', key, 0, subtask(key) === 1 ? key : [key])
      for (const kind of ['checkpoint', 'savepoint'] as const) {
        const complete = await job.takeSnapshot(kind)
        for (const parallelism of [1, 2, 3]) await job.checkRestored(complete, parallelism)
        await job.restart(complete, 1)
        for (let key = 0; key < 400; key += 3)
          job.put('count', key, 0, key % 2 === 0 ? key : 'text')
        await job.checkRestored(await job.takeSnapshot(kind), 2)
        await job.restart(complete, 2)
      }
      await job.close()
    })

    it('goes on from a restored state, snapshot after snapshot', async () => {
      const job = await start({ parallelism: 2 })
      for (const [round, parallelism] of [1, 3, 3, 2, 2, 1].entries()) {
        for (let key = 0; key < 120; key++) {
          job.put('panes', key, round, [round])
          job.put('value', key % 50, 0, { n: round, list: [key] })
          if (key % 3 === 0) job.remove('panes', key, round - 1)
          job.addTimer('timers', key, round * 1000 + ((key * 31) % 700))
        }
        if (round > 2) job.dropSlice('panes', round - 3)
        job.pollTimers('timers', round * 1000 - 500)
        const complete = await job.takeSnapshot(round % 2 === 0 ? 'checkpoint' : 'savepoint')
        job.editInPlace('value', 1, 0)
        await job.restart(complete, parallelism)
      }
      await job.checkRestored(await job.takeSnapshot('checkpoint'), 1)
    })

    it('finds states by name when the job has others, and drops what it has no longer', async () => {
      const job = await start()
      job.put('value', 'a', 0, 'kept')
      job.put('list', 'a', 1, 'dropped')
      job.put('panes', 'a', 1, 'kept too')
      job.addTimer('timers', 'a', 5)
      for (const kind of ['checkpoint', 'savepoint'] as const) {
        for (const parallelism of [1, 2]) {
          const complete = await job.takeSnapshot(kind)
          const model = new StateModel([
            { name: 'panes', kind: 'window', layout: 'slice' },
            { name: 'new', kind: 'list', layout: 'page' },
            { name: 'value', kind: 'value', layout: 'key' },
          ])
          model.put('value', 'a', 0, 'kept')
          model.put('panes', 'a', 1, 'kept too')
          await job.checkRestored({ ...complete, model }, parallelism)
        }
      }
    })

    it('finds nothing of a dropped state under one that is new', async () => {
      const [value] = states
      assert(value !== undefined)
      const job = await start()
      for (const key of everyKindOfKey) {
        job.put('value', key, 0, 'kept')
        job.put('list', key, 0, 'dropped')
      }
      const without = new StateModel([value])
      const withNew = new StateModel([value, { name: 'new', kind: 'list', layout: 'page' }])
      for (const key of everyKindOfKey) {
        without.put('value', key, 0, 'kept')
        withNew.put('value', key, 0, 'kept')
      }
      await job.restart({ ...(await job.takeSnapshot('checkpoint')), model: without }, 1)
      const { handles } = await job.takeSnapshot('checkpoint')
      await job.checkRestored({ handles, model: withNew }, 1)
    })

    it('gives timers out in the order of time, with additions while it is polled', async () => {
      const job = await start()
      const random = randomOf(7)
      for (let i = 0; i < 3000; i++) {
        job.addTimer('timers', `k${i % 500}`, Math.floor(random() * 5000))
      }
      await job.rest()
      for (let upTo = 0; upTo <= 5000; upTo += 100) {
        let added = 0
        job.pollTimers('timers', upTo, (timestampMs) => {
          if (added++ >= 20) return
          job.addTimer('timers', `new${added}`, timestampMs + added * 13)
          if (added % 5 === 0) job.addTimer('timers', `past${added}`, timestampMs - 500)
        })
        await job.rest()
      }
      assert.equal(job.timersLeft('timers', 5000), 0)
      await job.checkRestored(await job.takeSnapshot('savepoint'), 1)
    })

    it('takes timers at any time, twice too, and many at one time', async () => {
      const job = await start()
      const times = [0, -5, -1e15, 1e15, 2 ** 53, -(2 ** 53), 0.5, 1]
      for (const time of times) job.addTimer('timers', 'a', time)
      for (const time of times) job.addTimer('timers', 'a', time)
      for (let i = 0; i < 2000; i++) job.addTimer('timers', i, 77_777)
      job.pollTimers('timers', -1)
      await job.checkRestored(await job.takeSnapshot('checkpoint'), 1)
      await job.checkRestored(await job.takeSnapshot('savepoint'), 4)
      job.pollTimers('timers', 100_000)
      await job.checkRestored(await job.takeSnapshot('checkpoint'), 1)
    })

    it('keeps tens of thousands of timers in order, near and far', async () => {
      const job = await start({ parallelism: 2 })
      for (let i = 0; i < 40_000; i++) {
        const timestampMs = i % 3 === 0 ? (i * 7919) % 10_007 : (i * 104_729) % 50_000_017
        job.addTimer('timers', i % 5000, timestampMs)
        if (i % 500 === 0) await job.rest()
      }
      await job.checkRestored(await job.takeSnapshot('checkpoint'), 2)
      await job.checkRestored(await job.takeSnapshot('savepoint'), 3)
    })

    it('walks each key of a slice once, while cells change', async () => {
      const job = await start()
      for (let key = 0; key < 700; key++) job.put('panes', key, 5, key)
      for (let key = 0; key < 700; key += 2) job.remove('panes', key, 5)
      for (let key = 0; key < 700; key += 4) job.put('panes', key, 5, 'again')
      await job.rest()
      const store = job.storeOf(0)
      const cursor = store.slices('panes').keys(5)
      const seen: AnyKey[] = []
      while (cursor.next()) {
        seen.push(store.key)
        assert.notEqual(store.slices('panes').get(5), undefined)
        job.editOrReplace('panes', store.key, 5)
        job.remove('panes', store.key, 5)
        job.put('panes', store.key, 6, 'moved')
      }
      assert.equal(new Set(seen).size, seen.length)
      assert.equal(seen.length, 350 + 175)
      assert.deepEqual([...store.slices('panes').slices()], [6])
      await job.checkRestored(await job.takeSnapshot('checkpoint'), 1)
    })

    it('forgets a dropped slice at once and for good, and takes it anew', async () => {
      const job = await start()
      for (let round = 0; round < 4; round++) {
        for (let key = 0; key < 400; key++) job.put('panes', key, 9, [round, key])
        const before = job.beginSnapshot('checkpoint')
        job.dropSlice('panes', 9)
        assert.equal(job.storeOf(1).slices('panes').get(9), undefined)
        job.put('panes', 1000 + round, 9, 'new')
        await job.checkRestored(await job.finish(before), 1)
        await job.checkRestored(await job.takeSnapshot('savepoint'), 2)
        await job.rest()
        await job.restart(await job.takeSnapshot('checkpoint'), 1)
      }
    })

    it('does not find cells of a dropped slice again after a restore', async () => {
      const job = await start()
      for (let key = 0; key < 600; key++) job.put('panes', key, 4, 'dropped')
      await job.rest()
      job.dropSlice('panes', 4)
      await job.restart(await job.takeSnapshot('checkpoint'), 1)
      for (let key = 0; key < 600; key += 3) job.put('panes', key, 4, 'new')
      for (let key = 0; key < 600; key++) job.check('panes', key, 4)
      await job.rest()
      for (let key = 0; key < 600; key++) job.check('panes', key, 4)
      await job.checkRestored(await job.takeSnapshot('savepoint'), 1)
    })

    it('has room again after a wake, also while a snapshot is under way', async () => {
      const job = await start()
      for (const kind of ['checkpoint', 'savepoint'] as const) {
        const snapshots: JobSnapshot[] = []
        for (let i = 0; i < 4000; i++) {
          job.put('value', i % 1500, 0, { n: i, list: ['x'.repeat(100)] })
          if (i === 500) snapshots.push(job.beginSnapshot(kind))
          const snapshot = snapshots[0]
          if (snapshot !== undefined && i % 100 === 0) await job.step(snapshot, 10)
          // Nothing but `hasRoom` and waiting, as a loop does that finds no room.
          await job.untilRoom(snapshot)
        }
        for (const snapshot of snapshots) {
          await job.checkRestored(await job.finish(snapshot), 1)
        }
      }
    })

    it('may be closed in the midst of things, and twice', async () => {
      const job = await start()
      for (let key = 0; key < 500; key++) job.put('value', key, 0, { n: key, list: [] })
      job.beginSnapshot('checkpoint')
      for (const { store } of job.subtasks) store.work()
      await job.close()
      await job.close()
      assert.equal(job.storage.openWriters, 0)
    })

    const seedGiven = process.env['STATE_SEED']
    const seeds =
      seedGiven === undefined
        ? Array.from({ length: LIVES }, () => Math.floor(Math.random() * 2 ** 31))
        : [Number(seedGiven)]
    for (const seed of seeds) {
      it(`agrees with the model over a random life (STATE_SEED=${seed})`, async () => {
        const random = randomOf(seed)
        const job = await start({
          parallelism: 1 + Math.floor(random() * 3),
          pagesUntilFull: 1 + Math.floor(random() * 8),
        })
        await randomLife(job, random, 2500)
        await job.close()
        assert.equal(job.storage.openWriters, 0)
      })
    }
  })
}

/** Numbers of every size and kind, one after the other. */
function numberOf(index: number): number {
  const kinds = [
    index,
    index * 300,
    index * 70_000,
    2 ** 32 - 1,
    2 ** 32,
    -index,
    index / 8,
    -0,
    NaN,
  ]
  const [count, kind] = [kinds.length * 4, index % 36]
  return kind < count - kinds.length ? index : (kinds[kind - (count - kinds.length)] ?? index)
}

/** Does random things to a job. */
async function randomLife(job: TestJob, random: () => number, steps: number): Promise<void> {
  const pick = (below: number): number => Math.floor(random() * below)
  const keyCount = [5, 60, 800][pick(3)] ?? 5
  const key = (): AnyKey => {
    const index = pick(keyCount)
    return index < everyKindOfKey.length ? (everyKindOfKey[index] ?? null) : index
  }
  const cell = (): readonly [string, AnyKey, number] => {
    const state = ['value', 'count', 'list', 'panes'][pick(4)] ?? 'value'
    return [state, key(), state === 'value' || state === 'count' ? 0 : pick(6)]
  }
  // with few values that are no numbers, or none, or many
  const otherShare = [0, 0.01, 0.4][pick(3)] ?? 0
  const valueOf = (state: string): unknown =>
    state === 'count' && random() >= otherShare ? numberOf(pick(1000)) : randomValue(random, 3)
  const putSome = async (): Promise<void> => {
    const first = pick(2500)
    for (let at = first; at < first + 200; at++) {
      job.put('count', at, 0, valueOf('count'))
      await job.untilRoom(snapshot)
    }
  }
  let snapshot: JobSnapshot | undefined
  let completed: CompletedSnapshot | undefined
  let clock = 0
  for (let step = 0; step < steps; step++) {
    const what = pick(100)
    if (what < 25) {
      const at = cell()
      job.put(...at, valueOf(at[0]))
      if (what === 0 && pick(3) === 0) await putSome()
    } else if (what < 45) job.editOrReplace(...cell())
    else if (what < 55) job.remove(...cell())
    else if (what < 62) job.check(...cell())
    else if (what < 72)
      job.addTimer('timers', key(), clock + pick(pick(10) === 0 ? 1e9 : 3000) - 100)
    else if (what < 75) {
      clock += pick(500)
      job.pollTimers('timers', clock, (timestampMs) => {
        if (pick(4) === 0) job.addTimer('timers', key(), timestampMs + pick(200) - 20)
      })
    } else if (what < 76) job.dropSlice('panes', pick(6))
    else if (what < 77) job.checkSlices('panes')
    else if (what < 79) snapshot ??= job.beginSnapshot(pick(2) === 0 ? 'checkpoint' : 'savepoint')
    else if (what < 90) {
      if (snapshot !== undefined) await job.step(snapshot, 1 + pick(50))
    } else if (what < 91) {
      if (snapshot !== undefined) await job.abandon(snapshot)
      snapshot = undefined
    } else if (what < 93) {
      if (snapshot !== undefined) {
        completed = await job.finish(snapshot)
        if (pick(2) === 0) await job.checkRestored(completed, 1 + pick(4))
        snapshot = undefined
      }
    } else if (what < 98) {
      for (const { store } of job.subtasks) store.work()
    } else if (what < 99 && pick(4) === 0 && completed !== undefined) {
      snapshot = undefined
      const parallelism = pick(2) === 0 ? job.subtasks.length : 1 + pick(4)
      await job.restart(completed, parallelism)
    } else await turn()
    await job.untilRoom(snapshot)
  }
  if (snapshot !== undefined) await job.checkRestored(await job.finish(snapshot), 1)
  await job.checkRestored(await job.takeSnapshot('checkpoint'), job.subtasks.length)
  await job.checkRestored(await job.takeSnapshot('savepoint'), 2)
}

interface JobOptions {
  readonly parallelism?: number
  readonly pagesUntilFull?: number
}

interface Subtask {
  readonly store: KeyedStore
  readonly keyGroups: KeyGroupRange
  readonly wakes: Wakes
}

/** A snapshot of all subtasks, under way. */
interface JobSnapshot {
  readonly parts: readonly { readonly snapshot: KeyedSnapshot; readonly subtask: Subtask }[]
  /** The state at the barrier. */
  readonly model: StateModel
  isWritten: boolean
}

interface CompletedSnapshot {
  readonly handles: readonly SnapshotHandle[]
  readonly model: StateModel
}

/** Counts the calls of `wake`, and waits for the next. */
class Wakes {
  count = 0
  #onWake: (() => void) | undefined
  #failure: Error | undefined

  readonly wake = (): void => {
    this.count++
    this.#onWake?.()
  }

  /** The store has failed; whoever waits learns of it. */
  readonly fail = (error: unknown): void => {
    this.#failure = error instanceof Error ? error : new Error('the store failed', { cause: error })
    this.wake()
  }

  /** Settles at once if there was one since `count` was `seen`. */
  async after(seen: number): Promise<void> {
    if (this.count === seen && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#onWake = resolve
      })
    }
    if (this.#failure !== undefined) throw this.#failure
  }
}

/** Keyed state of an operator with several subtasks, beside its model. */
class TestJob {
  readonly storage: TestSnapshotStorage
  subtasks: readonly Subtask[] = []
  model = new StateModel(states)
  readonly #backend: StateBackend
  readonly #directory: string
  #checkpointId = 0
  #workDirectories = 0

  constructor(backend: StateBackend, directory: string, options: JobOptions) {
    this.#backend = backend
    this.#directory = directory
    this.storage = new TestSnapshotStorage({
      directory: join(directory, 'snapshots'),
      ...(options.pagesUntilFull === undefined ? {} : { pagesUntilFull: options.pagesUntilFull }),
    })
  }

  async open(parallelism: number, handles: readonly SnapshotHandle[]): Promise<void> {
    await mkdir(join(this.#directory, 'snapshots'), { recursive: true })
    this.subtasks = await this.#openSubtasks(parallelism, handles, states)
  }

  /** The store of a key, with that key at hand. */
  storeOf(key: AnyKey): KeyedStore {
    const hash = hashKey(key)
    const parallelism = this.subtasks.length
    const index = subtaskOf(keyGroupOf(hash, maxParallelism), { parallelism, maxParallelism })
    const store = this.subtasks[index]?.store
    assert(store !== undefined)
    store.useKey(key, hash)
    assert.equal(store.key, key)
    assert.equal(store.hash, hash)
    return store
  }

  put(state: string, key: AnyKey, sub: number, value: unknown): void {
    this.model.put(state, key, sub, value)
    this.#cells(state, key).put(sub, value)
  }

  remove(state: string, key: AnyKey, sub: number): void {
    this.model.remove(state, key, sub)
    this.#cells(state, key).remove(sub)
  }

  check(state: string, key: AnyKey, sub: number): void {
    assert.deepStrictEqual(this.#cells(state, key).get(sub), this.model.get(state, key, sub))
  }

  /** Changes a value `{ n, list }` in place. */
  editInPlace(state: string, key: AnyKey, sub: number): void {
    const cells = this.#cells(state, key)
    const value = cells.edit(sub)
    assert.deepStrictEqual(value, this.model.get(state, key, sub))
    change(value)
    cells.put(sub, value)
    this.model.put(state, key, sub, value)
  }

  /** Changes a value in place if it can be, else replaces it. */
  editOrReplace(state: string, key: AnyKey, sub: number): void {
    const value = this.model.get(state, key, sub)
    if (typeof value === 'object' && value !== null) this.editInPlace(state, key, sub)
    else this.put(state, key, sub, { n: 1, list: [typeof value] })
  }

  dropSlice(state: string, slice: number): void {
    for (const { store } of this.subtasks) store.slices(state).drop(slice)
    this.model.drop(state, slice, () => true)
  }

  checkSlices(state: string): void {
    for (const subtask of this.subtasks) {
      const isOurs = isIn(subtask.keyGroups)
      const slices = subtask.store.slices(state)
      assert.deepEqual([...slices.slices()], this.model.slices(state, isOurs))
      for (const slice of slices.slices()) {
        const cursor = slices.keys(slice)
        let count = 0
        while (cursor.next()) {
          count++
          assert(this.model.has(state, subtask.store.key, slice))
        }
        const wanted = this.model
          .cells(state)
          .filter(({ key, sub }) => sub === slice && isOurs(key))
        assert.equal(count, wanted.length)
      }
    }
  }

  addTimer(state: string, key: AnyKey, timestampMs: number): void {
    this.model.addTimer(state, key, timestampMs)
    this.storeOf(key).timers(state).add(timestampMs)
  }

  /** Takes out what is due on every subtask, and has `each` add more meanwhile. */
  pollTimers(state: string, upToMs: number, each?: (timestampMs: number) => void): void {
    for (const { store, keyGroups } of this.subtasks) {
      const timers = store.timers(state)
      const isOurs = isIn(keyGroups)
      for (;;) {
        const earliest = this.model.earliest(state, isOurs)
        assert.equal(timers.peek(), earliest)
        assert.equal(timers.poll(upToMs), earliest <= upToMs && earliest !== Infinity)
        if (earliest > upToMs || earliest === Infinity) break
        assert.equal(timers.timestampMs, earliest)
        assert(this.model.takeTimer(state, store.key, earliest), 'The timer was entered')
        each?.(earliest)
      }
    }
  }

  timersLeft(state: string, upToMs: number): number {
    return this.model.timers(state).filter(({ timestampMs }) => timestampMs <= upToMs).length
  }

  beginSnapshot(kind: 'checkpoint' | 'savepoint'): JobSnapshot {
    const checkpointId = ++this.#checkpointId
    const parts = this.subtasks.map((subtask, subtaskIndex) => {
      const { keyGroups, wakes } = subtask
      const writer = this.storage.writer({
        checkpointId,
        attempt: 'a',
        kind,
        isSelfContained: false,
        operatorUid: 'operator',
        subtaskIndex,
        keyGroups,
        wake: wakes.wake,
      })
      return { subtask, snapshot: subtask.store.snapshot({ checkpointId, kind, writer }) }
    })
    return { parts, model: this.model.clone(), isWritten: false }
  }

  /** One step on every subtask, and a turn of the event loop if some wait. */
  async step(snapshot: JobSnapshot, entriesMax: number): Promise<void> {
    const steps = snapshot.parts.map((part) => part.snapshot.step(entriesMax))
    snapshot.isWritten = steps.every((step) => step === 'written')
    if (steps.includes('waiting')) await turn()
  }

  async finish(snapshot: JobSnapshot): Promise<CompletedSnapshot> {
    for (const part of snapshot.parts) {
      for (;;) {
        const seen = part.subtask.wakes.count
        const step = part.snapshot.step(500)
        if (step === 'written') break
        if (step === 'waiting') await part.subtask.wakes.after(seen)
      }
    }
    const handles = await Promise.all(snapshot.parts.map((part) => part.snapshot.finished))
    snapshot.parts.forEach(({ subtask }, index) => {
      assert.deepEqual(handles[index]?.keyGroups, subtask.keyGroups)
      subtask.store.onCheckpointComplete(this.#checkpointId)
    })
    return { handles, model: snapshot.model }
  }

  takeSnapshot(kind: 'checkpoint' | 'savepoint'): Promise<CompletedSnapshot> {
    return this.finish(this.beginSnapshot(kind))
  }

  async abandon(snapshot: JobSnapshot): Promise<void> {
    const results = Promise.allSettled(snapshot.parts.map((part) => part.snapshot.finished))
    for (const part of snapshot.parts) part.snapshot.abandon()
    await results
  }

  /** Opens the snapshot in other stores and compares them with its model. */
  async checkRestored({ handles, model }: CompletedSnapshot, parallelism: number): Promise<void> {
    const otherKeys = [...everyKindOfKey, 'not there', -99]
    const subtasks = await this.#openSubtasks(parallelism, handles, model.states)
    try {
      for (const subtask of subtasks) {
        const { store, keyGroups } = subtask
        const rest = () => untilRoomOf(subtask)
        await assertSameState(model, { store, keyGroups, maxParallelism, otherKeys, rest })
      }
    } finally {
      for (const { store } of subtasks) await store.close()
    }
  }

  /** As after a crash: everything is lost but the snapshot. */
  async restart(completed: CompletedSnapshot, parallelism: number): Promise<void> {
    await this.close()
    this.model = completed.model.clone()
    const cellStates = completed.model.states
    this.subtasks = await this.#openSubtasks(parallelism, completed.handles, cellStates)
  }

  async untilRoom(snapshot?: JobSnapshot): Promise<void> {
    for (const subtask of this.subtasks) {
      const part = snapshot?.parts.find((other) => other.subtask === subtask)
      await untilRoomOf(subtask, part?.snapshot)
    }
  }

  /** Lets the stores do what they have to do in the background. */
  async rest(): Promise<void> {
    await this.untilRoom()
    for (const { store } of this.subtasks) {
      for (let i = 0; i < 50 && store.work(); i++) await turn()
    }
    await turn()
  }

  async close(): Promise<void> {
    for (const { store } of this.subtasks) await store.close()
  }

  #cells(state: string, key: AnyKey): ReturnType<KeyedStore['cells']> {
    const store = this.storeOf(key)
    return state === 'panes' ? store.slices(state) : store.cells(state)
  }

  async #openSubtasks(
    parallelism: number,
    handles: readonly SnapshotHandle[],
    cellStates: readonly CellState[],
  ): Promise<readonly Subtask[]> {
    const readers = await Promise.all(handles.map((handle) => this.storage.reader(handle)))
    const subtasks: Subtask[] = []
    for (let subtaskIndex = 0; subtaskIndex < parallelism; subtaskIndex++) {
      const keyGroups = keyGroupsOf(subtaskIndex, { parallelism, maxParallelism })
      const wakes = new Wakes()
      const workDirectory = join(this.#directory, `work-${this.#workDirectories++}`)
      await mkdir(workDirectory, { recursive: true })
      const store = await this.#backend.open({
        operatorUid: 'operator',
        subtaskIndex,
        keyGroups,
        maxParallelism,
        states: cellStates,
        restore: readers.filter(({ handle }) => {
          const shared = intersectRanges(handle.keyGroups, keyGroups)
          return shared.start < shared.end
        }),
        workDirectory: () => workDirectory,
        wake: wakes.wake,
        fail: wakes.fail,
      })
      subtasks.push({ store, keyGroups, wakes })
    }
    for (const reader of readers) await reader.close()
    return subtasks
  }
}

/** Waits as the engine's loop does: it looks, works, and sleeps until it is woken. */
async function untilRoomOf({ store, wakes }: Subtask, snapshot?: KeyedSnapshot): Promise<void> {
  for (;;) {
    const seen = wakes.count
    if (store.hasRoom()) return
    const isBusy = store.work()
    if (snapshot?.step(100) === 'more' || isBusy) await turn()
    else await wakes.after(seen)
  }
}

function isIn(range: KeyGroupRange): (key: AnyKey) => boolean {
  return (key) => {
    const group = keyGroupOf(hashKey(key), maxParallelism)
    return group >= range.start && group < range.end
  }
}

/** Changes an object of any kind in place. */
function change(value: unknown): void {
  assert(typeof value === 'object' && value !== null, 'Only objects are changed in place')
  if (Array.isArray(value)) value.push('edited')
  else if (value instanceof Map) value.set('edited', value.size)
  else if (value instanceof Set) value.add(`edited ${value.size}`)
  else if (value instanceof Date) value.setTime(value.getTime() + 1)
  else if (value instanceof Uint8Array) value[0] = ((value[0] ?? 0) + 1) % 256
  else {
    const object = value as { n?: number; list?: unknown }
    object.n = (typeof object.n === 'number' ? object.n : 0) + 1
    if (Array.isArray(object.list)) object.list.push(object.n)
  }
}

function randomValue(random: () => number, depth: number): unknown {
  const pick = (below: number): number => Math.floor(random() * below)
  const part = (): unknown => randomValue(random, depth - 1)
  switch (pick(depth === 0 ? 5 : 11)) {
    case 0:
      return pick(1000)
    case 1:
      return random()
    case 2:
      return 'x'.repeat(pick(50))
    case 3:
      return pick(2) === 0
    case 4:
      return BigInt(pick(1e9)) ** 3n
    case 5:
      return Array.from({ length: pick(5) }, part)
    case 6:
      return Uint8Array.from({ length: 1 + pick(200) }, () => pick(256))
    case 7:
      return new Map([['a', part()]])
    case 8:
      return new Set([pick(100)])
    case 9:
      return new Date(pick(1e9))
    default:
      return { n: pick(100), list: [part()] }
  }
}

/** Numbers from 0 to 1 that depend on the seed alone. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
