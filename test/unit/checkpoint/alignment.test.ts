import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Alignment } from '../../../src/checkpoint/alignment.ts'
import type { AlignmentStep, CheckpointMark } from '../../../src/checkpoint/alignment.ts'

const mark = (checkpointId: number): CheckpointMark => ({ checkpointId, kind: 'checkpoint' })
const exactly = { exactlyOnce: true }

describe('alignment of a subtask with several channels', () => {
  test('each channel is blocked by its barrier, and the last one brings the snapshot', () => {
    const alignment = new Alignment(3, exactly)

    assert.deepEqual(alignment.onBarrier(1, mark(1)), [{ kind: 'block', channelIndex: 1 }])
    assert.deepEqual(alignment.onBarrier(0, mark(1)), [{ kind: 'block', channelIndex: 0 }])
    assert.equal(alignment.isAligning, true)
    assert.deepEqual(alignment.onBarrier(2, mark(1)), [
      { kind: 'block', channelIndex: 2 },
      { kind: 'snapshot', checkpoint: mark(1) },
    ])
    assert.equal(alignment.isAligning, false)
  })

  test('at least once blocks nothing, and takes the snapshot at the last barrier', () => {
    const alignment = new Alignment(2, { exactlyOnce: false })

    assert.deepEqual(alignment.onBarrier(0, mark(1)), [])
    assert.deepEqual(alignment.onBarrier(1, mark(1)), [{ kind: 'snapshot', checkpoint: mark(1) }])
  })

  test('a later barrier gives the checkpoint up that was being aligned', () => {
    const alignment = new Alignment(2, exactly)
    alignment.onBarrier(0, mark(1))

    assert.deepEqual(alignment.onBarrier(1, mark(2)), [
      { kind: 'abandon', checkpointId: 1 },
      { kind: 'block', channelIndex: 1 },
    ])
    assert.deepEqual(alignment.onBarrier(0, mark(2)).at(-1), {
      kind: 'snapshot',
      checkpoint: mark(2),
    })
  })

  test('a barrier of a checkpoint that was given up is passed over', () => {
    const alignment = new Alignment(2, exactly)
    alignment.onBarrier(0, mark(1))

    assert.deepEqual(alignment.onAbort(1), [{ kind: 'abandon', checkpointId: 1 }])
    assert.deepEqual(alignment.onBarrier(1, mark(1)), [])
    assert.equal(alignment.isAligning, false)
  })

  test('giving up a checkpoint that is not being aligned changes nothing', () => {
    const alignment = new Alignment(2, exactly)
    alignment.onBarrier(0, mark(5))

    assert.deepEqual(alignment.onAbort(4), [])
    assert.equal(alignment.isAligning, true)
  })

  test('a channel that has ended counts as having every later barrier', () => {
    const alignment = new Alignment(2, exactly)
    assert.deepEqual(alignment.onEnd(0), [])

    assert.deepEqual(alignment.onBarrier(1, mark(1)).at(-1), {
      kind: 'snapshot',
      checkpoint: mark(1),
    })
  })

  test('a channel that ends while others wait for its barrier completes the alignment', () => {
    const alignment = new Alignment(2, exactly)
    alignment.onBarrier(0, mark(1))

    assert.deepEqual(alignment.onEnd(1), [{ kind: 'snapshot', checkpoint: mark(1) }])
  })

  test("while a channel is open the coordinator's word alone takes no snapshot", () => {
    const alignment = new Alignment(1, exactly)
    assert.deepEqual(alignment.onTrigger(mark(1)), [])

    assert.deepEqual(alignment.onEnd(0), [{ kind: 'snapshot', checkpoint: mark(1) }])
  })
})

describe('alignment of a subtask to which no barrier comes', () => {
  test("a source goes by the coordinator's word", () => {
    const alignment = new Alignment(0, exactly)
    assert.deepEqual(alignment.onTrigger(mark(3)), [{ kind: 'snapshot', checkpoint: mark(3) }])
  })

  test('a word that comes twice, or late, is passed over', () => {
    const alignment = new Alignment(0, exactly)
    alignment.onTrigger(mark(3))

    assert.deepEqual(alignment.onTrigger(mark(3)), [])
    assert.deepEqual(alignment.onTrigger(mark(2)), [])
  })

  test('a checkpoint that was given up before its word came is not taken', () => {
    const alignment = new Alignment(0, exactly)
    alignment.onAbort(4)

    assert.deepEqual(alignment.onTrigger(mark(4)), [])
  })
})

test('whatever comes when: ids of snapshots grow, and only channels with the barrier are blocked', () => {
  const channelCount = 3
  const action = fc.oneof(
    fc.record({ kind: fc.constant('barrier' as const), channel: fc.nat(channelCount - 1) }),
    fc.record({ kind: fc.constant('end' as const), channel: fc.nat(channelCount - 1) }),
    fc.record({ kind: fc.constant('abort' as const), id: fc.integer({ min: 1, max: 8 }) }),
    fc.record({ kind: fc.constant('trigger' as const), id: fc.integer({ min: 1, max: 8 }) }),
  )
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const alignment = new Alignment(channelCount, exactly)
      const sent = new Array<number>(channelCount).fill(0)
      const hasEnded = new Set<number>()
      const blocked = new Set<number>()
      let highest = 0
      const apply = (steps: readonly AlignmentStep[]): void => {
        for (const step of steps) {
          if (step.kind === 'block') blocked.add(step.channelIndex)
          else blocked.clear()
          if (step.kind === 'snapshot') {
            assert.ok(step.checkpoint.checkpointId > highest)
            highest = step.checkpoint.checkpointId
          }
        }
      }
      for (const next of actions) {
        if (next.kind === 'abort') apply(alignment.onAbort(next.id))
        else if (next.kind === 'trigger') apply(alignment.onTrigger(mark(next.id)))
        else if (hasEnded.has(next.channel) || blocked.has(next.channel)) continue
        else if (next.kind === 'end') {
          hasEnded.add(next.channel)
          apply(alignment.onEnd(next.channel))
        } else {
          const id = (sent[next.channel] as number) + 1
          sent[next.channel] = id
          apply(alignment.onBarrier(next.channel, mark(id)))
        }
        // what is blocked waits for others, so not all can be
        assert.ok(blocked.size + hasEnded.size < channelCount || blocked.size === 0)
        assert.equal(blocked.size > 0, alignment.isAligning)
      }
    }),
  )
})
