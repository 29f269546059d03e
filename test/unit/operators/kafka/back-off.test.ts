import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EngineError } from '../../../../src/core/errors.ts'
import {
  BACK_OFF_MS_FIRST,
  BACK_OFF_MS_MAX,
  BackOff,
} from '../../../../operators/kafka/back-off.ts'
import { RETRY_MS_MAX, TOPIC_UNKNOWN_MS_MAX } from '../../../../operators/kafka/kafka-errors.ts'

const unreachable = new EngineError('KAFKA_UNREACHABLE', 'away')
const unknown = new EngineError('KAFKA_TOPIC_UNKNOWN', 'no topic')
const forbidden = new EngineError('KAFKA_NOT_AUTHORIZED', 'no')

test('delays double up to the longest, and begin anew after a success', () => {
  const backOff = new BackOff()

  const delays = Array.from({ length: 10 }, () => backOff.failed(0, unreachable))
  backOff.succeeded()

  assert.deepEqual(delays.slice(0, 3), [
    BACK_OFF_MS_FIRST,
    BACK_OFF_MS_FIRST * 2,
    BACK_OFF_MS_FIRST * 4,
  ])
  assert.equal(delays.at(-1), BACK_OFF_MS_MAX)
  assert.equal(backOff.failed(0, unreachable), BACK_OFF_MS_FIRST)
})

test('patience is counted from the first failure in a row', () => {
  const backOff = new BackOff()
  assert.notEqual(backOff.failed(1000, unreachable), undefined)
  backOff.succeeded()
  assert.notEqual(backOff.failed(2000, unreachable), undefined)

  assert.notEqual(backOff.failed(2000 + RETRY_MS_MAX - 1, unreachable), undefined)
  assert.equal(backOff.failed(2000 + RETRY_MS_MAX, unreachable), undefined)
})

test('an unknown topic has a patience of its own, counted from when it became unknown', () => {
  const backOff = new BackOff()
  backOff.failed(0, unreachable)
  const known = 20_000

  assert.notEqual(backOff.failed(known, unknown), undefined)
  assert.notEqual(backOff.failed(known + TOPIC_UNKNOWN_MS_MAX - 1, unknown), undefined)
  assert.equal(backOff.failed(known + TOPIC_UNKNOWN_MS_MAX, unknown), undefined)
})

test('failures of changing kinds are bounded all the same', () => {
  const backOff = new BackOff()
  let now = 0
  for (; backOff.failed(now, now % 2000 === 0 ? unreachable : unknown) !== undefined; now += 1000) {
    assert.ok(now <= RETRY_MS_MAX)
  }
  assert.equal(now, RETRY_MS_MAX)
})

test('what waiting cannot cure is not tried again', () => {
  assert.equal(new BackOff().failed(0, forbidden), undefined)
  const refused = new EngineError('KAFKA_FAILED', 'refused', { retryable: false })
  assert.equal(new BackOff().failed(0, refused), undefined)
})

test('ever fewer failures are noteworthy', () => {
  const backOff = new BackOff()
  const noteworthy: number[] = []
  for (let count = 1; count <= 20; count++) {
    backOff.failed(0, unreachable)
    if (backOff.isNoteworthy) noteworthy.push(count)
  }
  assert.deepEqual(noteworthy, [1, 2, 4, 8, 16])
})
