import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decideLostOutput } from '../../../src/checkpoint/lost-output.ts'
import type { OnPartialCommit, SinkOutcome } from '../../../src/checkpoint/lost-output.ts'

type Short = readonly [subtaskIndex: number, checkpointId: number, state: SinkOutcome['state']]

function decide(
  outcomes: readonly Short[],
  options: { readonly formerId?: number | undefined; readonly policy?: OnPartialCommit } = {},
): string {
  const decision = decideLostOutput({
    checkpointId: 7,
    formerId: 'formerId' in options ? options.formerId : 6,
    onPartialCommit: options.policy ?? 'fail',
    outcomes: outcomes.map(([subtaskIndex, checkpointId, state]) => ({
      operatorUid: 'out',
      subtaskIndex,
      checkpointId,
      state,
      detail: `orders-${subtaskIndex} offsets 3 to 5`,
    })),
  })
  if (decision.kind === 'stop') return decision.error.code
  return decision.kind === 'restore' ? `restore without ${decision.lost.length}` : decision.kind
}

test('a checkpoint whose output is open or committed is restored', () => {
  assert.equal(decide([]), 'restore without 0')
  assert.equal(
    decide([
      [0, 7, 'open'],
      [1, 7, 'committed'],
    ]),
    'restore without 0',
  )
})

test('where output is lost and none was committed since the checkpoint before, the job goes back to it', () => {
  assert.equal(decide([[0, 7, 'lost']]), 'go-back')
  assert.equal(
    decide([
      [0, 7, 'lost'],
      [1, 7, 'open'],
    ]),
    'go-back',
  )
  assert.equal(
    decide([
      [0, 7, 'lost'],
      [1, 6, 'committed'],
    ]),
    'go-back',
    'the checkpoint before covers what was committed',
  )
})

test('where a part was committed, the user decides', () => {
  const outcomes: Short[] = [
    [0, 7, 'lost'],
    [1, 7, 'committed'],
  ]

  assert.equal(decide(outcomes), 'OUTPUT_PARTLY_COMMITTED')
  assert.equal(decide(outcomes, { policy: 'accept-loss' }), 'restore without 1')
  assert.equal(decide(outcomes, { policy: 'accept-duplicates' }), 'go-back')
})

test('where nobody knows, the user decides', () => {
  const outcomes: Short[] = [[0, 7, 'unknown']]

  assert.equal(decide(outcomes), 'OUTPUT_UNKNOWN')
  assert.equal(decide(outcomes, { policy: 'accept-loss' }), 'restore without 1')
  assert.equal(decide(outcomes, { policy: 'accept-duplicates' }), 'go-back')
})

test('without a checkpoint to go back to, lost output stops the job', () => {
  const outcomes: Short[] = [[0, 7, 'lost']]

  assert.equal(decide(outcomes, { formerId: undefined }), 'OUTPUT_LOST')
  assert.equal(
    decide(outcomes, { formerId: undefined, policy: 'accept-duplicates' }),
    'OUTPUT_LOST',
  )
})

test('the report names operator, subtask, checkpoint and place', () => {
  const decision = decideLostOutput({
    checkpointId: 7,
    formerId: 6,
    onPartialCommit: 'fail',
    outcomes: [
      {
        operatorUid: 'out',
        subtaskIndex: 3,
        checkpointId: 7,
        state: 'unknown',
        detail: 'orders-1 offsets 3 to 5',
      },
    ],
  })

  assert.equal(decision.kind, 'stop')
  assert.match(
    decision.kind === 'stop' ? decision.error.message : '',
    /out#3, checkpoint 7: unknown; orders-1 offsets 3 to 5/,
  )
})
