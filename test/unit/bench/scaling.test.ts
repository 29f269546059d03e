import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { PARTS, csvOf, pageOf, pointsOf, svgOfPart } from '../../../bench/scaling/parts.ts'
import type { Point } from '../../../bench/scaling/parts.ts'

const points: readonly Point[] = [
  { part: 'keys', curve: 'integer keys, on disk', size: 1000, round: 0, cpuNs: 100, wallNs: 50 },
  { part: 'keys', curve: 'integer keys, on disk', size: 1e6, round: 0, cpuNs: 300, wallNs: 150 },
  { part: 'queries', curve: 'q5', size: 1, round: 0, cpuNs: 400, wallNs: 400 },
  { part: 'queries', curve: 'q5', size: 1, round: 1, cpuNs: 400, wallNs: 200 },
  { part: 'queries', curve: 'q5', size: 2, round: 0, cpuNs: 600, wallNs: 200 },
  { part: 'queries', curve: 'q5', size: 2, round: 1, cpuNs: 600, wallNs: 200 },
]

describe('points of curves', () => {
  test('are read as they were written', () => {
    assert.deepEqual(pointsOf(csvOf(points)), points)
  })

  test('are a page that leaves out parts without any', () => {
    const page = pageOf(points, ['a note'], 'scaling')

    assert.match(page, /\| 1,000,000 \| 300 \|/)
    assert.match(page, /!\[Keys\]\(scaling\.keys\.svg\)/)
    assert.doesNotMatch(page, /## Windows/)
  })

  test('tell what a second worker gains as the median of ratios within a round', () => {
    assert.match(pageOf(points, [], 'scaling'), /\| q5 \| 3\.75 \| 5\.00 \| 1\.50 \| 1\.50 \|/)
  })

  test('are drawn', () => {
    for (const part of PARTS.filter(({ name }) => points.some((point) => point.part === name))) {
      assert.doesNotMatch(svgOfPart(part, points), /NaN/)
    }
  })
})
