/** The options of checkpoints, each in a job that runs with them from beginning to end. */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { arraySink, generate, isEngineError, job, run, start, type } from 'millrace'
import type { CheckpointOptions, Job, Sink } from 'millrace'
import {
  Directory,
  Log,
  checkpointsIn,
  readManifest,
  sameRows,
  until,
} from '../../support/running-jobs.ts'

describe('checkpoints', { timeout: 300_000 }, () => {
  test('of guarantee at-least-once lose nothing over a failure; exactly-once puts nothing out twice', async () => {
    for (const guarantee of ['at-least-once', 'exactly-once'] as const) {
      await using directory = await Directory.make()
      const count = 6000
      const rows: string[] = []
      let failsAt = 4000
      const running = start(
        job('guarantee', (env) => {
          // two paces: the barrier of one source waits for that of the other
          const fast = env.from(
            'fast',
            generate({ count, recordsPerSecond: 6000, record: (n) => n }),
          )
          const slow = env.from(
            'slow',
            generate({ count: 200, recordsPerSecond: 150, record: (n) => -n - 1 }),
          )
          fast
            .union(slow)
            .keyBy((number) => Math.abs(number) % 50)
            .process('seen', { emits: type<string>() }, ({ emit }) => ({
              onRecord(number) {
                if (number > failsAt && running.figures.checkpoints > 0) {
                  failsAt = Infinity
                  throw new Error('once')
                }
                emit(String(number))
              },
            }))
            .to('rows', arraySink(rows))
        }),
        {
          parallelism: 2,
          checkpoints: { directory: directory.path, interval: '100ms', guarantee },
          restart: { kind: 'fixed', delay: '10ms', attemptsMax: 1 },
        },
      )
      await running.finished

      const expected = [
        ...Array.from({ length: count }, (_, number) => String(number)),
        ...Array.from({ length: 200 }, (_, number) => String(-number - 1)),
      ]
      assert.equal(running.figures.restarts, 1)
      if (guarantee === 'exactly-once') sameRows(rows, expected)
      else sameRows([...new Set(rows)], expected)
    }
  })

  test('go on when a source has ended, and it is not read again after a restore', async () => {
    await using directory = await Directory.make()
    const rows: string[] = []
    const two = job('two-sources', (env) => {
      const ended = env.from('ended', generate({ count: 40, record: (index) => `short ${index}` }))
      const open = env.from(
        'open',
        generate({ recordsPerSecond: 500, record: (index) => `long ${index}` }),
      )
      ended
        .union(open)
        .keyBy((row) => row)
        .count('counts')
        .map(({ key, value }) => `${key} ${value}`)
        .to('rows', arraySink(rows))
    })
    const options = {
      parallelism: 2,
      checkpoints: { directory: directory.path, interval: '50ms' },
    } as const
    const shorts = (): string[] => rows.filter((row) => row.startsWith('short'))
    {
      await using first = start(two, options)
      await Promise.race([
        first.finished,
        until('all of the short source is committed', () => shorts().length === 40),
      ])
      const before = first.figures.checkpoints
      await Promise.race([
        first.finished,
        until('there are further checkpoints', () => first.figures.checkpoints >= before + 2),
      ])
    }
    const committed = rows.length

    const second = start(two, options)
    await until('there is more output', () => rows.length > committed + 50)
    await second.stop()

    assert.ok(second.restored !== undefined)
    sameRows(
      shorts(),
      Array.from({ length: 40 }, (_, index) => `short ${index} 1`),
    )
    const longs = rows.filter((row) => row.startsWith('long')).length
    sameRows(rows, [...shorts(), ...Array.from({ length: longs }, (_, index) => `long ${index} 1`)])
  })

  test('end with one that covers all of a bounded job: started again, it has nothing to do', async () => {
    await using directory = await Directory.make()
    const rows: number[] = []
    const bounded = numbers(arraySink(rows), 1000)
    const options = {
      parallelism: 2,
      checkpoints: { directory: directory.path, interval: '1h' },
    } as const

    const first = await run(bounded, options)
    const rowsThen = rows.length
    const second = await run(bounded, options)

    assert.deepEqual([first.status, first.checkpoints, first.recordsRead], ['finished', 1, 1000])
    assert.equal(rowsThen, 1000)
    assert.deepEqual([second.status, second.recordsRead, rows.length], ['finished', 0, 1000])
  })

  test('that time out are given up, and the job survives as many in a row as it tolerates', async () => {
    await using directory = await Directory.make()
    const log = new Log()
    const stuck = stuckSink(3)

    const result = await run(numbers(stuck.sink, 2000, 1000), {
      logger: log,
      restart: { kind: 'none' },
      checkpoints: timingOut(directory, 3),
    })

    assert.equal(result.status, 'finished')
    assert.ok(result.checkpoints >= 1)
    const warnings = log.lines.filter((line) =>
      /Checkpoint \d+ timed out after 200 ms waiting for .*rows#0/.test(line),
    )
    assert.equal(warnings.length, 3, log.lines.join('\n'))
  })

  test('that time out more often than tolerated fail the job, with the subtasks that did not answer', async () => {
    await using directory = await Directory.make()

    const failure = await run(numbers(stuckSink(Infinity).sink, 100_000, 1000), {
      restart: { kind: 'none' },
      checkpoints: timingOut(directory, 1),
    }).catch((error: unknown) => error)

    assert.ok(
      isEngineError(failure) && failure.code === 'CHECKPOINT_FAILURES_EXCEEDED',
      String(failure),
    )
    assert.match(failure.message, /2 checkpoint\(s\) in a row failed, 1 are tolerated.*rows#0/)
    assert.deepEqual(await checkpointsIn(directory.path), [])
  })

  for (const state of ['memory', 'leveldb'] as const) {
    test(`are kept as many as asked for, whole ones, on ${state}`, async () => {
      await using directory = await Directory.make()
      await using running = start(numbers(arraySink<number>([]), 1_000_000, 2000), {
        parallelism: 2,
        state,
        checkpoints: {
          directory: directory.path,
          interval: '1h',
          retainCount: 3,
          selfContainedEvery: 4,
        },
      })
      await until('it runs', () => running.status === 'running')
      const ids: number[] = []
      for (let turn = 0; turn < 7; turn++) ids.push(await running.checkpoint())
      // on leveldb the newest that shares no file with others, the fifth, is the oldest of the three
      const kept = ids.slice(-3)
      await until(
        'older ones are gone',
        async () => (await checkpointsIn(directory.path)).length === 3,
      )

      const manifests = await Promise.all((await checkpointsIn(directory.path)).map(readManifest))

      assert.deepEqual(
        manifests.map(({ checkpointId }) => checkpointId),
        kept,
      )
      const data = (await readdir(directory.at('data'))).map((name) => Number.parseInt(name, 10))
      assert.deepEqual(
        data.sort((a, b) => a - b),
        kept,
      )
      if (state === 'leveldb') {
        assert.deepEqual(
          manifests.map(({ isSelfContained }) => isSelfContained),
          [true, false, false],
        )
      }
    })
  }
})

/** Counts keys, so that there is state, and puts the numbers out. */
function numbers(sink: Sink<number>, count: number, recordsPerSecond = Infinity): Job {
  return job('numbers', (env) => {
    env
      .from('numbers', generate({ count, recordsPerSecond, record: (index) => index }))
      .keyBy((index) => index % 100)
      .count('counts')
      .map(({ value }) => value)
      .to('rows', sink)
  })
}

/** A sink whose first epochs never become durable. */
function stuckSink(epochs: number): { readonly sink: Sink<number> } {
  let prepared = 0
  return {
    sink: {
      type: 'stuck',
      open: () => ({
        write() {},
        prepare() {
          prepared += 1
          return prepared > epochs ? {} : { durable: new Promise<void>(() => {}) }
        },
      }),
    },
  }
}

function timingOut(directory: Directory, failuresMax: number): CheckpointOptions {
  return { directory: directory.path, interval: '50ms', timeout: '200ms', failuresMax }
}
