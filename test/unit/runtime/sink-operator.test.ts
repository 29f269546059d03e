import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { OperatorContext, OperatorInstance } from '../../../src/contract/operator.ts'
import type { Committable, SinkWriter } from '../../../src/contract/sink.ts'
import { Deferred } from '../../../src/core/deferred.ts'
import { silentLogger } from '../../../src/core/log.ts'
import { RecordTime } from '../../../src/core/time.ts'
import { openSink } from '../../../src/runtime/sink-operator.ts'

/** A sink whose commits the test ends, in the order they are asked for. */
class TestSink implements SinkWriter {
  readonly asked: { readonly committable: Committable; readonly done: Deferred<void> }[] = []
  #open: unknown[] = []

  write(value: unknown): void {
    this.#open.push(value)
  }

  prepare(): { committable?: unknown } {
    if (this.#open.length === 0) return {}
    const committable = this.#open
    this.#open = []
    return { committable }
  }

  commit(committable: Committable): Promise<void> {
    const done = new Deferred<void>()
    this.asked.push({ committable, done })
    return done.promise
  }

  get epochs(): number[] {
    return this.asked.map(({ committable }) => committable.checkpointId)
  }
}

interface Opened {
  readonly sink: TestSink
  readonly operator: Promise<OperatorInstance>
  readonly failures: unknown[]
}

function open(restored: readonly Committable[] = []): Opened {
  const sink = new TestSink()
  const failures: unknown[] = []
  const context = {
    operatorUid: 'out',
    restoredItems: restored,
    metrics: { counter: () => ({ add() {} }) },
    mailbox: { submit: (action: () => void) => action() },
    logger: silentLogger,
    time: new RecordTime(),
  } as unknown as OperatorContext
  const operator = openSink(context, {
    sink: { type: 'test', open: () => sink },
    lineage: 'line',
    attempt: '1',
    isCheckpointed: true,
    mayRetract: false,
    fail: (error) => failures.push(error),
    committed: () => {},
  })
  return { sink, operator, failures }
}

/** Lets everything settle that can. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
}

function epoch(operator: OperatorInstance, checkpointId: number, ...values: unknown[]): number[] {
  for (const value of values) operator.process(value, 0)
  const { items = [] } = operator.snapshot?.({ checkpointId, kind: 'checkpoint' }) ?? {}
  return (items as Committable[]).map((item) => item.checkpointId)
}

describe('the epochs of a sink', () => {
  test('are committed only once a checkpoint that covers them is complete', async () => {
    const { sink, operator } = open()
    const instance = await operator
    epoch(instance, 1, 'a')
    await settle()
    assert.deepEqual(sink.epochs, [])

    instance.onCheckpointComplete?.(1)
    assert.deepEqual(sink.epochs, [1])
    assert.equal(instance.isCommitted?.(), false)
    sink.asked[0]?.done.resolve()
    await settle()
    assert.equal(instance.isCommitted?.(), true)
  })

  test('stand in every snapshot until their commit is confirmed', async () => {
    const { sink, operator } = open()
    const instance = await operator
    assert.deepEqual(epoch(instance, 1, 'a'), [1])
    instance.onCheckpointComplete?.(1)
    assert.deepEqual(epoch(instance, 2, 'b'), [1, 2])

    sink.asked[0]?.done.resolve()
    await settle()
    assert.deepEqual(epoch(instance, 3, 'c'), [2, 3])
  })

  test('of a checkpoint that was given up are committed with the next', async () => {
    const { sink, operator } = open()
    const instance = await operator
    epoch(instance, 1, 'a')
    epoch(instance, 2, 'b')

    instance.onCheckpointComplete?.(2)
    assert.deepEqual(sink.epochs, [1])
    sink.asked[0]?.done.resolve()
    await settle()
    assert.deepEqual(sink.epochs, [1, 2])
  })

  test('are committed in order, the next only after the one before is confirmed', async () => {
    const { sink, operator } = open()
    const instance = await operator
    epoch(instance, 1, 'a')
    instance.onCheckpointComplete?.(1)
    epoch(instance, 2, 'b')
    instance.onCheckpointComplete?.(2)
    await settle()

    assert.deepEqual(sink.epochs, [1])
  })

  test('in which nothing was written commit nothing', async () => {
    const { sink, operator } = open()
    const instance = await operator
    assert.deepEqual(epoch(instance, 1), [])
    instance.onCheckpointComplete?.(1)
    assert.deepEqual(sink.epochs, [])
    assert.equal(instance.isCommitted?.(), true)
  })

  test('that a checkpoint left are committed before the sink is open for records', async () => {
    const { sink, operator } = open([
      { checkpointId: 4, data: ['x'] },
      { checkpointId: 5, data: ['y'] },
    ])
    let isOpen = false
    void operator.then(() => {
      isOpen = true
    })
    await settle()
    assert.deepEqual(sink.epochs, [4])
    sink.asked[0]?.done.resolve()
    await settle()
    assert.deepEqual(sink.epochs, [4, 5])
    assert.equal(isOpen, false)
    sink.asked[1]?.done.resolve()
    await settle()
    assert.equal(isOpen, true)
  })

  test('that cannot be committed fail the subtask with the checkpoint and the reason, and stay', async () => {
    const { sink, operator, failures } = open()
    const instance = await operator
    epoch(instance, 1, 'a')
    instance.onCheckpointComplete?.(1)
    sink.asked[0]?.done.reject(new Error('disk full'))
    await settle()

    const [failure] = failures as { code: string; message: string }[]
    assert.equal(failure?.code, 'COMMIT_FAILED')
    assert.match(failure?.message ?? '', /output of checkpoint 1 could not be committed: disk full/)
    assert.deepEqual(epoch(instance, 2, 'b'), [1, 2])
  })
})
