/** Windows over rows that may be taken back: what is left of their panes is what a recomputation of the rows that are left gives. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  afterCount,
  afterWatermark,
  job,
  mapSink,
  max,
  session,
  sliding,
  sum,
  tumbling,
} from 'millrace'
import type {
  Accumulation,
  Aggregator,
  Duration,
  ManyPanes,
  TimeWindow,
  WindowFunction,
  WindowResult,
} from 'millrace'
import { runTest, testSource } from 'millrace/testing'
import { aggregateResult } from '../../../../operators/window/pane-output.ts'
import { window } from '../../../../operators/window/window.ts'
import { paneOptions } from '../../../../operators/window/window-options.ts'
import { KeyedOperatorRun } from '../../../support/keyed-operator.ts'

interface Row {
  readonly n: number
  readonly atMs: number
}
type Result = WindowResult<string, TimeWindow, number>

type Step =
  | { readonly kind: 'insert'; readonly row: Row }
  /** Takes back one of the rows that are there. */
  | { readonly kind: 'retract'; readonly which: number }
  | { readonly kind: 'watermark'; readonly byMs: number }

const steps = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('insert' as const),
        row: fc.record({
          n: fc.integer({ min: 1, max: 9 }),
          atMs: fc.integer({ min: 0, max: 40 }),
        }),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('retract' as const),
        which: fc.nat({ max: 1000 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('watermark' as const),
        byMs: fc.integer({ min: 1, max: 10 }),
      }),
    },
  ),
  { maxLength: 40 },
) satisfies fc.Arbitrary<Step[]>

const wheres = fc.constantFrom<WindowFunction<Row, TimeWindow>>(
  tumbling({ size: '10ms' }),
  sliding({ size: '12ms', every: '4ms' }),
  session({ gap: '5ms' }),
)
const aggregators = fc.constantFrom<Aggregator<Row, any, number>>(
  sum(({ n }: Row) => n),
  max(({ n }: Row) => n),
)
const manyPanes: fc.Arbitrary<ManyPanes<Row, Accumulation> | undefined> = fc.option(
  fc.record(
    {
      trigger: fc
        .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 }))
        .map(([early, late]) =>
          afterWatermark<Row>({ early: afterCount(early), late: afterCount(late) }),
        ),
      allowedLateness: fc.integer({ min: 0, max: 15 }).map((ms): Duration => `${ms}ms`),
      accumulation: fc.constantFrom<Accumulation>('accumulating', 'retracting'),
    },
    { requiredKeys: ['accumulation'] },
  ),
  { nil: undefined },
)

interface HeldRows extends TimeWindow {
  rows: Row[]
}

test('what is left of the panes is what the rows that are left come to', async () => {
  await fc.assert(
    fc.asyncProperty(
      wheres,
      aggregators,
      manyPanes,
      steps,
      async (where, aggregator, options, script) => {
        const description = window(
          where,
          aggregateResult('aggregate', aggregator, []),
          paneOptions(where, options),
          true,
        )
        const run = await KeyedOperatorRun.open(description)
        const latenessMs = Number.parseInt(options?.allowedLateness ?? '0', 10)
        const isOver = ({ endMs }: TimeWindow): boolean => endMs - 1 + latenessMs <= watermarkMs
        let watermarkMs = -1
        run.watermark(watermarkMs)
        let held: HeldRows[] = []
        let lateCount = 0
        const there: Row[] = []
        for (const step of script) {
          if (step.kind === 'watermark') {
            watermarkMs += step.byMs
            run.watermark(watermarkMs)
            continue
          }
          if (step.kind === 'insert') there.push(step.row)
          const index = step.kind === 'insert' ? 0 : step.which % Math.max(1, there.length)
          const [row] = step.kind === 'insert' ? [step.row] : there.splice(index, 1)
          if (row === undefined) continue
          let isTaken = false
          for (const own of where.assign(row, row.atMs, 'k')) {
            if (step.kind === 'retract') {
              const of = held.find(
                (other) =>
                  !isOver(other) &&
                  (where.merge === undefined
                    ? other.startMs === own.startMs
                    : other.startMs <= own.startMs && own.endMs <= other.endMs),
              )
              if (of === undefined) continue
              // late when it came, and so in no window
              if (!of.rows.includes(row)) return
              of.rows.splice(of.rows.indexOf(row), 1)
            } else {
              const joined = held.filter(
                (other) =>
                  !isOver(other) &&
                  (where.merge === undefined
                    ? other.startMs === own.startMs
                    : other.startMs <= own.endMs && own.startMs <= other.endMs),
              )
              const whole = {
                startMs: Math.min(own.startMs, ...joined.map(({ startMs }) => startMs)),
                endMs: Math.max(own.endMs, ...joined.map(({ endMs }) => endMs)),
                rows: [...joined.flatMap(({ rows }) => rows), row],
              }
              if (isOver(whole)) continue
              held = [...held.filter((other) => !joined.includes(other)), whole]
            }
            isTaken = true
          }
          if (!isTaken) lateCount += 1
          run.record('k', row, row.atMs, step.kind === 'retract')
        }
        run.watermark(Infinity)

        const live = new Map<string, number>()
        for (const { side, value, isRetraction } of run.take()) {
          if (side === 'late') continue
          const { window: bounds, value: result } = value as Result
          const name = `${bounds.startMs} ${bounds.endMs}`
          if (isRetraction) {
            assert.equal(live.get(name), result)
            live.delete(name)
          } else {
            if (options?.accumulation === 'retracting') assert.ok(!live.has(name))
            live.set(name, result)
          }
        }
        for (const { startMs, endMs, rows } of held) {
          const fold = rows.reduce((all, row) => aggregator.add(all, row), aggregator.create())
          const last = live.get(`${startMs} ${endMs}`)
          if (rows.length > 0) assert.equal(last, aggregator.result(fold))
          else if (options?.accumulation === 'retracting') assert.equal(last, undefined)
          else if (last !== undefined) assert.ok(Object.is(last, aggregator.result(fold)))
        }
        if (options?.accumulation === 'retracting') {
          assert.equal(live.size, held.filter(({ rows }) => rows.length > 0).length)
        }
        assert.equal(run.lateRecords, lateCount)
        assert.equal(run.cellCount, 0)
        await run.close()
      },
    ),
    { numRuns: Number(process.env['PANE_RUNS'] ?? 300), includeErrorInReport: true },
  )
})

test('sessions that take their lengths back feed windows of their own', async () => {
  // clicks of users; then how many sessions of each length ended in a window of time
  const clicks = testSource<{ readonly user: string }>()
    .emit(
      { value: { user: 'a' }, timestampMs: 0 },
      { value: { user: 'a' }, timestampMs: 20 },
      { value: { user: 'b' }, timestampMs: 0 },
    )
    .emit({ value: { user: 'a' }, timestampMs: 10 })
    .end()
  const table = new Map<string, WindowResult<number, TimeWindow, number>>()
  const tested = job('lengths', (env) => {
    env
      .from('clicks', clicks)
      .keyBy(({ user }) => user)
      .window(session({ gap: '10ms' }), {
        trigger: afterWatermark({ early: afterCount(1) }),
        accumulation: 'retracting',
      })
      .count('sessions')
      .keyBy(({ value }) => value)
      .window(tumbling({ size: '100ms' }))
      .count('lengths')
      .to(
        'table',
        mapSink(table, ({ key, window: { startMs } }) => `${key} clicks, from ${startMs}`),
      )
  })

  const { lateRecords, stateLeft } = await runTest(tested)

  assert.deepEqual(
    [...table.values()].map(({ key, value, pane }) => `${key}: ${value} ${pane.timing}`).sort(),
    ['1: 1 on-time', '3: 1 on-time'],
  )
  assert.equal(lateRecords, 0)
  assert.deepEqual(stateLeft, [])
})

test('a window of new rows only cannot have rows taken back, and says so', () => {
  const tested = job('refused', (env) => {
    env
      .from('rows', testSource<Row>())
      .asTable()
      .keyBy(() => 'k')
      .window(tumbling({ size: '1s' }), { trigger: afterCount(1), accumulation: 'discarding' })
      .count('n')
      .to(
        'out',
        mapSink(new Map<string, unknown>(), () => 'k'),
      )
  })
  assert.throws(() => tested.explain(), { code: 'OPTION_INVALID' })
})
