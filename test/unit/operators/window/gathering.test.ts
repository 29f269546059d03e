/** Windows that gather before the exchange against the same ones that do not: the same rows, the same late records. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { aggregator, arraySink, job, maxBy, session, sliding, tumbling } from 'millrace'
import type { Aggregator, TimeWindow, WindowFunction } from 'millrace'
import { runTest, testSource } from 'millrace/testing'

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
  /** Hits between two watermarks. */
  readonly batch: number
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
  { hits, window, delayMs, batch }: Workload,
  parts: {
    readonly preAggregate: boolean
    readonly aggregator: Aggregator<Hit, any, R>
    readonly show: (value: R) => string
    readonly width?: number
  },
): Promise<{ readonly rows: string[]; readonly lateRecords: number }> {
  const rows: string[] = []
  const source = testSource<Hit>()
  let highestMs = -Infinity
  for (let from = 0; from < hits.length; from += batch) {
    const part = hits.slice(from, from + batch)
    for (const { ms } of part) highestMs = Math.max(highestMs, ms)
    source
      .emit(...part.map((value) => ({ value, timestampMs: value.ms })))
      .watermark(highestMs - delayMs - 1)
  }
  source.end()
  const tested = job('windows', { preAggregate: parts.preAggregate }, (env) => {
    env
      .from('hits', source, { parallelism: 1 })
      // divided, so that several subtasks gather for each key
      .rebalance()
      .filter(() => true, { parallelism: parts.width ?? 1 })
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

interface Spread {
  readonly keys: fc.Arbitrary<Hit['key']>
  readonly windows: readonly WindowFunction<Hit, TimeWindow>[]
  readonly delaysMs: readonly number[]
  /** From one hit to the next. */
  readonly stepsMs: fc.Arbitrary<number>
}

function workloads({ keys, windows, delaysMs, stepsMs }: Spread): fc.Arbitrary<Workload> {
  return fc
    .record({
      window: fc.constantFrom(...windows),
      delayMs: fc.constantFrom(...delaysMs),
      steps: fc.array(fc.tuple(keys, stepsMs), { minLength: 1, maxLength: 100 }),
      batch: fc.integer({ min: 1, max: 30 }),
    })
    .map(({ window, delayMs, steps, batch }) => {
      let ms = 1000
      const hits = steps.map(([key, step], n) => ({ key, ms: (ms = Math.max(0, ms + step)), n }))
      return { window, delayMs, batch, hits }
    })
}

const sessions = [
  session({ gap: '40ms' }),
  session({ gap: '40ms', touching: 'apart' }),
  session<Hit>({ gap: ({ n }) => `${10 + (n % 5) * 20}ms` }),
]
const ofAllKinds: Spread = {
  keys: fc.constantFrom<Hit['key']>('a', 'b', 1, 2, -0, 2 ** 40, ['a', 1]),
  windows: [
    tumbling({ size: '100ms' }),
    tumbling({ size: '100ms', offset: '30ms' }),
    sliding({ size: '100ms', every: '20ms' }),
    sliding({ size: '90ms', every: '60ms', offset: '10ms' }),
    ...sessions,
  ],
  delaysMs: [0, 20, 200],
  stepsMs: fc.integer({ min: -80, max: 110 }),
}
/** Where hits are late, early and bridge others all the time. */
const crowded: Spread = {
  keys: fc.constantFrom<Hit['key']>(1, 2),
  windows: sessions,
  delaysMs: [0, 10, 30],
  stepsMs: fc.oneof(
    fc.integer({ min: -12, max: 14 }).map((step) => step * 5),
    fc.constantFrom(-40, 40, 41, -41, 39, 80, -80),
  ),
}

describe('windows that gather before the exchange', () => {
  test('give the rows and count the late records of windows that do not', async () => {
    let lateRecords = 0
    const spread = fc.oneof(workloads(ofAllKinds), workloads(crowded), workloads(crowded))
    await fc.assert(
      fc.asyncProperty(spread, async (workload) => {
        const parts = { aggregator: slowest, show: String }

        const gathered = await run(workload, { ...parts, preAggregate: true })
        const whole = await run(workload, { ...parts, preAggregate: false })

        assert.deepEqual(gathered, whole)
        lateRecords += gathered.lateRecords
      }),
      { numRuns: 250 },
    )
    assert.ok(lateRecords > 0)
  })

  test('give the same rows from several subtasks, where nothing is late', async () => {
    await fc.assert(
      fc.asyncProperty(workloads({ ...ofAllKinds, delaysMs: [1e9] }), async (workload) => {
        const parts = { aggregator: slowest, show: String, width: 3 }

        const gathered = await run(workload, { ...parts, preAggregate: true })
        const whole = await run(workload, { ...parts, preAggregate: false })

        assert.deepEqual(gathered, whole)
      }),
      { numRuns: 15 },
    )
  })

  test('ties of the highest come in the order of the records', async () => {
    const hits = Array.from({ length: 500 }, (_, n) => ({ key: n % 3, ms: n, n: n % 5 }))
    const window = sliding({ size: '100ms', every: '50ms' })
    const workload = { hits, window, delayMs: 10, batch: 40 }
    const parts = {
      aggregator: maxBy(({ n }: Hit) => n),
      show: (rows: readonly Hit[]) => rows.map(({ ms }) => ms).join(),
    }

    const gathered = await run(workload, { ...parts, preAggregate: true })
    const whole = await run(workload, { ...parts, preAggregate: false })

    assert.deepEqual(gathered, whole)
    assert.ok(gathered.rows.length > 20)
  })

  for (const window of [tumbling({ size: '1s' }), session({ gap: '1s' })]) {
    test(`keys that never come again pass one by one, more of them than are ever held: ${window.name}`, async () => {
      const hits = Array.from({ length: 120_000 }, (_, n) => ({ key: n, ms: n / 100, n }))
      const parts = { aggregator: slowest, show: String }

      const gathered = await run(
        { hits, window, delayMs: 0, batch: 2000 },
        { ...parts, preAggregate: true },
      )

      assert.equal(gathered.rows.length, 120_000)
      assert.equal(gathered.lateRecords, 0)
    })
  }
})
