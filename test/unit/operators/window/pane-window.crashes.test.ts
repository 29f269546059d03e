/** Windows that fire more than once, killed and restored at any place: the same panes, retractions and holds as without. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  afterCount,
  afterDelay,
  afterRecord,
  afterWatermark,
  arraySink,
  every,
  globalWindow,
  inSequence,
  job,
  mapSink,
  repeated,
  session,
  sliding,
  sum,
  tumbling,
  whenAll,
  whenAny,
} from 'millrace'
import type {
  Accumulation,
  KeyedResult,
  ManyPanes,
  TimeWindow,
  Trigger,
  WindowFunction,
} from 'millrace'
import { runTest } from 'millrace/testing'
import type { TestOptions, TestResult } from 'millrace/testing'
import { anyActions, scripted } from '../../../support/scripted-hits.ts'
import type { Hit } from '../../../support/scripted-hits.ts'

const someActions = anyActions({ users: ['a', 'b'], recordsMax: 5, actionsMin: 3 })

const windowFunctions: readonly WindowFunction<unknown, TimeWindow>[] = [
  tumbling({ size: '40ms' }),
  tumbling({ size: '40ms', unaligned: true }),
  sliding({ size: '60ms', every: '20ms' }),
  session({ gap: '25ms' }),
  session({ gap: '25ms', touching: 'apart' }),
  globalWindow(),
]

const triggers: readonly (Trigger<Hit> | undefined)[] = [
  undefined,
  afterWatermark({ early: every('10ms') }),
  afterWatermark({ early: every('10ms', { aligned: true }), late: afterCount(2) }),
  afterWatermark({ early: afterDelay('15ms'), delay: '10ms' }),
  repeated(afterCount(2)),
  repeated(whenAny(afterCount(3), afterDelay('20ms')), { until: afterWatermark() }),
  inSequence(
    afterCount(1),
    whenAll(
      afterCount(2),
      afterRecord(({ n }: Hit) => n % 3 === 0),
    ),
  ),
]

const options: fc.Arbitrary<ManyPanes<Hit, Accumulation>> = fc
  .record({
    trigger: fc.constantFrom(...triggers),
    allowedLateness: fc.constantFrom('0ms' as const, '30ms' as const, '1d' as const),
    accumulation: fc.constantFrom<Accumulation>('discarding', 'accumulating', 'retracting'),
    onTimePane: fc.constantFrom('always' as const, 'if-changed' as const),
    closingPane: fc.constantFrom('always' as const, 'if-changed' as const),
    timestamp: fc.constantFrom('end' as const, 'latest' as const, 'earliest' as const),
  })
  .map(({ trigger, ...rest }) => (trigger === undefined ? rest : { ...rest, trigger }))

/** What the job writes to. */
interface Written {
  readonly late: Hit[]
  /** How many panes are even and odd. What it has been in between depends on the order within a moment. */
  readonly table: Map<number, KeyedResult<number, number>>
}

/** What came of a job, with what happened at one moment in one order. */
function summary(result: TestResult, { late, table }: Written): unknown {
  const { panes, stateLeft, recordsRead, lateRecords, watermarks } = result
  return {
    panes: panes
      .map(({ processingTimeMs, ...rest }) => `${processingTimeMs} ${JSON.stringify(rest)}`)
      .toSorted(),
    late: late.map(({ n }) => n).toSorted((a, b) => a - b),
    stateLeft,
    table: [...table].map((entry) => JSON.stringify(entry)).toSorted(),
    recordsRead,
    lateRecords,
    watermarks: watermarks.map((each) => JSON.stringify(each)).toSorted(),
  }
}

test('any windows, triggers and accumulations do the same when they are killed and restored', async () => {
  let crashCount = 0
  await fc.assert(
    fc.asyncProperty(
      someActions,
      fc.constantFrom(...windowFunctions),
      options,
      fc.integer({ min: 1, max: 2 }),
      fc.record({ crashes: fc.integer({ min: 1, max: 5 }), seed: fc.integer() }),
      async (actions, windows, panes, parallelism, crashing) => {
        const run = async (how: TestOptions): Promise<[TestResult, unknown]> => {
          const written: Written = { late: [], table: new Map() }
          const result = await runTest(
            job('panes', (env) => {
              const results = env
                .from('hits', source)
                .keyBy(({ user }) => user)
                .window<TimeWindow, Accumulation>(windows, panes)
                .aggregate(
                  'panes',
                  sum(({ n }: Hit) => n),
                )
              results.side.late.to('late', arraySink(written.late))
              results
                .keyBy(({ value }) => value % 2)
                .count('again')
                .to(
                  'table',
                  mapSink(written.table, (row) => row.key),
                )
            }),
            how,
          )
          return [result, summary(result, written)]
        }
        const source = scripted(actions)

        const [, plain] = await run({ parallelism })
        const [killed, afterCrashes] = await run({ parallelism, ...crashing })

        assert.deepEqual(afterCrashes, plain)
        crashCount += killed.crashes
      },
    ),
    { numRuns: 25 },
  )
  assert.ok(crashCount > 25, `${crashCount} crashes`)
})
