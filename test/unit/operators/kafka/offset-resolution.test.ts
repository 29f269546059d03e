import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  endOffset,
  offsetOutOfRange,
  startOffset,
} from '../../../../operators/kafka/offset-resolution.ts'
import type { OffsetFacts, StartAt } from '../../../../operators/kafka/offset-resolution.ts'

const log: OffsetFacts = {
  earliest: 10,
  latest: 50,
  atStartTime: undefined,
  atEndTime: undefined,
  committed: undefined,
}

test('where a partition begins', () => {
  const cases: readonly (readonly [StartAt, Partial<OffsetFacts>, number])[] = [
    ['earliest', {}, 10],
    ['latest', {}, 50],
    ['committed', { committed: 20 }, 20],
    ['committed', {}, 10],
    ['committed', { committed: 60 }, 60],
    [{ timestampMs: 1 }, { atStartTime: 33 }, 33],
    [{ timestampMs: 1 }, {}, 50],
    [{ offsets: { 'a-0': 40n } }, {}, 40],
    [{ offsets: { 'a-0': 10n } }, {}, 10],
    [{ offsets: { 'a-0': 70n } }, {}, 70],
    [{ offsets: { 'a-1': 40n } }, {}, 10],
  ]
  for (const [startAt, facts, expected] of cases) {
    assert.equal(startOffset('a-0', startAt, { ...log, ...facts }), expected)
  }
})

test('where a partition ends', () => {
  assert.equal(endOffset('a-0', 'latest', log), 50)
  assert.equal(endOffset('a-0', { timestampMs: 1 }, { ...log, atEndTime: 33 }), 33)
  assert.equal(endOffset('a-0', { timestampMs: 1 }, log), 50)
  assert.equal(endOffset('a-0', { offsets: { 'a-0': 70n } }, log), 70)
})

test('endAt offsets must say where every partition ends', () => {
  assert.throws(() => endOffset('a-1', { offsets: { 'a-0': 70n } }, log), {
    code: 'OPTION_INVALID',
    message: /a-1/,
  })
})

test('a start whose records are gone is refused with the range that is there', () => {
  const gone = {
    code: 'KAFKA_OFFSET_OUT_OF_RANGE',
    message: /a-0 has offsets 10 to 50.*from 9 to 9/,
  }

  assert.throws(() => startOffset('a-0', { offsets: { 'a-0': 9n } }, log), gone)
  assert.throws(() => startOffset('a-0', 'committed', { ...log, committed: 9 }), gone)
})

test('a position behind the log is told apart from one before it', () => {
  assert.match(offsetOutOfRange('a-0', 51, log).message, /the log ends before it/)
  assert.match(offsetOutOfRange('a-0', 5, log).message, /were deleted before they were read/)
})
