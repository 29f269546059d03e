/** Windows that fire more than once in whole jobs that are killed behind a checkpoint: what comes of them is the same. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  afterCount,
  afterDelay,
  afterWatermark,
  collect,
  every,
  inSequence,
  job,
  mapSink,
  repeated,
  session,
  sliding,
  tumbling,
  whenAny,
} from 'millrace'
import type { Accumulation, ManyPanes, TimeWindow, WindowFunction } from 'millrace'
import { runTest } from 'millrace/testing'
import type { TestResult } from 'millrace/testing'
import { anyActions, scripted } from '../../../support/scripted-hits.ts'
import type { Hit } from '../../../support/scripted-hits.ts'

const actions = anyActions({ users: ['a', 'b', 'c'], recordsMax: 6, actionsMin: 2 })

const wheres = fc.constantFrom<WindowFunction<Hit, TimeWindow>>(
  tumbling({ size: '40ms' }),
  sliding({ size: '60ms', every: '20ms' }),
  session({ gap: '25ms' }),
)

const manyPanes = fc.record<ManyPanes<Hit, Accumulation>>({
  trigger: fc.constantFrom(
    afterWatermark<Hit>(),
    afterWatermark<Hit>({ early: every('20ms', { aligned: true }), late: afterCount(2) }),
    afterWatermark<Hit>({ delay: '7ms', late: afterDelay('10ms') }),
    inSequence<Hit>(afterCount(1), repeated(whenAny(afterCount(3), afterDelay('15ms')))),
  ),
  allowedLateness: fc.constantFrom('0ms', '50ms'),
  accumulation: fc.constantFrom<Accumulation>('discarding', 'accumulating', 'retracting'),
  onTimePane: fc.constantFrom('always', 'if-changed'),
  closingPane: fc.constantFrom('always', 'if-changed'),
  timestamp: fc.constantFrom('end', 'latest', 'earliest'),
})

/** Shown by its name where something is found. */
function shown<T extends object>(value: T, name: string): T {
  return Object.defineProperty({ ...value }, fc.toStringMethod, { value: () => name })
}

/** Panes of each key in order; of keys whose timers are due at one time any may come first. */
function summary({ panes, stateLeft, lateRecords }: TestResult): unknown {
  const ofKey = (user: string): unknown =>
    panes
      .filter(({ result }) => result.key === user)
      .map(({ kind, processingTimeMs, result }) => [kind, processingTimeMs, result])
  return { panes: ['a', 'b', 'c'].map(ofKey), stateLeft, lateRecords }
}

test('panes are the same when the job is killed behind any checkpoints, at any parallelism', async () => {
  await fc.assert(
    fc.asyncProperty(
      wheres.map((where) => shown(where, where.name)),
      manyPanes.map((panes) =>
        shown(panes, JSON.stringify({ ...panes, trigger: panes.trigger?.name })),
      ),
      actions,
      fc.integer({ min: 1, max: 3 }),
      fc.nat({ max: 1000 }),
      async (where, options, script, parallelism, seed) => {
        const tested = job('panes', (env) => {
          env
            .from('hits', scripted(script))
            .keyBy(({ user }) => user)
            .window(where, options)
            .aggregate('panes', collect())
            .to(
              'out',
              mapSink(new Map<number, unknown>(), () => 0),
            )
        })

        const straight = await runTest(tested, { parallelism: 1 })
        const killed = await runTest(tested, { parallelism, crashes: 3, seed })

        assert.deepEqual(summary(killed), summary(straight))
        assert.deepEqual(straight.stateLeft, [])
      },
    ),
    { numRuns: Number(process.env['PANE_RUNS'] ?? 60), includeErrorInReport: true },
  )
})
