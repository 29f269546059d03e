import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { AnyKey } from '../../../../src/core/key.ts'
import { hashKey } from '../../../../src/core/key-hash.ts'
import type { CellCache } from '../../../../state-backends/leveldb/cell-cache.ts'
import { readPrefix, readTimersKey } from '../../../../state-backends/leveldb/key-layout.ts'
import { TimerBuckets } from '../../../../state-backends/leveldb/timer-buckets.ts'
import { MapDisk, TestKey } from './map-disk.ts'

const maxParallelism = 4

describe('TimerBuckets', () => {
  it('gives entries out in the order of time, whatever is added when', () => {
    const time = fc.oneof(
      fc.integer({ min: -50, max: 50 }),
      fc.integer({ min: 0, max: 100_000 }),
      fc.integer({ min: -(10 ** 12), max: 10 ** 12 }),
      fc.constantFrom(Infinity, -Infinity, Number.MAX_SAFE_INTEGER, -(2 ** 50), 2 ** 50, 1e300),
    )
    const action = fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('add' as const), time }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('poll' as const), time }) },
    )
    fc.assert(
      fc.property(fc.array(action, { maxLength: 300 }), (actions) => {
        const timers = new TestTimers({ cacheBytesMax: 1 })
        const model: number[] = []
        for (const { kind, time: at } of actions) {
          if (kind === 'add') {
            timers.add(at, model.length)
            model.push(at)
            model.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
          } else {
            const due = model.filter((other) => other <= at)
            assert.deepEqual(timers.takeDue(at), due)
            model.splice(0, due.length)
          }
          timers.flush()
          assert.equal(timers.index.peek(), model[0] ?? Infinity)
        }
        assert.deepEqual(timers.takeDue(Infinity), model)
        timers.flush()
        assert.equal(timers.disk.size, 0)
      }),
      { numRuns: 60 },
    )
  })

  it('splits intervals as they fill, and keeps the order', () => {
    const timers = new TestTimers({ cacheBytesMax: 100_000 })
    const times: number[] = []
    for (let i = 0; i < 60_000; i++) {
      const at = (i * 7919) % 50_021
      times.push(at)
      timers.add(at, i)
      if (i % 1000 === 0) timers.flush()
    }
    const exponents = timers.exponentsOnDisk()
    assert(Math.max(...exponents) < 9, 'None is as wide as the first was')
    assert.deepEqual(
      timers.takeDue(Infinity),
      times.sort((a, b) => a - b),
    )
    timers.flush()
    assert.equal(timers.disk.size, 0)
  })

  it('loads many entries of one millisecond in parts', () => {
    const timers = new TestTimers({ cacheBytesMax: 50_000 })
    const count = 100_000
    for (let i = 0; i < count; i++) {
      timers.add(5000, i)
      if (i % 1000 === 0) timers.flush()
    }
    const segmentBytesMax = Math.max(...[...timers.disk.values()].map(({ length }) => length))
    assert(segmentBytesMax < 10_000, 'No value holds more than a segment')
    let taken = 0
    let cellsMax = 0
    const keys = new Set<AnyKey>()
    while (timers.index.poll(5000)) {
      taken++
      keys.add(timers.at.key)
      cellsMax = Math.max(cellsMax, timers.cache.count)
      if (taken % 1000 === 0) timers.flush()
    }
    assert.equal(taken, count)
    assert.equal(keys.size, count)
    assert(cellsMax < 250, `${cellsMax} of about 400 segments were in memory at a time`)
  })

  it('keeps additions behind the first interval cheap, and forgets none when it lets intervals go', () => {
    const timers = new TestTimers({ cacheBytesMax: 1 })
    const day = 86_400_000
    const expected: number[] = []
    // Each round goes further back, so that more intervals are loaded than may stay.
    for (let round = 20; round >= 0; round--) {
      for (let i = 0; i < 5; i++) {
        timers.add(round * 10 * day + i, round * 10 + i)
        expected.push(round * 10 * day + i)
      }
      assert.equal(timers.index.peek(), round * 10 * day)
      timers.add(200 * day + round, round)
      expected.push(200 * day + round)
      timers.flush()
    }
    // Those that were loaded and let go take more entries, and so does whatever is loaded.
    for (let round = 0; round <= 20; round++) {
      timers.add(round * 10 * day + 7, round * 10)
      expected.push(round * 10 * day + 7)
    }
    assert.deepEqual(
      timers.takeDue(Infinity),
      expected.sort((a, b) => a - b),
    )
  })

  it('finds everything again from the keys of its segments', () => {
    for (const seed of [3, 5, 7919]) {
      const timers = new TestTimers({ cacheBytesMax: 1 })
      const times: number[] = []
      for (let i = 0; i < 20_000; i++) {
        const at = (i * seed * 104_729) % 1_000_003
        times.push(at)
        timers.add(at, i)
        if (i % 1000 === 0) timers.flush()
      }
      timers.flush()
      const restored = timers.reopened()
      restored.add(-1, 'new')
      for (let i = 0; i < 5000; i++) {
        times.push(i)
        restored.add(i, i)
      }
      assert.deepEqual(
        restored.takeDue(Infinity),
        [-1, ...times].sort((a, b) => a - b),
      )
    }
  })
})

/** Timers on a disk that is a map. */
class TestTimers {
  readonly at = new TestKey()
  readonly index: TimerBuckets
  readonly #disk: MapDisk
  readonly #cacheBytesMax: number

  constructor(options: { cacheBytesMax: number; disk?: Map<string, Buffer> }) {
    this.#cacheBytesMax = options.cacheBytesMax
    this.#disk = new MapDisk(options.cacheBytesMax, options.disk)
    this.index = new TimerBuckets({
      cache: this.cache,
      at: this.at,
      stateId: 3,
      maxParallelism,
      slotId: 0,
    })
  }

  get cache(): CellCache {
    return this.#disk.cache
  }

  get disk(): Map<string, Buffer> {
    return this.#disk.entries
  }

  add(timestampMs: number, key: AnyKey): void {
    this.at.useKey(key, hashKey(key))
    this.index.add(timestampMs)
  }

  takeDue(upToMs: number): readonly number[] {
    const taken: number[] = []
    while (this.index.poll(upToMs)) taken.push(this.index.timestampMs)
    return taken
  }

  flush(): void {
    this.#disk.flush()
  }

  exponentsOnDisk(): ReadonlySet<number> {
    return new Set(this.#disk.keys().map((key) => readTimersKey(key).exponent))
  }

  reopened(): TestTimers {
    const other = new TestTimers({ cacheBytesMax: this.#cacheBytesMax, disk: this.disk })
    for (const key of this.#disk.keys()) other.index.restore(readPrefix(key), readTimersKey(key))
    return other
  }
}
