import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemScheduler } from '../../../src/job/system-clock.ts'

test('a delay that is longer than those of Node is not over at once', async () => {
  let isOver = false
  const cancel = systemScheduler.after(30 * 86_400_000, () => {
    isOver = true
  })

  // Node makes a millisecond of it, as long as the machine needs for that
  for (let turns = 0; turns < 20; turns++) await sleep(1)

  cancel()
  assert.equal(isOver, false)
})
