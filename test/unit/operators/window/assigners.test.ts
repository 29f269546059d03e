import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { globalWindow, session, sliding, tumbling } from 'millrace'
import type { Duration } from 'millrace'
import { keyGroupOf, subtaskOf } from '../../../../src/core/key-group.ts'
import { hashKey } from '../../../../src/core/key-hash.ts'

const length = fc.integer({ min: 1, max: 500 })
const time = fc.integer({ min: -10_000, max: 10_000 })
const ms = (lengthMs: number): Duration => `${lengthMs}ms`

test('windows of a fixed length: exactly those that hold the time, in order, also where they leave gaps', () => {
  fc.assert(
    fc.property(length, length, fc.integer({ min: -600, max: 600 }), time, (size, every, o, at) => {
      const windows = sliding({ size: ms(size), every: ms(every), offset: ms(o) })

      const expected = []
      for (let index = -30_000; index <= 30_000; index++) {
        const startMs = index * every + o
        if (startMs <= at && at < startMs + size) expected.push({ startMs, endMs: startMs + size })
      }
      assert.deepEqual(windows.assign(null, at, 'k'), expected)
    }),
    { numRuns: 60 },
  )
})

test('unaligned windows of a key are shifted all alike, and each time is in as many as aligned ones', () => {
  fc.assert(
    fc.property(length, fc.string(), fc.array(time, { minLength: 1 }), (size, key, times) => {
      const windows = tumbling({ size: ms(size), unaligned: true })

      const phases = times.map((at) => {
        const [window, ...more] = windows.assign(null, at, key)
        assert.deepEqual(more, [])
        assert.ok(window !== undefined && window.startMs <= at && at < window.endMs)
        assert.equal(window.endMs - window.startMs, size)
        return ((window.startMs % size) + size) % size
      })

      assert.equal(new Set(phases).size, 1)
    }),
  )
})

test('unaligned windows begin evenly spread, also among the keys of one subtask', () => {
  const windows = tumbling({ size: '1h', unaligned: true })
  const scale = { parallelism: 4, maxParallelism: 128 }
  const counts = Array.from({ length: 4 }, () => new Array<number>(6).fill(0))
  for (let user = 0; user < 24_000; user++) {
    const key = `user-${user}`
    const [window] = windows.assign(null, 0, key)
    const subtask = subtaskOf(keyGroupOf(hashKey(key), scale.maxParallelism), scale)
    const parts = counts[subtask] as number[]
    const part = Math.floor(-(window?.startMs ?? NaN) / 600_000)
    parts[part] = (parts[part] as number) + 1
  }
  // 1000 each; five standard deviations
  for (const count of counts.flat()) assert.ok(Math.abs(count - 1000) < 160, counts.join('; '))
})

test('the offset of unaligned windows shifts every key by as much', () => {
  const plain = sliding({ size: '10s', every: '5s', unaligned: true })
  const shifted = sliding({ size: '10s', every: '5s', offset: '1s', unaligned: true })

  assert.deepEqual(
    shifted.assign(null, 21_000, 'k'),
    plain
      .assign(null, 20_000, 'k')
      .map(({ startMs, endMs }) => ({ startMs: startMs + 1000, endMs: endMs + 1000 })),
  )
})

test('the global window holds every time and is one', () => {
  const windows = globalWindow()
  const [window] = windows.assign(null, 0, 'k')

  assert.ok(window !== undefined)
  for (const at of [-8.64e15, -1, 0, 1, Date.UTC(2100, 0), 8.64e15]) {
    assert.deepEqual(windows.assign(null, at, 'other'), [window])
  }
  assert.ok(Number.isSafeInteger(window.endMs) && Number.isSafeInteger(window.startMs))
  assert.ok(!Number.isNaN(new Date(window.endMs).getTime()))
})

test('plans name windows by what they do', () => {
  assert.equal(tumbling({ size: '1min', offset: '-5s' }).name, 'tumbling 1min offset -5s')
  assert.equal(tumbling({ size: '1min', unaligned: true }).name, 'tumbling 1min unaligned')
  assert.equal(sliding({ size: '1h', every: '5min' }).name, 'sliding 1h every 5min')
  assert.equal(session({ gap: '1s', touching: 'apart' }).name, 'session 1s apart')
  assert.equal(globalWindow().name, 'global')
})
