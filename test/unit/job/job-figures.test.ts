import assert from 'node:assert/strict'
import { test } from 'node:test'
import { arraySink, fromArray, job } from 'millrace'
import { JobFigures } from '../../../src/job/job-figures.ts'
import { planExecution } from '../../../src/plan/execution-plan.ts'
import type { NamedFigures } from '../../../src/runtime/slot-protocol.ts'

const definition = job('two', (env) =>
  env.from('in', fromArray([1])).to('out', arraySink<number>([])),
)
const plan = planExecution(definition.build({}), { parallelism: 1, maxParallelism: 8 })

function told(attempt: string, read: number): NamedFigures {
  return {
    attempt,
    taskId: 0,
    subtaskIndex: 0,
    figures: {
      recordsRead: read,
      recordsIn: 0,
      recordsOut: 2 * read,
      watermarkMs: read,
      stateCells: read,
      watermarks: [{ operator: 'in', inputMs: read, outputMs: read - 1 }],
      values: { 'out.recordsWritten': read, 'count.lateRecords': 1 },
      gauges: { 'count.open': read },
    },
  }
}

test('what attempts that are over counted stays in the totals, also when their last word comes late', () => {
  const figures = new JobFigures(plan)

  figures.onFigures([told('a', 3), told('a', 5)])
  figures.onFigures([told('b', 10)])
  figures.onFigures([told('a', 6)])
  figures.onFigures([told('c', 100)])

  const { recordsRead, recordsWritten, lateRecords } = figures.totals()
  assert.deepEqual([recordsRead, recordsWritten, lateRecords], [116, 116, 3])
  const [subtask] = figures.subtasks()
  assert.equal(subtask?.recordsIn, 116)
  assert.equal(subtask?.recordsOut, 232)
  assert.equal(subtask?.watermarkMs, 100)
  assert.equal(subtask?.stateCells, 100)
  // what is not counted is as the present attempt has it
  assert.deepEqual(subtask?.watermarks, [{ operator: 'in', inputMs: 100, outputMs: 99 }])
  assert.deepEqual(subtask?.gauges, { 'count.open': 100 })
  assert.equal(figures.tasks()[0]?.recordsIn, 100)
})

test('a job that restarts for ever keeps as much of its subtasks as one that never did', () => {
  const figures = new JobFigures(plan)

  for (let attempt = 0; attempt < 1000; attempt++) figures.onFigures([told(`a${attempt}`, 1)])

  assert.equal(figures.totals().recordsRead, 1000)
  assert.equal(figures.subtasks().length, 1)
})
