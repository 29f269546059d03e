import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { OutputGate } from '../../../src/channel/output-gate.ts'
import type { OperatorInstance } from '../../../src/contract/operator.ts'
import type { TimerIndex } from '../../../src/contract/state-backend.ts'
import { RecordTime } from '../../../src/core/time.ts'
import type { GraphNode } from '../../../src/plan/job-graph.ts'
import { OperatorNode } from '../../../src/runtime/operator-node.ts'

/** Timers without keys. */
class TestTimers implements TimerIndex {
  timestampMs = NaN
  readonly #times: number[]

  constructor(...times: readonly number[]) {
    this.#times = times.toSorted((a, b) => a - b)
  }

  add(timestampMs: number): void {
    this.#times.push(timestampMs)
    this.#times.sort((a, b) => a - b)
  }

  peek(): number {
    return this.#times[0] ?? Infinity
  }

  poll(upToMs: number): boolean {
    if (this.peek() > upToMs) return false
    this.timestampMs = this.#times.shift() as number
    return true
  }
}

/** A chain of two operators that write down what they are asked. */
class TestChain {
  readonly log: string[] = []
  readonly gate = new OutputGate()
  readonly time = new RecordTime()
  readonly first: OperatorNode
  readonly second: OperatorNode

  constructor(first: OperatorInstance, options: { readonly holdsWatermarks?: boolean } = {}) {
    this.first = this.#node(0, options.holdsWatermarks ?? false)
    this.second = this.#node(1, false)
    this.first.instance = first
    this.first.children.push(this.second)
    this.second.instance = {
      process: () => {},
      onWatermark: (watermarkMs) => this.log.push(`second: watermark ${watermarkMs}`) > 0,
      onEnd: () => this.log.push('second: end') > 0,
    }
  }

  #node(index: number, holdsWatermarks: boolean): OperatorNode {
    return new OperatorNode({
      node: { kind: 'operator' } as GraphNode,
      index,
      site: { index: 0 },
      gate: this.gate,
      time: this.time,
      holdsWatermarks,
      leaveKeys: () => {},
      watermarkMs: -Infinity,
    })
  }
}

describe('a watermark', () => {
  test('fires the timers up to it in order, then is told to the operator, then handed on', () => {
    const log: string[] = []
    const chain = new TestChain({
      process: () => {},
      onTimer: ({ timestampMs }) => log.push(`timer ${timestampMs} at ${chain.time.timestampMs}`),
      onWatermark: (watermarkMs) => log.push(`watermark ${watermarkMs}`) > 0,
    })
    chain.first.eventTimers = new TestTimers(30, 10, 20, 99)

    chain.first.advance(50)

    assert.deepEqual(log, ['timer 10 at 10', 'timer 20 at 20', 'timer 30 at 30', 'watermark 50'])
    assert.deepEqual(chain.log, ['second: watermark 50'])
  })

  test('that comes while a retraction is at hand fires timers and goes on as if none were', () => {
    const seen: unknown[] = []
    const chain = new TestChain({
      process: () => {},
      onTimer: () => seen.push([chain.time.isRetraction, chain.time.update]),
      onWatermark: () => seen.push([chain.time.isRetraction, chain.time.update]) > 0,
    })
    chain.first.eventTimers = new TestTimers(10, 60)
    chain.time.isRetraction = true
    chain.time.update = 7

    chain.first.advance(50)
    chain.first.watermarkMs = 60
    chain.first.fireDue()

    const insert = [false, 0]
    assert.deepEqual(seen, [insert, insert, insert])
    assert.deepEqual([chain.time.isRetraction, chain.time.update], [true, 7])
  })

  test('that is not above the former is passed over', () => {
    const chain = new TestChain({ process: () => {} })
    chain.first.advance(50)
    chain.first.advance(50)
    chain.first.advance(40)
    assert.deepEqual(chain.log, ['second: watermark 50'])
  })

  test('waits with the timers that are left when the gate closes between two of them', () => {
    const fired: number[] = []
    const chain = new TestChain({
      process: () => {},
      onTimer: ({ timestampMs }) => {
        fired.push(timestampMs)
        if (timestampMs === 20) chain.gate.block()
      },
    })
    chain.first.eventTimers = new TestTimers(10, 20, 30)

    chain.first.advance(50)
    assert.deepEqual(fired, [10, 20])
    assert.deepEqual(chain.log, [])
    assert.equal(chain.first.run(), false)

    chain.gate.unblock()
    assert.equal(chain.first.run(), true)
    assert.deepEqual(fired, [10, 20, 30])
    assert.deepEqual(chain.log, ['second: watermark 50'])
  })

  test('is handed on only when an operator that stopped in it has gone on to its end', () => {
    let left = 3
    const chain = new TestChain({
      process: () => {},
      onWatermark: () => left === 0,
      resume: () => --left <= 0,
    })

    chain.first.advance(50)
    assert.deepEqual(chain.log, [])
    let turns = 0
    while (!chain.first.run()) turns += 1

    assert.ok(turns > 0)
    assert.deepEqual(chain.log, ['second: watermark 50'])
  })

  test('is left to an operator that holds watermarks', () => {
    const chain = new TestChain({ process: () => {} }, { holdsWatermarks: true })
    chain.first.advance(50)
    assert.deepEqual(chain.log, [])

    chain.first.forward(45)
    assert.deepEqual(chain.log, ['second: watermark 45'])
  })
})

describe('timers', () => {
  test('of event time that are set for a time that has passed fire without a new watermark', () => {
    const fired: number[] = []
    const chain = new TestChain({
      process: () => {},
      onTimer: ({ timestampMs }) => fired.push(timestampMs),
    })
    const timers = new TestTimers()
    chain.first.eventTimers = timers
    chain.first.advance(50)

    timers.add(40)
    timers.add(60)
    chain.first.fireDue()

    assert.deepEqual(fired, [40])
  })

  test('of processing time fire when it has come, at the time of the watermark', () => {
    const fired: string[] = []
    const chain = new TestChain({
      process: () => {},
      onTimer: ({ clock, timestampMs }) =>
        fired.push(`${clock} ${timestampMs} at ${chain.time.timestampMs}`),
    })
    chain.first.processingTimers = new TestTimers(1000, 2000)
    assert.equal(chain.first.nextWakeMs(), 1000)

    chain.first.wake(999)
    assert.deepEqual(fired, [])
    chain.first.wake(1500)
    assert.deepEqual(fired, ['processing 1000 at 1000'])
    chain.first.advance(7)
    chain.first.wake(2000)
    assert.deepEqual(fired.slice(1), ['processing 2000 at 7'])
  })
})

describe('the end', () => {
  test('comes after the watermark before it, and reaches the next operator only when this one is done', () => {
    let isDone = true
    const chain = new TestChain({
      process: () => {},
      onEnd: () => (isDone = false),
      resume: () => isDone,
    })
    chain.first.advance(Infinity)
    chain.first.end()
    assert.deepEqual(chain.log, ['second: watermark Infinity'])
    assert.equal(chain.first.isEnded, false)

    isDone = true
    assert.equal(chain.first.run(), true)
    assert.deepEqual(chain.log, ['second: watermark Infinity', 'second: end'])
    assert.equal(chain.second.isEnded, true)
  })
})

test('after a restore a node tells its exchanges how far they had been, and no more', () => {
  const told: number[] = []
  const nodeWith = (watermarkMs: number, holdsWatermarks = false): OperatorNode => {
    const node = new OperatorNode({
      node: { kind: 'operator' } as GraphNode,
      index: 0,
      site: { index: 0 },
      gate: new OutputGate(),
      time: new RecordTime(),
      holdsWatermarks,
      leaveKeys: () => {},
      watermarkMs,
    })
    node.outputs.push({ watermark: (toldMs: number) => told.push(toldMs) } as never)
    return node
  }

  nodeWith(-Infinity).announce()
  nodeWith(Infinity).announce()
  // what it had not handed on yet is told by itself
  nodeWith(70, true).announce()
  assert.deepEqual(told, [])

  const node = nodeWith(70)
  node.announce()
  node.advance(70)
  node.advance(80)
  assert.deepEqual(told, [70, 80])
  assert.equal(node.outputWatermarkMs, 80)
})
