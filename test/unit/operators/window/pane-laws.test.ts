/**
 * Random records, orders, watermarks, clocks, windows, triggers and options, against a sequential reference written from the paper's
 * definitions: which rows a window holds. When a pane is sent is the operator's (and its trigger's) own decision, tested elsewhere;
 * what it holds, what it is called and what it takes back is checked for every one of them.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  afterCount,
  afterDelay,
  afterRecord,
  afterWatermark,
  collect,
  every,
  inSequence,
  repeated,
  session,
  sliding,
  tumbling,
  whenAll,
  whenAny,
} from 'millrace'
import type {
  Accumulation,
  Duration,
  ManyPanes,
  TimeWindow,
  Trigger,
  WindowFunction,
  WindowResult,
} from 'millrace'
import { aggregateResult } from '../../../../operators/window/pane-output.ts'
import { window } from '../../../../operators/window/window.ts'
import { paneOptions } from '../../../../operators/window/window-options.ts'
import { KeyedOperatorRun } from '../../../support/keyed-operator.ts'
import type { Emitted } from '../../../support/keyed-operator.ts'

interface Row {
  readonly id: number
  readonly isEnd: boolean
  readonly gapMs: number
}

type Step =
  | { readonly kind: 'record'; readonly key: string; readonly row: Row; readonly atMs: number }
  | { readonly kind: 'watermark'; readonly byMs: number }
  | { readonly kind: 'clock'; readonly byMs: number }

type Result = WindowResult<string, TimeWindow, readonly Row[]>

// ---- what is drawn

const duration = (min: number, max: number): fc.Arbitrary<Duration> =>
  fc.integer({ min, max }).map((ms): Duration => `${ms}ms`)

/** Shown by its name where a law is broken. */
function shown<T extends object>(value: T, name: string): T {
  return Object.defineProperty({ ...value }, fc.toStringMethod, { value: () => name })
}

const { trigger: triggers } = fc.letrec<{ trigger: Trigger<Row> }>((tie) => {
  const option = (): fc.Arbitrary<Trigger<Row> | undefined> =>
    fc.option(tie('trigger'), { nil: undefined })
  const several = (): fc.Arbitrary<Trigger<Row>[]> =>
    fc.array(tie('trigger'), { minLength: 1, maxLength: 3 })
  return {
    trigger: fc.oneof(
      { maxDepth: 2, depthSize: 'small' },
      fc.integer({ min: 1, max: 4 }).map(afterCount),
      duration(1, 30).map(afterDelay),
      fc
        .tuple(duration(1, 30), fc.boolean())
        .map(([period, aligned]) => every(period, { aligned })),
      fc.constant(afterRecord(({ isEnd }: Row) => isEnd)),
      fc
        .record({
          early: option(),
          late: option(),
          delay: fc.option(duration(0, 10), { nil: undefined }),
          // one for all, since a window follows one only
          percentile: fc.constantFrom(undefined, undefined, 0.8),
        })
        .map(({ early, late, delay, percentile }) =>
          afterWatermark<Row>({
            ...(early === undefined ? {} : { early }),
            ...(late === undefined ? {} : { late }),
            ...(delay === undefined ? {} : { delay }),
            ...(percentile === undefined ? {} : { percentile }),
          }),
        ),
      several().map((list) => inSequence(...list)),
      several().map((list) => whenAll(...list)),
      several().map((list) => whenAny(...list)),
      fc
        .tuple(tie('trigger'), option())
        .map(([inner, until]) => repeated(inner, until === undefined ? {} : { until })),
    ),
  }
})

interface Where {
  readonly windows: WindowFunction<Row, TimeWindow>
  /** Undefined: windows do not merge. */
  readonly merging?: 'touching' | 'strictly'
}

const wheres: fc.Arbitrary<Where> = fc.constantFrom<Where>(
  { windows: tumbling({ size: '10ms' }) },
  { windows: tumbling({ size: '10ms', offset: '3ms' }) },
  { windows: sliding({ size: '12ms', every: '4ms' }) },
  { windows: session({ gap: '5ms' }), merging: 'touching' },
  { windows: session({ gap: '5ms', touching: 'apart' }), merging: 'strictly' },
  { windows: session<Row>({ gap: ({ gapMs }) => `${gapMs}ms` }), merging: 'touching' },
  // the same without saying that it merges what overlaps
  { windows: ownSessions(), merging: 'touching' },
)

const shownWheres = wheres.map((where) => shown(where, where.windows.name))

function ownSessions(): WindowFunction<Row, TimeWindow> {
  const sessions = session({ gap: '5ms' })
  return {
    name: 'sessions of a user',
    assign: (row, timestampMs, key) => sessions.assign(row, timestampMs, key),
    merge: (windows) => sessions.merge?.(windows) ?? [],
  }
}

const manyPanes: fc.Arbitrary<ManyPanes<Row, Accumulation>> = fc.record(
  {
    trigger: triggers,
    allowedLateness: duration(0, 15),
    accumulation: fc.constantFrom<Accumulation>('discarding', 'accumulating', 'retracting'),
    onTimePane: fc.constantFrom('always', 'if-changed'),
    closingPane: fc.constantFrom('always', 'if-changed'),
    timestamp: fc.constantFrom('end', 'latest', 'earliest'),
  },
  { requiredKeys: ['accumulation'] },
)

const shownPanes = manyPanes.map((options) =>
  shown(options, JSON.stringify({ ...options, trigger: options.trigger?.name })),
)

const steps: fc.Arbitrary<readonly Step[]> = fc
  .array(
    fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          kind: fc.constant('record' as const),
          key: fc.constantFrom('a', 'b'),
          row: fc.record({
            id: fc.constant(0),
            isEnd: fc.boolean(),
            gapMs: fc.integer({ min: 1, max: 8 }),
          }),
          atMs: fc.integer({ min: -20, max: 40 }),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('watermark' as const),
          byMs: fc.integer({ min: 1, max: 20 }),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          kind: fc.constant('clock' as const),
          byMs: fc.integer({ min: 1, max: 40 }),
        }),
      },
    ),
    { maxLength: 40 },
  )
  .map((drawn) =>
    drawn.map((step, id) =>
      step.kind === 'record' ? { ...step, row: { ...step.row, id } } : step,
    ),
  )

// ---- the reference

interface HeldRows extends TimeWindow {
  rows: number[]
  /** Of these, in no pane yet. */
  unsent: number[]
}

/** Which rows each window of each key holds. */
class Reference {
  readonly late: number[] = []
  readonly #open = new Map<string, HeldRows[]>()
  readonly #freed = new Map<string, HeldRows[]>()
  readonly #where: Where
  readonly #latenessMs: number

  constructor(where: Where, latenessMs: number) {
    this.#where = where
    this.#latenessMs = latenessMs
  }

  open(key: string): readonly HeldRows[] {
    return this.#open.get(key) ?? []
  }

  freed(key: string): readonly HeldRows[] {
    return this.#freed.get(key) ?? []
  }

  add(key: string, row: Row, atMs: number, watermarkMs: number): void {
    let isTaken = false
    let open = [...this.open(key)]
    for (const { startMs, endMs } of this.#where.windows.assign(row, atMs, key)) {
      let own: HeldRows = { startMs, endMs, rows: [], unsent: [] }
      const joined = open.filter((other) => this.#joins(own, other))
      for (const { startMs: from, endMs: to, rows, unsent } of joined) {
        own = {
          startMs: Math.min(own.startMs, from),
          endMs: Math.max(own.endMs, to),
          rows: [...own.rows, ...rows],
          unsent: [...own.unsent, ...unsent],
        }
      }
      if (own.endMs - 1 + this.#latenessMs <= watermarkMs) continue
      own.rows.push(row.id)
      own.unsent.push(row.id)
      open = [...open.filter((other) => !joined.includes(other)), own]
      isTaken = true
    }
    if (!isTaken) this.late.push(row.id)
    this.#open.set(key, open)
  }

  /** Windows that the watermark frees. */
  free(watermarkMs: number): void {
    for (const [key, open] of this.#open) {
      const isFreed = ({ endMs }: TimeWindow): boolean =>
        endMs - 1 + this.#latenessMs <= watermarkMs
      this.#freed.set(key, [...this.freed(key), ...open.filter(isFreed)])
      this.#open.set(
        key,
        open.filter((held) => !isFreed(held)),
      )
    }
  }

  #joins(own: TimeWindow, other: TimeWindow): boolean {
    const { merging } = this.#where
    if (merging === undefined) return sameBounds(own, other)
    return merging === 'touching'
      ? own.startMs <= other.endMs && other.startMs <= own.endMs
      : own.startMs < other.endMs && other.startMs < own.endMs
  }
}

// ---- the laws

/** Holds what came out against the reference, step by step. */
class Laws {
  readonly reference: Reference
  readonly #accumulation: Accumulation
  readonly #latenessMs: number
  readonly #live = new Map<string, Emitted[]>()
  readonly #former = new Map<string, Result>()
  readonly #late: number[] = []

  constructor(
    where: Where,
    { accumulation, allowedLateness = '0ms' }: ManyPanes<Row, Accumulation>,
  ) {
    this.#latenessMs = Number.parseInt(allowedLateness, 10)
    this.reference = new Reference(where, this.#latenessMs)
    this.#accumulation = accumulation
  }

  check(emitted: readonly Emitted[], watermarkMs: number): void {
    emitted.forEach((each, index) => {
      if (each.side === 'late') this.#late.push((each.value as Row).id)
      else if (each.isRetraction) this.#retracted(each, emitted.slice(index))
      else this.#inserted(each, watermarkMs)
    })
    this.reference.free(watermarkMs)
    assert.deepEqual(this.#late, this.reference.late, 'late records are those no window takes')
    for (const key of ['a', 'b']) this.#checkAllSent(key)
  }

  #inserted(emitted: Emitted, watermarkMs: number): void {
    const result = emitted.value as Result
    const { key, window: bounds, pane, value } = result
    const held = this.reference.open(key).find((other) => sameBounds(other, bounds))
    assert(held !== undefined, 'a pane is of a window that is open')
    assert.deepEqual(
      idsOf(value),
      sorted(this.#accumulation === 'discarding' ? held.unsent : held.rows),
      'a pane holds the new rows, or all',
    )
    held.unsent = []

    const name = `${key} ${bounds.startMs} ${bounds.endMs}`
    const former = this.#former.get(name)?.pane
    assert.equal(pane.index, former === undefined ? 0 : former.index + 1)
    assert.equal(pane.isFirst, former === undefined)
    assert.notEqual(former?.isLast, true, 'nothing comes after the last pane')
    assert.equal(pane.isLast, bounds.endMs - 1 + this.#latenessMs <= watermarkMs)
    assert.equal(pane.timing === 'early', watermarkMs < bounds.endMs - 1)
    if (pane.timing === 'on-time') assert.ok(former === undefined || former.timing === 'early')
    if (pane.timing === 'early') assert.equal(pane.onTimeIndex, -1)
    else assert.equal(pane.onTimeIndex, former === undefined ? 0 : former.onTimeIndex + 1)
    this.#former.set(name, result)

    if (pane.timing !== 'late') {
      assert.ok(
        emitted.timestampMs > emitted.handedOnMs,
        'the watermark waited for what is in time',
      )
    }
    if (this.#accumulation !== 'discarding') {
      const live = this.#liveOf(key).filter(
        (other) =>
          this.#accumulation === 'retracting' ||
          !sameBounds((other.value as Result).window, bounds),
      )
      this.#live.set(key, [...live, emitted])
    }
  }

  #retracted(emitted: Emitted, rest: readonly Emitted[]): void {
    assert.equal(this.#accumulation, 'retracting')
    const { key } = emitted.value as Result
    const live = this.#liveOf(key)
    const match = live.find((other) => {
      return other.timestampMs === emitted.timestampMs && text(other.value) === text(emitted.value)
    })
    assert(match !== undefined, 'a retraction matches a pane that was sent, with its timestamp')
    this.#live.set(
      key,
      live.filter((other) => other !== match),
    )
    const next = rest.find(({ isRetraction }) => !isRetraction)
    assert(next !== undefined, 'what replaces it comes behind')
    // but for a window that was over already and was opened again by a late record
    const wasOver = (emitted.value as Result).window.endMs - 1 <= emitted.handedOnMs
    if ((next.value as Result).pane.timing !== 'late' && !wasOver) {
      assert.ok(
        emitted.timestampMs > emitted.handedOnMs,
        'the watermark waited for what it takes back',
      )
    }
  }

  #checkAllSent(key: string): void {
    const freed = this.reference.freed(key)
    for (const { unsent } of freed)
      assert.deepEqual(unsent, [], 'all is sent when a window is freed')
    if (this.#accumulation === 'retracting') {
      const windows = [...freed, ...this.reference.open(key)]
      const sent = windows.flatMap(({ rows, unsent }) => rows.filter((id) => !unsent.includes(id)))
      const live = this.#liveOf(key).flatMap(({ value }) => idsOf((value as Result).value))
      assert.deepEqual(sorted(live), sorted(sent), 'panes less retractions are what was sent')
    }
    if (this.#accumulation === 'accumulating') {
      for (const held of freed) {
        const last = this.#former.get(`${key} ${held.startMs} ${held.endMs}`)
        assert.deepEqual(
          idsOf(last?.value ?? []),
          sorted(held.rows),
          'the last pane holds all rows',
        )
      }
    }
  }

  #liveOf(key: string): Emitted[] {
    return this.#live.get(key) ?? []
  }
}

function sameBounds(a: TimeWindow, b: TimeWindow): boolean {
  return a.startMs === b.startMs && a.endMs === b.endMs
}

function idsOf(rows: readonly Row[]): number[] {
  return sorted(rows.map(({ id }) => id))
}

function sorted(ids: readonly number[]): number[] {
  return ids.toSorted((a, b) => a - b)
}

function text(value: unknown): string {
  return JSON.stringify(value)
}

// ---- the runs

function describe(where: Where, options: ManyPanes<Row, Accumulation>) {
  const { windows } = where
  return window(
    windows,
    aggregateResult('aggregate', collect<Row>(), []),
    paneOptions(windows, options),
  )
}

/** Where time stands after each step. */
class Script {
  watermarkMs = -20
  nowMs = 0

  play(run: KeyedOperatorRun, step: Step): void {
    switch (step.kind) {
      case 'record':
        run.record(step.key, step.row, step.atMs)
        return run.advanceTo(this.nowMs)
      case 'watermark':
        this.watermarkMs += step.byMs
        return run.watermark(this.watermarkMs)
      case 'clock':
        this.nowMs += step.byMs
        return run.advanceTo(this.nowMs)
    }
  }
}

test('panes keep the laws of their accumulation, whatever comes in whatever order', async () => {
  await fc.assert(
    fc.asyncProperty(shownWheres, shownPanes, steps, async (where, options, script) => {
      const run = await KeyedOperatorRun.open(describe(where, options))
      const laws = new Laws(where, options)
      const time = new Script()
      run.watermark(time.watermarkMs)
      for (const step of script) {
        if (step.kind === 'record') {
          laws.reference.add(step.key, step.row, step.atMs, time.watermarkMs)
        }
        time.play(run, step)
        laws.check(run.take(), time.watermarkMs)
      }
      run.watermark(Infinity)
      laws.check(run.take(), Infinity)
      assert.equal(run.cellCount, 0, 'no state is left')
      assert.equal(run.handedOnMs, Infinity, 'nothing holds the last watermark')
      assert.equal(run.lateRecords, laws.reference.late.length)
      await run.close()
    }),
    { numRuns: Number(process.env['PANE_RUNS'] ?? 400), includeErrorInReport: true },
  )
})

test('a crash at any time and a restore change nothing of what comes out', async () => {
  await fc.assert(
    fc.asyncProperty(
      shownWheres,
      shownPanes,
      steps,
      fc.nat({ max: 40 }),
      fc.nat({ max: 10 }),
      async (where, options, script, savedAt, lostCount) => {
        const description = describe(where, options)
        const straight = await KeyedOperatorRun.open(description)
        const crashing = await KeyedOperatorRun.open(description)
        const [time, other] = [new Script(), new Script()]
        straight.watermark(time.watermarkMs)
        crashing.watermark(other.watermarkMs)
        for (const step of script) time.play(straight, step)

        for (const step of script.slice(0, savedAt)) other.play(crashing, step)
        const before = crashing.take()
        const { watermarkMs, nowMs } = other
        const { handedOnMs } = crashing
        const snapshot = await crashing.snapshot()
        for (const step of script.slice(savedAt, savedAt + lostCount)) other.play(crashing, step)
        crashing.take()
        await crashing.restore(snapshot)
        Object.assign(other, { watermarkMs, nowMs })
        Object.assign(crashing, { nowMs, handedOnMs })
        for (const step of script.slice(savedAt)) other.play(crashing, step)

        straight.watermark(Infinity)
        crashing.watermark(Infinity)
        // of timers due at one time, those of another key may come first
        const [expected, actual] = [straight.take(), [...before, ...crashing.take()]]
        for (const key of ['a', 'b', 'late']) {
          assert.deepEqual(ofKey(actual, key), ofKey(expected, key))
        }
        assert.equal(crashing.cellCount, 0)
        await straight.close()
        await crashing.close()
      },
    ),
    { numRuns: Number(process.env['PANE_RUNS'] ?? 200), includeErrorInReport: true },
  )
})

function ofKey(emitted: readonly Emitted[], key: string): unknown[] {
  return emitted
    .filter(({ side, value }) => (side === 'late' ? side : (value as Result).key) === key)
    .map(({ value, timestampMs, isRetraction }) => [value, timestampMs, isRetraction])
}

test('with all data on time, panes on time are the same in any order', async () => {
  const onTime = fc.array(
    fc.record({
      key: fc.constantFrom('a', 'b'),
      row: fc.record({
        id: fc.nat({ max: 1000 }),
        isEnd: fc.boolean(),
        gapMs: fc.integer({ min: 1, max: 8 }),
      }),
      atMs: fc.integer({ min: -20, max: 40 }),
    }),
    { maxLength: 20 },
  )
  const twoOrders = onTime.chain((records) =>
    fc.tuple(
      fc.constant(records),
      fc.shuffledSubarray(records, { minLength: records.length, maxLength: records.length }),
    ),
  )
  await fc.assert(
    fc.asyncProperty(shownWheres, shownPanes, twoOrders, async (where, options, orders) => {
      const { trigger: _, ...others } = options
      const panes = await Promise.all(
        orders.map(async (records) => {
          const run = await KeyedOperatorRun.open(describe(where, others))
          for (const { key, row, atMs } of records) run.record(key, row, atMs)
          run.watermark(Infinity)
          await run.close()
          return run
            .take()
            .map(({ value, timestampMs }) => {
              const { value: rows, ...rest } = value as Result
              return text([rest, idsOf(rows), timestampMs])
            })
            .sort()
        }),
      )
      assert.deepEqual(panes[1], panes[0])
    }),
    { numRuns: 100, includeErrorInReport: true },
  )
})
