/** Windows that gather before the exchange against the same ones that do not: the same rows, the same late records. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  aggregator,
  arraySink,
  customWatermarks,
  generate,
  job,
  maxBy,
  sliding,
  tumbling,
} from 'millrace'
import type { Aggregator, TimeWindow, WindowFunction } from 'millrace'
import { runTest } from 'millrace/testing'

interface Hit {
  readonly key: string | number | null | readonly [string, number]
  readonly ms: number
  readonly n: number
}

interface Workload {
  readonly hits: readonly Hit[]
  readonly window: WindowFunction<Hit, TimeWindow>
  /** How far the watermark trails; records fall behind it where it is small. */
  readonly delayMs: number
}

const slowest = aggregator({
  create: (): number[] => [],
  add: (numbers: number[], { n }: Hit) => [...numbers, n].toSorted((a, b) => a - b),
  merge: (a: number[], b: number[]) => [...a, ...b].toSorted((x, y) => x - y),
  result: (numbers) => numbers.join(),
  isExact: true,
  keepsValues: false,
})

async function run<R>(
  { hits, window, delayMs }: Workload,
  parts: {
    readonly preAggregate: boolean
    readonly aggregator: Aggregator<Hit, any, R>
    readonly show: (value: R) => string
    readonly sourceParallelism?: number
  },
): Promise<{ readonly rows: string[]; readonly lateRecords: number }> {
  const rows: string[] = []
  const tested = job('windows', { preAggregate: parts.preAggregate }, (env) => {
    env
      .from('hits', generate({ count: hits.length, record: (index) => hits[index] as Hit }), {
        timestampMs: ({ ms }) => ms,
        watermarks: customWatermarks<Hit>(() => ({ advance: (_hit, ms) => ms - delayMs - 1 })),
        parallelism: parts.sourceParallelism ?? 1,
      })
      .keyBy(({ key }) => key as string)
      .window(window)
      .aggregate('gathered', parts.aggregator)
      .map(
        ({ key, window: { startMs, endMs }, value }) =>
          `${String(key)} ${startMs}-${endMs} ${parts.show(value)}`,
      )
      .to('out', arraySink(rows), { parallelism: 1 })
  })
  const { lateRecords } = await runTest(tested, { parallelism: 3 })
  return { rows: rows.toSorted(), lateRecords }
}

const keys = fc.constantFrom<Hit['key']>('a', 'b', 1, 2, -0, 2 ** 40, ['a', 1])
const windows = fc.constantFrom(
  tumbling({ size: '100ms' }),
  tumbling({ size: '100ms', offset: '30ms' }),
  sliding({ size: '100ms', every: '20ms' }),
  sliding({ size: '90ms', every: '60ms', offset: '10ms' }),
)
const workloads = (delayMs: fc.Arbitrary<number>): fc.Arbitrary<Workload> =>
  fc
    .record({
      window: windows,
      delayMs,
      steps: fc.array(fc.tuple(keys, fc.integer({ min: -80, max: 120 })), {
        minLength: 1,
        maxLength: 60,
      }),
      repeats: fc.constantFrom(1, 40),
    })
    .map(({ window, delayMs: delay, steps, repeats }) => {
      let ms = 1000
      const hits = Array.from({ length: repeats }, () => steps)
        .flat()
        .map(([key, step], n) => ({ key, ms: (ms = Math.max(0, ms + step)), n }))
      return { window, delayMs: delay, hits }
    })

describe('windows that gather before the exchange', () => {
  test('give the rows and count the late records of windows that do not', async () => {
    await fc.assert(
      fc.asyncProperty(workloads(fc.constantFrom(0, 50, 10_000)), async (workload) => {
        const parts = { aggregator: slowest, show: String }

        const gathered = await run(workload, { ...parts, preAggregate: true })
        const whole = await run(workload, { ...parts, preAggregate: false })

        assert.deepEqual(gathered, whole)
      }),
      { numRuns: 40 },
    )
  })

  test('give the same rows from several sources, where nothing is late', async () => {
    await fc.assert(
      fc.asyncProperty(workloads(fc.constant(1e9)), async (workload) => {
        const parts = { aggregator: slowest, show: String, sourceParallelism: 3 }

        const gathered = await run(workload, { ...parts, preAggregate: true })
        const whole = await run(workload, { ...parts, preAggregate: false })

        assert.deepEqual(gathered, whole)
      }),
      { numRuns: 15 },
    )
  })

  test('ties of the highest come in the order of the records', async () => {
    const hits = Array.from({ length: 500 }, (_, n) => ({ key: n % 3, ms: n, n: n % 5 }))
    const workload = { hits, window: sliding({ size: '100ms', every: '50ms' }), delayMs: 10 }
    const parts = {
      aggregator: maxBy(({ n }: Hit) => n),
      show: (rows: readonly Hit[]) => rows.map(({ ms }) => ms).join(),
    }

    const gathered = await run(workload, { ...parts, preAggregate: true })
    const whole = await run(workload, { ...parts, preAggregate: false })

    assert.deepEqual(gathered, whole)
    assert.ok(gathered.rows.length > 20)
  })

  test('keys that never come again pass one by one, more of them than are ever held', async () => {
    const hits = Array.from({ length: 120_000 }, (_, n) => ({ key: n, ms: n / 100, n }))
    const workload = { hits, window: tumbling({ size: '1s' }), delayMs: 0 }
    const parts = { aggregator: slowest, show: String }

    const gathered = await run(workload, { ...parts, preAggregate: true })

    assert.equal(gathered.rows.length, 120_000)
    assert.equal(gathered.lateRecords, 0)
  })
})
