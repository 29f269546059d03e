import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { CellState } from '../../../src/contract/state-backend.ts'
import { keyGroupsOf } from '../../../src/core/key-group.ts'
import { decodeItems, encodeItems } from '../../../src/checkpoint/manifest.ts'
import { planRestore } from '../../../src/checkpoint/restore-plan.ts'
import type { RestoreTarget } from '../../../src/checkpoint/restore-plan.ts'
import { manifestOf, operatorOf, snapshotOf, subtaskOf } from '../../support/manifests.ts'

const strict = { maxParallelism: 128, allowNonRestoredState: false }
const lenient = { maxParallelism: 128, allowNonRestoredState: true }
const sum: CellState = { name: 'sum', kind: 'value', layout: 'key' }

function target(uid: string, about: Partial<RestoreTarget> = {}): RestoreTarget {
  return {
    uid,
    type: 'process',
    parallelism: 1,
    states: [],
    isSource: false,
    itemsRestore: 'split',
    ...about,
  }
}

describe('what is found for a job', () => {
  test('an operator finds its state by its uid, wherever it stands in the job now', () => {
    const manifest = manifestOf({
      operators: [operatorOf('a', { states: [sum] }), operatorOf('b', { states: [sum] })],
    })

    const plan = planRestore(
      manifest,
      [target('b', { states: [sum] }), target('a', { states: [sum] })],
      strict,
    )

    assert.deepEqual([...plan.operators.keys()], ['b', 'a'])
    assert.deepEqual(plan.mapping, [
      'b (process): restored, state sum',
      'a (process): restored, state sum',
    ])
  })

  test('a new operator and a new state start empty', () => {
    const manifest = manifestOf({ operators: [operatorOf('a')] })

    const plan = planRestore(manifest, [target('a', { states: [sum] }), target('new')], strict)

    assert.equal(plan.operators.has('new'), false)
    assert.deepEqual(plan.mapping, [
      'a (process): restored',
      'a.sum: new, starts empty',
      'new (process): new, starts empty',
    ])
  })

  test('state that nobody claims is a mistake, with the mapping in the message', () => {
    const manifest = manifestOf({ operators: [operatorOf('gone', { states: [sum] })] })

    assert.throws(() => planRestore(manifest, [target('other')], strict), {
      code: 'SAVEPOINT_MISMATCH',
      message:
        /no operator of the job has the uid 'gone'.*allowNonRestoredState[^]*The mapping was:[^]*other \(process\): new/,
    })
  })

  test('unless its loss is allowed', () => {
    const manifest = manifestOf({ operators: [operatorOf('gone', { states: [sum] })] })

    const plan = planRestore(manifest, [target('other')], lenient)

    assert.ok(plan.mapping.includes('gone (process): in no operator of the job, dropped'))
  })

  test('a state that is no longer declared is unclaimed too', () => {
    const manifest = manifestOf({ operators: [operatorOf('a', { states: [sum] })] })

    assert.throws(() => planRestore(manifest, [target('a')], strict), {
      code: 'SAVEPOINT_MISMATCH',
      message: /state 'sum' \(value\) of operator 'a' is not declared in the job/,
    })
  })

  test('an operator without state may go', () => {
    const manifest = manifestOf({ operators: [operatorOf('map')] })
    assert.deepEqual(planRestore(manifest, [], strict).mapping, [])
  })

  test('a state of another kind is refused, also where loss is allowed', () => {
    const manifest = manifestOf({ operators: [operatorOf('a', { states: [sum] })] })
    const list: CellState = { name: 'sum', kind: 'list', layout: 'page' }

    assert.throws(() => planRestore(manifest, [target('a', { states: [list] })], lenient), {
      code: 'SAVEPOINT_MISMATCH',
      message:
        /state 'sum' of operator 'a' is a value there and a list in the job; give it a new name/,
    })
  })

  test('another number of key groups is refused with the number to set', () => {
    assert.throws(() => planRestore(manifestOf({ maxParallelism: 64 }), [], strict), {
      code: 'MAX_PARALLELISM_CHANGED',
      message: /divided into 64 key groups.*set maxParallelism to 64/,
    })
  })

  test('keys divided by another hash are refused', () => {
    assert.throws(() => planRestore(manifestOf({ keyHash: 'other-9' }), [], strict), {
      code: 'SAVEPOINT_MISMATCH',
      message: /divided by the hash 'other-9'/,
    })
  })
})

describe('what each subtask gets', () => {
  test('the watermark is the lowest of the former subtasks', () => {
    const manifest = manifestOf({
      operators: [
        operatorOf('a', {
          subtasks: [subtaskOf(0, { watermarkMs: 50 }), subtaskOf(1, { watermarkMs: 20 })],
        }),
      ],
    })

    const plan = planRestore(manifest, [target('a', { parallelism: 3 })], strict)

    assert.deepEqual(
      plan.operators.get('a')?.map(({ watermarkMs }) => watermarkMs),
      [20, 20, 20],
    )
  })

  test('whatever the parallelism was and is, every key group has one former and one new home', () => {
    const scale = fc.integer({ min: 1, max: 20 })
    fc.assert(
      fc.property(scale, scale, (before, after) => {
        const subtasks = Array.from({ length: before }, (_, index) => {
          const own = keyGroupsOf(index, { parallelism: before, maxParallelism: 128 })
          return subtaskOf(index, { keyed: snapshotOf(own.start, own.end) })
        })
        const manifest = manifestOf({ operators: [operatorOf('a', { subtasks })] })

        const plan = planRestore(manifest, [target('a', { parallelism: after })], strict)

        const covered: number[] = []
        plan.operators.get('a')?.forEach(({ keyed }, index) => {
          const own = keyGroupsOf(index, { parallelism: after, maxParallelism: 128 })
          for (const { keyGroups } of keyed) {
            const from = Math.max(own.start, keyGroups.start)
            for (let group = from; group < Math.min(own.end, keyGroups.end); group++) {
              covered.push(group)
            }
          }
        })
        assert.deepEqual(
          covered.toSorted((a, b) => a - b),
          Array.from({ length: 128 }, (_, group) => group),
        )
      }),
    )
  })

  const dealt = (itemsRestore: RestoreTarget['itemsRestore'], parallelism: number): unknown[] => {
    const subtasks = [
      subtaskOf(1, { items: encodeItems(['c']) }), // the order in the manifest is not that of the subtasks
      subtaskOf(0, { items: encodeItems(['a', 'b']) }),
    ]
    const plan = planRestore(
      manifestOf({ operators: [operatorOf('a', { subtasks })] }),
      [target('a', { parallelism, itemsRestore })],
      strict,
    )
    return (plan.operators.get('a') ?? []).map(({ items }) => decodeItems(items))
  }

  test('items are dealt out one by one', () => {
    assert.deepEqual(dealt('split', 2), [['a', 'c'], ['b']])
    assert.deepEqual(dealt('split', 4), [['a'], ['b'], ['c'], []])
  })

  test('or those of a former subtask in order to one', () => {
    assert.deepEqual(dealt('by-subtask', 3), [['a', 'b'], ['c'], []])
    assert.deepEqual(dealt('by-subtask', 1), [['a', 'b', 'c']])
  })

  test('or all to every one', () => {
    assert.deepEqual(dealt('union', 2), [
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ])
  })

  test('a source knows which splits were dealt out', () => {
    const manifest = manifestOf({ operators: [operatorOf('in', { knownSplits: ['x', 'y'] })] })

    const plan = planRestore(manifest, [target('in', { isSource: true })], strict)

    assert.deepEqual(plan.knownSplits.get('in'), ['x', 'y'])
  })
})
