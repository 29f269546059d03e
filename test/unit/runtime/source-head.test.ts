import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ReaderContext, Source, Split, SplitReader } from '../../../src/contract/source.ts'
import { silentLogger } from '../../../src/core/log.ts'
import { silentMetrics } from '../../../src/core/metrics.ts'
import type { RecordBatch } from '../../../src/core/record-batch.ts'
import { monotonous } from '../../../src/index.ts'
import type { SourceNode } from '../../../src/plan/job-graph.ts'
import { SourceHead } from '../../../src/runtime/source-head.ts'

/** A split whose records are times, handed out two at a time as far as the test has added them. */
class TestSplit implements SplitReader {
  readonly times: number[] = []
  isOver = false
  isClosed = false
  #position: number

  constructor({ position }: Split) {
    this.#position = (position as number | undefined) ?? 0
  }

  read(batch: RecordBatch, recordsMax: number): 'records' | 'empty' | 'ended' {
    for (let row = 0; row < Math.min(2, recordsMax); row++) {
      const time = this.times[this.#position]
      if (time === undefined) break
      batch.values[row] = time
      batch.timestamps[row] = NaN
      batch.count = row + 1
      this.#position += 1
    }
    if (batch.count > 0) return 'records'
    return this.isOver ? 'ended' : 'empty'
  }

  position(): number {
    return this.#position
  }

  close(): void {
    this.isClosed = true
  }
}

class TestHead {
  readonly splits = new Map<string, TestSplit>()
  head!: SourceHead
  context!: ReaderContext
  elapsedMs = 0

  static async open(
    options: { idleAfterMs?: number; timestampMs?: SourceNode['timestampMs'] } = {},
  ): Promise<TestHead> {
    const test = new TestHead()
    const source: Source<unknown> = {
      type: 'test',
      isBounded: false,
      enumerator: () => ({ discover: async () => [] }),
      reader: (context) => {
        test.context = context
        return {
          open: (split) => {
            const reader = new TestSplit(split)
            test.splits.set(split.id, reader)
            return reader
          },
        }
      },
    }
    test.head = await SourceHead.open({
      node: {
        kind: 'source',
        id: 0,
        uid: 'in',
        name: undefined,
        parallelism: undefined,
        chain: 'auto',
        source,
        timestampMs: 'timestampMs' in options ? options.timestampMs : (value) => value as number,
        watermarks: monotonous(),
        idleAfterMs: options.idleAfterMs,
      },
      subtaskIndex: 0,
      parallelism: 1,
      clock: { now: () => 5000 + test.elapsedMs, elapsed: () => test.elapsedMs },
      logger: silentLogger,
      signal: new AbortController().signal,
      mailbox: { submit: (action) => action() },
      metrics: silentMetrics,
      wake: () => {},
      fail: (error) => assert.fail(String(error)),
      recordsMax: 100,
    })
    return test
  }

  add(id: string, ...times: readonly number[]): void {
    if (!this.splits.has(id)) this.head.addSplits([{ id, data: null }])
    this.splits.get(id)?.times.push(...times)
    this.context.available()
  }

  /** Times of the batches that can be read now. */
  read(): number[][] {
    const batches: number[][] = []
    while (this.head.read(this.elapsedMs + 5000)) {
      const { batch } = this.head
      batches.push([...batch.timestamps.subarray(0, batch.count)])
    }
    return batches
  }
}

describe('the splits of a source', () => {
  test('are read in the order of event time: the one that is furthest behind first', async () => {
    const test = await TestHead.open()
    test.add('today', 1000, 1001, 1002, 1003)
    test.add('yesterday', 10, 20, 30, 40)

    const batches = test.read()

    assert.deepEqual(batches, [
      [1000, 1001],
      [10, 20],
      [30, 40],
      [1002, 1003],
    ])
  })

  test('hold the watermark at the lowest of them', async () => {
    const test = await TestHead.open()
    test.add('a', 100, 200)
    test.read()
    const alone = test.head.watermark()
    test.add('b', 150)
    test.read()

    assert.ok(alone < 200 && alone >= 199)
    assert.equal(test.head.watermark(), alone, 'it does not go back for a split that is behind')
    test.add('b', 300)
    test.add('a', 400)
    test.read()
    assert.ok(test.head.watermark() >= 299 && test.head.watermark() < 300)
  })

  test('let go of the watermark when they have ended', async () => {
    const test = await TestHead.open()
    test.add('a', 100)
    test.add('b', 500)
    test.read()
    const a = test.splits.get('a')
    assert.ok(a !== undefined)
    a.isOver = true
    test.context.available()
    test.read()

    assert.ok(test.head.watermark() > 400)
    assert.equal(a.isClosed, true)
    test.head.setDealt(true)
    assert.equal(test.head.hasEnded, false)
    const b = test.splits.get('b')
    assert.ok(b !== undefined)
    b.isOver = true
    test.context.available()
    test.read()
    assert.equal(test.head.hasEnded, true)
  })

  test('let go of it while they are idle, and hold it again when they speak', async () => {
    const test = await TestHead.open({ idleAfterMs: 1000 })
    test.add('quiet', 100)
    test.add('busy', 500)
    test.read()
    assert.ok(test.head.watermark() < 101)

    test.elapsedMs = 2000
    test.add('busy', 900)
    test.read()
    assert.ok(test.head.watermark() > 800)
    assert.equal(test.head.isIdle, false)

    test.elapsedMs = 4000
    test.head.setDealt(false)
    test.read()
    assert.equal(test.head.isIdle, true)
  })

  test('stand in a snapshot with the place and time to go on from', async () => {
    const test = await TestHead.open()
    test.add('a', 100, 200, 300)
    test.head.read(0)

    const [state] = test.head.snapshot()
    assert.equal(state?.position, 2)

    const again = await TestHead.open()
    again.head.addSplits([state as NonNullable<typeof state>])
    again.splits.get('a')?.times.push(100, 200, 300)
    assert.deepEqual(again.read(), [[300]])
  })

  test('that are restored hold the watermark where it was, before they have said anything', async () => {
    const test = await TestHead.open()
    test.add('a', 100, 200)
    test.add('b', 700)
    test.read()
    const watermarkMs = test.head.watermark()

    const again = await TestHead.open()
    again.head.addSplits(test.head.snapshot())

    assert.equal(again.head.watermark(), watermarkMs)
  })
})

describe('the time of a record', () => {
  test('is that of its arrival where neither job nor source says another', async () => {
    const test = await TestHead.open({ timestampMs: undefined })
    test.add('a', 1)
    assert.deepEqual(test.read(), [[5000]])
  })

  test('must be a finite number', async () => {
    for (const wrong of [NaN, Infinity, undefined as unknown as number]) {
      const test = await TestHead.open({ timestampMs: () => wrong })
      test.add('a', 1)
      assert.throws(() => test.read(), { code: 'TIMESTAMP_INVALID' })
    }
  })
})
