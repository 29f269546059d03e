import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Contest, Outcome } from '../../../bench/comparison/contest.ts'
import { disagreements, ratiosOf, spreadOf } from '../../../bench/comparison/contest.ts'
import { curvesSvg } from '../../../bench/comparison/curves.ts'
import { spreadText } from '../../../bench/comparison/page.ts'
import { markdownOf, svgOf } from '../../../bench/comparison/report.ts'
import { inTurn } from '../../../bench/comparison/turns.ts'

const outcome = (eventsPerSecond: number, checksum = 7): Outcome => ({
  seconds: 2,
  eventsPerSecond,
  rows: 3,
  checksum,
  maxRssMb: 100,
  cpuSeconds: 1,
})
const contest: Contest = {
  title: 'q5 p=2',
  outcomes: new Map([
    ['ours', [outcome(4e6), outcome(2e6), outcome(3e6)]],
    ['theirs', [outcome(1e6), outcome(1e6), outcome(0.5e6)]],
  ]),
}

describe('rounds', () => {
  test('begin with another one each time, and keep what each one answered', () => {
    const order: string[] = []

    const outcomes = inTurn(2, [{ name: 'a' }, { name: 'b' }], ({ name }, round) => {
      order.push(name)
      return round
    })

    assert.deepEqual(order, ['a', 'b', 'b', 'a'])
    assert.deepEqual(
      [...outcomes],
      [
        ['a', [0, 1]],
        ['b', [0, 1]],
      ],
    )
  })
})

describe('a chart', () => {
  test('has its points where the axes say', () => {
    const svg = curvesSvg({
      title: 'T',
      x: { label: 'x', isLogarithmic: true },
      y: { label: 'y' },
      curves: [
        {
          name: 'c',
          points: [
            [10, 0],
            [100, 5],
            [1000, 10],
          ],
        },
      ],
    })

    const places = [...svg.matchAll(/cx="([\d.]+)" cy="([\d.]+)"/g)].map((match) =>
      match.slice(1).map(Number),
    )
    assert.equal(places.length, 3)
    const [[x0, y0], [x1, y1], [x2, y2]] = places as [number[], number[], number[]] as [
      [number, number],
      [number, number],
      [number, number],
    ]
    assert.ok(Math.abs(x1 - x0 - (x2 - x1)) < 0.2)
    assert.ok(Math.abs(y0 - y1 - (y1 - y2)) < 0.2)
    assert.ok(x0 < x1 && y0 > y1)
  })

  test('takes one value, and numbers that are all the same', () => {
    const svg = curvesSvg({
      title: 'T',
      x: { label: 'x' },
      y: { label: 'y', isLogarithmic: true },
      curves: [{ name: 'c', points: [[1, 100]] }],
    })

    assert.ok(!svg.includes('NaN'))
  })
})

describe('a spread as text', () => {
  test('is one figure where there was one', () => {
    assert.equal(spreadText({ median: 2, least: 2, most: 2 }, 1), '2.0')
    assert.equal(spreadText({ median: 2, least: 1, most: 3 }, 0), '2 (1–3)')
  })
})

describe('a comparison', () => {
  test('tells medians and spreads', () => {
    assert.deepEqual(spreadOf([3, 1, 2]), { median: 2, least: 1, most: 3 })
    assert.deepEqual(spreadOf([4, 1, 2, 3]), { median: 2.5, least: 1, most: 4 })
    assert.throws(() => spreadOf([]), RangeError)
  })

  test('takes ratios within a round', () => {
    assert.deepEqual(ratiosOf(contest, 'ours', 'theirs'), { median: 4, least: 2, most: 6 })
  })

  test('finds outputs that differ, and who they are of', () => {
    const wrong = new Map(contest.outcomes)
    wrong.set('theirs', [outcome(1e6, 8)])

    assert.deepEqual(disagreements(contest), [])
    assert.deepEqual(disagreements({ title: 'q5', outcomes: wrong }), [
      'q5: ours: 3 rows, checksum 7',
      'q5: theirs: 3 rows, checksum 8',
    ])
  })

  test('is written as a table, and drawn', () => {
    const report = {
      title: 'Ours & theirs',
      notes: ['two cores'],
      engines: ['ours', 'theirs'],
      contests: [contest],
      plot: 'p.svg',
    }

    assert.match(
      markdownOf(report),
      /\| q5 p=2 \| 3\.00 \(2\.00–4\.00\) \| 1\.00 \(0\.50–1\.00\) \| 4\.00 \(2\.00–6\.00\) \| 1\.0 \(1\.0–1\.0\) \| 0\.17 \| 100 \/ 100 \|/,
    )
    const svg = svgOf(report)
    assert.equal(svg.match(/<rect x/g)?.length, 2)
    assert.match(svg, /Ours &amp; theirs/)
  })
})
