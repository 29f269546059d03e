import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { RestartPolicy } from '../../../src/job/restart-strategy.ts'
import type { RestartDecision } from '../../../src/job/restart-strategy.ts'
import type { RestartOptions } from '../../../src/plan/job-definition.ts'

/** What is decided for failures at these times. */
function decisions(
  strategy: RestartOptions,
  ...failuresMs: readonly number[]
): (number | string)[] {
  const policy = new RestartPolicy(strategy)
  return failuresMs.map((ms) => short(policy.onFailure(ms)))
}

function short(decision: RestartDecision): number | string {
  return decision.kind === 'restart' ? decision.delayMs : decision.reason
}

describe('after a failure', () => {
  test('none gives up at once', () => {
    assert.deepEqual(decisions({ kind: 'none' }, 0), ['the restart strategy is none'])
  })

  test('fixed restarts so many times in all, however far apart', () => {
    assert.deepEqual(decisions({ kind: 'fixed', delay: '2s', attemptsMax: 2 }, 0, 1e6, 1e12), [
      2000,
      2000,
      'it was restarted 2 times, as often as allowed',
    ])
  })

  test('exponential doubles its delay up to the longest, and never gives up', () => {
    const strategy = { kind: 'exponential', delay: '1s', delayMax: '5s' } as const
    assert.deepEqual(decisions(strategy, 0, 1, 2, 3, 4), [1000, 2000, 4000, 5000, 5000])
  })

  test('exponential begins anew after a long time without a failure', () => {
    const strategy = { kind: 'exponential', delay: '1s', delayMax: '4s' } as const
    assert.deepEqual(decisions(strategy, 0, 1, 2, 40_003), [1000, 2000, 4000, 1000])
    assert.deepEqual(
      decisions({ ...strategy, resetAfter: '1s' }, 0, 500, 1500, 2501),
      [1000, 2000, 4000, 1000],
    )
  })

  test('a delay that has doubled a thousand times is still the longest', () => {
    const policy = new RestartPolicy({ kind: 'exponential', delay: '1s', delayMax: '1min' })
    let last: RestartDecision | undefined
    for (let failure = 0; failure < 2000; failure++) last = policy.onFailure(failure)
    assert.deepEqual(last, { kind: 'restart', delayMs: 60_000 })
  })

  test('failure rate counts only failures within the time', () => {
    const strategy = { kind: 'failure-rate', failuresMax: 2, within: '10s', delay: '1s' } as const
    assert.deepEqual(decisions(strategy, 0, 5000, 10_000, 15_000), [1000, 1000, 1000, 1000])
    assert.deepEqual(decisions(strategy, 0, 5000, 9999).at(-1), 'it failed 3 times within 10s')
  })
})
