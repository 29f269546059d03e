import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { PendingCheckpoint, subtaskId } from '../../../src/checkpoint/pending-checkpoint.ts'
import type { SubtaskAck } from '../../../src/checkpoint/pending-checkpoint.ts'
import { snapshotOf } from '../../support/manifests.ts'

const about = {
  jobName: 'shop',
  lineage: 'line-1',
  completedAtMs: 5,
  maxParallelism: 128,
  isSelfContained: false,
}

function pending(): PendingCheckpoint {
  return new PendingCheckpoint({
    mark: { checkpointId: 3, kind: 'checkpoint' },
    expected: new Map([
      [subtaskId(0, 0), 'numbers#0'],
      [subtaskId(1, 0), 'counts#0'],
      [subtaskId(1, 1), 'counts#1'],
    ]),
    knownSplits: new Map([['numbers', ['0', '1']]]),
  })
}

function ack(
  taskId: number,
  subtaskIndex: number,
  uid: string,
  keyed?: SubtaskAck['operators'][number]['keyed'],
): SubtaskAck {
  const operator = { uid, type: 'process', parallelism: 2, states: [], watermarkMs: 10 }
  return {
    taskId,
    subtaskIndex,
    operators: [keyed === undefined ? operator : { ...operator, keyed }],
  }
}

describe('a checkpoint under way', () => {
  test('is complete once, when the last subtask has answered', () => {
    const checkpoint = pending()

    assert.equal(checkpoint.acknowledge(ack(1, 1, 'counts')), false)
    assert.equal(checkpoint.acknowledge(ack(0, 0, 'numbers')), false)
    assert.deepEqual(checkpoint.missing(), ['counts#0'])
    assert.equal(checkpoint.acknowledge(ack(1, 0, 'counts')), true)
    assert.deepEqual(checkpoint.missing(), [])
    assert.equal(checkpoint.acknowledge(ack(1, 0, 'counts')), false)
  })

  test('an answer that comes twice, or from somebody else, counts nothing', () => {
    const checkpoint = pending()
    checkpoint.acknowledge(ack(0, 0, 'numbers'))

    assert.equal(checkpoint.acknowledge(ack(0, 0, 'numbers')), false)
    assert.equal(checkpoint.acknowledge(ack(9, 0, 'other')), false)
    assert.deepEqual(checkpoint.missing(), ['counts#0', 'counts#1'])
  })

  test('its manifest has the subtasks of each operator in order, and the splits that were dealt', () => {
    const checkpoint = pending()
    checkpoint.acknowledge(ack(1, 1, 'counts', snapshotOf(64, 128)))
    checkpoint.acknowledge(ack(1, 0, 'counts', snapshotOf(0, 64)))
    checkpoint.acknowledge(ack(0, 0, 'numbers'))

    const manifest = checkpoint.manifest(about)

    const counts = manifest.operators.find(({ uid }) => uid === 'counts')
    assert.deepEqual(
      counts?.subtasks.map(({ subtaskIndex, keyed }) => [subtaskIndex, keyed?.keyGroups.start]),
      [
        [0, 0],
        [1, 64],
      ],
    )
    const numbers = manifest.operators.find(({ uid }) => uid === 'numbers')
    assert.deepEqual(numbers?.knownSplits, ['0', '1'])
    assert.equal(manifest.checkpointId, 3)
  })

  test('one whose parts are all pages shares no file, even if nobody asked for that', () => {
    const acks = (format: string): PendingCheckpoint => {
      const checkpoint = pending()
      checkpoint.acknowledge(ack(0, 0, 'numbers'))
      checkpoint.acknowledge(ack(1, 0, 'counts', { ...snapshotOf(0, 64), format }))
      checkpoint.acknowledge(ack(1, 1, 'counts', { ...snapshotOf(64, 128), format }))
      return checkpoint
    }
    assert.equal(acks('pages').manifest(about).isSelfContained, true)
    assert.equal(acks('leveldb').manifest(about).isSelfContained, false)
    assert.equal(
      acks('leveldb').manifest({ ...about, isSelfContained: true }).isSelfContained,
      true,
    )
  })
})
