import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { smallestGood } from '../../../bench/memory/bisect.ts'

describe('the smallest good heap', () => {
  for (const least of [65, 100, 317, 4000]) {
    test(`is found where ${least} MB are enough`, async () => {
      const tried: number[] = []

      const found = await smallestGood({
        mostBad: 64,
        leastGood: 4096,
        closeRatio: 1.15,
        isGood: async (size) => {
          tried.push(size)
          return size >= least
        },
      })

      assert.ok(found >= least && found / least <= 1.15, `${found}`)
      assert.ok(tried.length <= 8)
    })
  }

  test('is the one that is known to be good where nothing smaller is', async () => {
    const found = await smallestGood({
      mostBad: 64,
      leastGood: 128,
      closeRatio: 1.001,
      isGood: async () => false,
    })

    assert.equal(found, 128)
  })
})
