import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { crashPoints } from '../../../src/testing/crash-points.ts'

test('as many places as asked for, all different, in order, the same for the same seed', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 20 }),
      fc.integer({ min: 0, max: 30 }),
      fc.integer(),
      (recordCounts, count, seed) => {
        const points = crashPoints(recordCounts, { count, seed })

        const places = recordCounts.reduce((sum, records) => sum + Math.max(1, records), 0)
        assert.equal(points.length, Math.min(count, places))
        const names = points.map(({ step, record }) => step * 10 + record)
        assert.deepEqual(
          names,
          [...new Set(names)].toSorted((a, b) => a - b),
        )
        for (const { step, record } of points) {
          assert.ok(record < Math.max(1, recordCounts[step] as number))
        }
        assert.deepEqual(crashPoints(recordCounts, { count, seed }), points)
      },
    ),
  )
})

test('every place is chosen by some seed', () => {
  const recordCounts = [0, 3, 1]
  const chosen = new Set<string>()
  for (let seed = 0; seed < 200; seed++) {
    for (const { step, record } of crashPoints(recordCounts, { count: 1, seed })) {
      chosen.add(`${step}/${record}`)
    }
  }
  assert.deepEqual([...chosen].toSorted(), ['0/0', '1/0', '1/1', '1/2', '2/0'])
})
