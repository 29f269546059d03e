import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  arraySink,
  calendar,
  collect,
  globalWindow,
  job,
  outOfOrder,
  session,
  sliding,
  tumbling,
  type,
  valueState,
} from 'millrace'
import type { TimeWindow, WindowFunction } from 'millrace'
import { runTest, testSource } from 'millrace/testing'
import type { TestResult } from 'millrace/testing'
import { anyActions, scripted } from '../../support/scripted-hits.ts'
import type { Hit } from '../../support/scripted-hits.ts'

const someActions = anyActions({ users: ['a', 'b', 'c'], recordsMax: 6, actionsMin: 2 })

const windowFunctions: readonly WindowFunction<unknown, TimeWindow>[] = [
  tumbling({ size: '40ms' }),
  tumbling({ size: '40ms', clock: 'processing' }),
  tumbling({ size: '40ms', unaligned: true }),
  sliding({ size: '60ms', every: '20ms' }),
  sliding({ size: '20ms', every: '30ms' }),
  session({ gap: '25ms' }),
  session({ gap: '25ms', clock: 'processing' }),
  calendar({ unit: 'day', timeZone: 'Europe/Berlin' }),
  globalWindow(),
]

/** What came of a job, with what happened at one moment in one order. */
function summary(result: TestResult, rows: readonly string[]): unknown {
  const { panes, stateLeft, recordsRead, recordsWritten, lateRecords } = result
  const results = panes.map(
    ({ operatorUid, processingTimeMs, kind, timestampMs, result: { key, window, value } }) => {
      const held = Array.isArray(value) ? numbersOf(value as Hit[]) : value
      return `${String(processingTimeMs).padStart(6)} ${operatorUid} ${kind} ${String(key)} ${window.startMs}-${window.endMs} at ${timestampMs}: ${String(held)}`
    },
  )
  return {
    results: results.toSorted(),
    rows: rows.toSorted(),
    stateLeft,
    recordsRead,
    recordsWritten,
    lateRecords,
  }
}

function numbersOf(hits: readonly Hit[]): string {
  return hits
    .map(({ n }) => n)
    .toSorted((a, b) => a - b)
    .join()
}

test('a job that is killed at any places and goes on from its checkpoints does what it would have done', async () => {
  let crashCount = 0
  await fc.assert(
    fc.asyncProperty(
      someActions,
      fc.constantFrom(...windowFunctions),
      fc.record({
        parallelism: fc.integer({ min: 1, max: 3 }),
        crashes: fc.integer({ min: 1, max: 6 }),
        seed: fc.integer(),
      }),
      fc.boolean(),
      async (actions, windows, { parallelism, ...crashing }, isOpen) => {
        const rows: string[] = []
        const tested = job('killed', (env) => {
          const hits = env.from('hits', scripted(actions, isOpen)).keyBy(({ user }) => user)
          hits
            .window(windows)
            .aggregate('rows', collect<Hit>())
            .map(({ key, value }) => `${key} ${numbersOf(value)}`)
            .to('rows-out', arraySink(rows))
          hits
            .window(windows)
            .sum('sum', ({ n }) => n)
            .keyBy(({ key }) => key)
            .window(tumbling({ size: '200ms' }))
            .count('again')
            .map(({ key, value }) => `${key} ${value}`)
            .to('again-out', arraySink(rows))
        })

        const plain = summary(await runTest(tested, { parallelism }), rows)
        rows.length = 0
        const result = await runTest(tested, { parallelism, ...crashing })

        assert.deepEqual(summary(result, rows), plain)
        crashCount += result.crashes
      },
    ),
    { numRuns: 20 },
  )
  assert.ok(crashCount > 20, `${crashCount} crashes`)
})

test('state and timers of both clocks survive; what a function keeps for itself does not', async () => {
  const ticks = testSource<number>()
  for (let n = 1; n <= 6; n++) {
    ticks
      .emit({ value: n, timestampMs: n * 10 })
      .watermark(n * 10)
      .advanceTo(n * 7)
  }
  ticks.end()
  const counting = (keeps: 'state' | 'field') => {
    const rows: string[] = []
    const tested = job('counting', (env) => {
      env
        .from('ticks', ticks)
        .keyBy((n) => n % 2)
        .process(
          'count',
          { emits: type<string>(), state: { seen: valueState({ default: 0 }) } },
          ({ emit, key, state, timers }) => {
            let field = 0
            return {
              onRecord(_n, { timestampMs }) {
                field += 1
                state.seen.set(state.seen.get() + 1)
                emit(`${String(key())}: ${keeps === 'state' ? state.seen.get() : field}`)
                timers.setEventTime(timestampMs + 15)
                timers.setProcessingTime(timers.processingTimeMs() + 9)
              },
              onTimer({ clock, timestampMs }) {
                emit(`${String(key())}: ${clock} ${timestampMs} at ${timers.processingTimeMs()}`)
              },
            }
          },
        )
        .to('rows', arraySink(rows))
    })
    return { rows, tested }
  }
  const rowsOf = async (keeps: 'state' | 'field', crashes: number): Promise<string[]> => {
    const { rows, tested } = counting(keeps)
    await runTest(tested, { crashes, seed: 4 })
    return rows
  }

  assert.deepEqual(await rowsOf('state', 5), await rowsOf('state', 0))
  assert.notDeepEqual(await rowsOf('field', 5), await rowsOf('field', 0))
})

test('a watermark strategy of the job, and sources of which one has ended', async () => {
  const left = testSource<Hit>()
  const right = testSource<Hit>()
  const at = (user: string, timestampMs: number) => ({ value: { user, n: 1 }, timestampMs })
  left.emit(at('a', 0), at('a', 90)).advanceTo(5)
  right.emit(at('a', 10)).watermark(500).end()
  left.emit(at('b', 40), at('a', 200)).advanceTo(10).emit(at('b', 300)).advanceTo(20).end()
  const tested = job('two', (env) => {
    env
      .from('left', left, { watermarks: outOfOrder({ delay: '30ms' }) })
      .union(env.from('right', right))
      .keyBy(({ user }) => user)
      .window(tumbling({ size: '50ms' }))
      .count('n')
      .to('out', arraySink<unknown>([]))
  })

  const plain = await runTest(tested)
  assert.ok(plain.panes.length > 3)
  for (let seed = 0; seed < 10; seed++) {
    const killed = await runTest(tested, { seed, crashes: 3 })
    assert.equal(killed.crashes, 3)
    assert.deepEqual(summary(killed, []), summary(plain, []))
  }
})

test('more crashes than places kill it at every place; an error of the job is still the answer', async () => {
  const source = testSource<number>()
    .emit({ value: 1, timestampMs: 0 }, { value: 2, timestampMs: 0 })
    .watermark(5)
    .end()
  const rows: number[] = []
  const failing = (atValue: number) =>
    job('failing', (env) => {
      env
        .from('numbers', source)
        .map(
          (n) => {
            if (n === atValue) throw new Error('no such number')
            return n
          },
          { uid: 'map' },
        )
        .to('out', arraySink(rows))
    })

  const { crashes, recordsRead, recordsWritten } = await runTest(failing(0), { crashes: 99 })
  assert.deepEqual([crashes, recordsRead, recordsWritten], [4, 2, 2])
  assert.deepEqual(rows, [1, 2])
  await assert.rejects(runTest(failing(2), { crashes: 99 }), {
    code: 'USER_FUNCTION_FAILED',
    operatorUid: 'map',
  })
  await assert.rejects(runTest(failing(0), { crashes: -1 }), { code: 'OPTION_INVALID' })
})
