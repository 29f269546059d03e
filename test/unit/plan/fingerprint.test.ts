import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { arraySink, fromArray, job, tumbling } from '../../../src/index.ts'
import { fingerprintOf, firstDifference } from '../../../src/plan/fingerprint.ts'
import type { Fingerprint } from '../../../src/plan/fingerprint.ts'

interface Variation {
  readonly jobName?: string
  readonly uid?: string
  readonly add?: (value: number) => number
  readonly size?: '1s' | '2s'
  readonly parallelism?: number
  readonly isRebalanced?: boolean
  readonly key?: (value: number) => number
}

const addOne = (value: number): number => value + 1
const itself = (value: number): number => value

function fingerprint(variation: Variation = {}): Fingerprint {
  const { uid = 'counts', add = addOne, size = '1s', key = itself } = variation
  const built = job(variation.jobName ?? 'shop', (env) => {
    const mapped = env
      .from('in', fromArray([1, 2]))
      .map(add, variation.parallelism === undefined ? {} : { parallelism: variation.parallelism })
    const divided = variation.isRebalanced === true ? mapped.rebalance() : mapped
    divided
      .map(itself, { name: 'second' })
      .keyBy(key)
      .window(tumbling({ size }))
      .count(uid)
      .to('out', arraySink<unknown>([]))
  })
  return fingerprintOf(built.build(undefined))
}

describe('the fingerprint of a job', () => {
  test('is the same however often it is built', () => {
    assert.equal(firstDifference(fingerprint(), fingerprint()), undefined)
  })

  test('differs first at the operator that differs', () => {
    const differences: readonly (readonly [Variation, string])[] = [
      [{ uid: 'other' }, 'counts'],
      [{ add: (value) => value + 2 }, 'map'],
      [{ size: '2s' }, 'counts'],
      [{ parallelism: 3 }, 'map'],
      [{ isRebalanced: true }, 'second'],
      [{ key: (value) => value % 2 }, 'counts'],
      [{ jobName: 'other' }, 'in'],
    ]
    for (const [variation, operator] of differences) {
      assert.equal(firstDifference(fingerprint(), fingerprint(variation)), operator)
    }
  })

  test('of a job with one operator more differs there', () => {
    const whole = fingerprint()
    const shorter = { operators: whole.operators.slice(0, -1) }
    assert.equal(firstDifference(shorter, whole), 'out')
    assert.equal(firstDifference(whole, shorter), 'out')
  })

  test('is plain data, so that it can be sent between threads', () => {
    const sent = structuredClone(fingerprint())
    assert.equal(firstDifference(sent, fingerprint()), undefined)
  })
})
