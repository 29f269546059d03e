/** Triggers by themselves: their states and answers, without an operator. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  afterCount,
  afterDelay,
  afterRecord,
  afterWatermark,
  every,
  inSequence,
  isEngineError,
  repeated,
  whenAll,
  whenAny,
} from 'millrace'
import type { Duration, Trigger } from 'millrace'
import { copyValue } from '../../../../src/core/value.ts'

/** A window from 0 to 100 with its trigger. It fires as soon as the trigger is ready, as the operator does. */
class Pane {
  nowMs = 0
  watermarkMs = -Infinity
  percentileMs = -Infinity
  window = { startMs: 0, endMs: 100 }
  fired = 0
  state: unknown
  readonly trigger: Trigger<number>

  constructor(trigger: Trigger<number>) {
    this.trigger = trigger
    this.state = trigger.create()
  }

  /** Records; answers how often it has fired for them. */
  add(...values: readonly number[]): number {
    const before = this.fired
    for (const value of values) {
      this.state = this.trigger.onRecord(this.state, value, this)
      this.#look()
    }
    return this.fired - before
  }

  /** Both clocks at once; the answer is whether it has fired. */
  at(times: { readonly nowMs?: number; readonly watermarkMs?: number }): boolean {
    const before = this.fired
    this.nowMs = times.nowMs ?? this.nowMs
    this.watermarkMs = times.watermarkMs ?? this.watermarkMs
    this.#look()
    return this.fired > before
  }

  /** Takes in windows of the same key. */
  merge(...others: readonly Pane[]): void {
    this.state = this.trigger.merge([this.state, ...others.map(({ state }) => state)], this)
    this.#look()
  }

  get isFinished(): boolean {
    return this.trigger.isFinished(this.state)
  }

  get next(): { readonly watermarkMs: number; readonly wakeMs: number } {
    return {
      watermarkMs: this.trigger.nextWatermarkMs(this.state, this),
      wakeMs: this.trigger.nextWakeMs(this.state, this),
    }
  }

  #look(): void {
    // as after a restore: what is not in the value model would be lost
    this.state = copyValue(this.state)
    if (!this.trigger.isReady(this.state, this)) return
    this.fired += 1
    this.state = this.trigger.onFire(this.state, this)
  }
}

const never = { watermarkMs: Infinity, wakeMs: Infinity }

describe('afterCount', () => {
  test('fires once, and asks for no time', () => {
    const pane = new Pane(afterCount(3))
    assert.equal(pane.add(1, 2), 0)
    assert.deepEqual(pane.next, never)
    assert.equal(pane.add(3, 4, 5, 6, 7, 8), 1)
    assert.ok(pane.isFinished)
  })

  test('counts the records of all windows that become one', () => {
    const [one, other] = [new Pane(afterCount(3)), new Pane(afterCount(3))]
    one.add(1)
    other.add(2)
    one.merge(other)
    assert.equal(one.fired, 0)
    assert.equal(one.add(3), 1)
  })

  test('that has finished in one window only goes on in the one they become', () => {
    const [one, other] = [new Pane(afterCount(2)), new Pane(afterCount(2))]
    one.add(1, 2)
    other.add(3)
    assert.ok(one.isFinished)
    one.merge(other)
    assert.ok(!one.isFinished)
    assert.equal(one.add(4), 1)
    const [left, right] = [new Pane(afterCount(1)), new Pane(afterCount(1))]
    left.add(1)
    right.add(1)
    left.merge(right)
    assert.ok(left.isFinished)
  })

  test('takes whole numbers from 1', () => {
    for (const count of [0, -1, 1.5, NaN]) {
      assert.throws(() => afterCount(count), isInvalid)
    }
  })
})

describe('afterDelay', () => {
  test('fires when the clock is beyond the first record and the delay, once', () => {
    const pane = new Pane(afterDelay('10ms'))
    assert.deepEqual(pane.next, never)
    pane.nowMs = 5
    pane.add(1)
    pane.nowMs = 9
    pane.add(2)
    assert.deepEqual(pane.next, { ...never, wakeMs: 16 })
    assert.ok(!pane.at({ nowMs: 15 }))
    assert.ok(pane.at({ nowMs: 16 }))
    assert.ok(pane.isFinished)
    assert.deepEqual(pane.next, never)
  })

  test('repeated, begins anew with the first record after a firing', () => {
    const pane = new Pane(repeated(afterDelay('10ms')))
    pane.add(1)
    assert.ok(pane.at({ nowMs: 11 }))
    assert.ok(!pane.at({ nowMs: 100 }))
    pane.add(2)
    assert.deepEqual(pane.next, { ...never, wakeMs: 111 })
  })

  test('of windows that become one is the earliest', () => {
    const [one, other] = [new Pane(afterDelay('10ms')), new Pane(afterDelay('10ms'))]
    one.nowMs = 7
    one.add(1)
    other.nowMs = 3
    other.add(1)
    one.merge(other)
    assert.deepEqual(one.next, { ...never, wakeMs: 14 })
  })
})

describe('every', () => {
  test('fires at each time of the period that has something new, counted from the first record', () => {
    const pane = new Pane(every('10ms'))
    pane.nowMs = 3
    pane.add(1)
    assert.deepEqual(pane.next, { ...never, wakeMs: 14 })
    assert.ok(pane.at({ nowMs: 14 }))
    assert.deepEqual(pane.next, never)
    pane.nowMs = 30
    pane.add(2)
    assert.deepEqual(pane.next, { ...never, wakeMs: 34 })
    assert.ok(pane.at({ nowMs: 34 }))
    assert.ok(!pane.isFinished)
  })

  test('fires once for all times of the period that have passed unseen', () => {
    const pane = new Pane(every('10ms'))
    pane.add(1)
    assert.ok(pane.at({ nowMs: 1005 }))
    assert.ok(!pane.at({ nowMs: 1006 }))
    pane.add(2)
    assert.deepEqual(pane.next, { ...never, wakeMs: 1011 })
  })

  test('has the record that comes at the very time', () => {
    const pane = new Pane(every('10ms', { aligned: true }))
    pane.nowMs = 20
    assert.equal(pane.add(1), 0)
    assert.ok(!pane.at({ nowMs: 20 }))
    assert.ok(pane.at({ nowMs: 21 }))
  })

  test('aligned, is at multiples of the period also before 1970', () => {
    for (const [nowMs, dueMs] of [
      [-25, -20],
      [-20, -20],
      [-3, 0],
      [0, 0],
      [1, 10],
    ] as const) {
      const pane = new Pane(every('10ms', { aligned: true }))
      pane.nowMs = nowMs
      pane.add(1)
      assert.deepEqual(pane.next, { ...never, wakeMs: dueMs + 1 })
    }
  })

  test('in windows that become one, waits for the earliest that has something new', () => {
    const [one, other] = [new Pane(every('10ms')), new Pane(every('10ms'))]
    one.add(1)
    assert.ok(one.at({ nowMs: 11 }))
    other.nowMs = 12
    other.add(1)
    one.nowMs = 12
    one.merge(other)
    assert.deepEqual(one.next, { ...never, wakeMs: 23 })
  })
})

describe('afterRecord', () => {
  test('fires with the record that says so, once', () => {
    const pane = new Pane(afterRecord((value: number) => value > 9))
    assert.equal(pane.add(1, 2), 0)
    assert.equal(pane.add(10, 11), 1)
    assert.ok(pane.isFinished)
    assert.equal(new Pane(repeated(afterRecord((value: number) => value > 9))).add(10, 1, 11), 2)
  })
})

describe('afterWatermark', () => {
  test('fires when the watermark passes the end, once', () => {
    const pane = new Pane(afterWatermark())
    pane.add(1)
    assert.deepEqual(pane.next, { ...never, watermarkMs: 99 })
    assert.ok(!pane.at({ watermarkMs: 98 }))
    assert.ok(pane.at({ watermarkMs: 99 }))
    assert.ok(pane.isFinished)
    assert.equal(pane.add(2), 0)
  })

  test('waits for its delay', () => {
    const pane = new Pane(afterWatermark({ delay: '5ms' }))
    pane.add(1)
    assert.ok(!pane.at({ watermarkMs: 103 }))
    assert.ok(pane.at({ watermarkMs: 104 }))
    assert.throws(() => afterWatermark({ delay: '-5ms' }), isInvalid)
  })

  test('fires early again and again, at the end, and late again and again', () => {
    const pane = new Pane(afterWatermark({ early: afterCount(2), late: afterCount(3) }))
    assert.equal(pane.add(1, 2, 3, 4, 5), 2)
    assert.ok(pane.at({ watermarkMs: 99 }))
    assert.equal(pane.add(1, 2), 0)
    assert.equal(pane.add(3, 4, 5, 6), 2)
    assert.ok(!pane.isFinished)
  })

  test('has one firing where the early one and the end come together', () => {
    const pane = new Pane(afterWatermark({ early: afterDelay('10ms') }))
    pane.add(1)
    assert.ok(pane.at({ nowMs: 50, watermarkMs: 99 }))
    assert.equal(pane.fired, 1)
    assert.ok(pane.isFinished)
  })

  test('begins with the late trigger where even the first record is late', () => {
    const pane = new Pane(afterWatermark({ early: afterCount(1), late: afterCount(2) }))
    pane.watermarkMs = 99
    assert.equal(pane.add(1), 0)
    assert.equal(pane.add(2), 1)
  })

  test('without a late trigger fires at once for a first record that is late', () => {
    const pane = new Pane(afterWatermark())
    pane.watermarkMs = 99
    assert.equal(pane.add(1), 1)
  })

  test('waits for the watermark again when the window has grown', () => {
    const pane = new Pane(afterWatermark({ late: afterCount(1) }))
    pane.add(1)
    pane.at({ watermarkMs: 99 })
    pane.window = { startMs: 0, endMs: 150 }
    pane.merge()
    assert.equal(pane.add(2), 0)
    assert.deepEqual(pane.next, { ...never, watermarkMs: 149 })
    assert.ok(pane.at({ watermarkMs: 149 }))
  })

  test('fires for a window whose end has passed already as soon as one joins that had not fired', () => {
    const [fired, open] = [new Pane(afterWatermark()), new Pane(afterWatermark())]
    fired.add(1)
    fired.at({ watermarkMs: 99 })
    open.add(2)
    fired.merge(open)
    assert.equal(fired.fired, 2)
  })
})

describe('afterWatermark with a percentile', () => {
  test('fires by the watermark of that part of the records, once', () => {
    const pane = new Pane(afterWatermark({ percentile: 0.9, late: afterCount(2) }))
    pane.add(1)
    pane.percentileMs = 99
    assert.ok(pane.at({ watermarkMs: 50 }))
    assert.equal(pane.add(1), 0)
    assert.equal(pane.add(1), 1)
  })

  test('is the same in all parts of a composite', () => {
    const ninety = afterWatermark({ percentile: 0.9 })
    assert.equal(inSequence(ninety, afterCount(1), ninety).percentile, 0.9)
    assert.equal(afterWatermark({ early: repeated(ninety) }).percentile, 0.9)
    assert.throws(() => whenAny(ninety, afterWatermark({ percentile: 0.8 })), isInvalid)
    for (const percentile of [0, 1, 90, NaN]) {
      assert.throws(() => afterWatermark({ percentile }), isInvalid)
    }
  })
})

describe('inSequence', () => {
  test('goes from one to the next and ends with the last', () => {
    const pane = new Pane(inSequence(afterCount(1), afterCount(2), afterCount(3)))
    assert.equal(pane.add(1), 1)
    assert.equal(pane.add(1), 0)
    assert.equal(pane.add(1), 1)
    assert.equal(pane.add(1, 1), 0)
    assert.equal(pane.add(1), 1)
    assert.ok(pane.isFinished)
    assert.equal(pane.add(1, 1, 1), 0)
  })

  test('counts for the next only what comes after the firing', () => {
    const pane = new Pane(
      inSequence(
        afterRecord((value: number) => value === 0),
        afterCount(3),
      ),
    )
    assert.equal(pane.add(1, 1, 1, 1, 0), 1)
    assert.equal(pane.add(1, 1), 0)
    assert.equal(pane.add(1), 1)
  })

  test('goes back to the step of the window that is least far, and loses no record', () => {
    const sequence = inSequence(afterCount(2), afterCount(3))
    const [far, near] = [new Pane(sequence), new Pane(sequence)]
    far.add(1, 1, 1)
    near.add(1)
    far.merge(near)
    assert.equal(far.fired, 2)
    assert.equal(far.add(1, 1), 0)
    assert.equal(far.add(1), 1)
    assert.ok(far.isFinished)
  })

  test('never comes behind one that never finishes', () => {
    const pane = new Pane(inSequence(repeated(afterCount(2)), afterCount(1)))
    assert.equal(pane.add(1, 1, 1, 1, 1), 2)
  })
})

describe('whenAll and whenAny', () => {
  test('whenAll fires once all are ready, in whatever order', () => {
    const pane = new Pane(whenAll(afterCount(2), afterDelay('10ms')))
    assert.equal(pane.add(1, 1, 1), 0)
    assert.ok(pane.at({ nowMs: 11 }))
    assert.ok(pane.isFinished)

    const other = new Pane(whenAll(afterCount(2), afterDelay('10ms')))
    other.add(1)
    assert.ok(!other.at({ nowMs: 11 }))
    assert.deepEqual(other.next, never)
    assert.equal(other.add(1), 1)
  })

  test('whenAny fires as soon as one is ready, and only once', () => {
    const pane = new Pane(whenAny(afterCount(3), afterDelay('10ms')))
    pane.add(1)
    assert.deepEqual(pane.next, { ...never, wakeMs: 11 })
    assert.ok(pane.at({ nowMs: 11 }))
    assert.ok(pane.isFinished)
    assert.equal(pane.add(1, 1, 1, 1), 0)
    assert.equal(new Pane(repeated(whenAny(afterCount(3), afterDelay('10ms')))).add(1, 1, 1, 1), 1)
  })

  test('merge their parts', () => {
    const both = whenAll(
      afterCount(3),
      afterRecord((value: number) => value === 0),
    )
    const [one, other] = [new Pane(both), new Pane(both)]
    one.add(0)
    other.add(1, 1)
    one.merge(other)
    assert.equal(one.fired, 1)
  })

  test('need a trigger', () => {
    for (const make of [whenAll, whenAny, inSequence]) assert.throws(() => make(), isInvalid)
  })
})

describe('repeated', () => {
  test('ends with the firing of until, which counts over all panes', () => {
    const pane = new Pane(repeated(afterCount(2), { until: afterCount(5) }))
    assert.equal(pane.add(1, 1, 1, 1), 2)
    assert.equal(pane.add(1), 1)
    assert.ok(pane.isFinished)
    assert.equal(pane.add(1, 1, 1), 0)
  })

  test('ends by the watermark, and fires then', () => {
    const pane = new Pane(repeated(afterCount(10), { until: afterWatermark() }))
    pane.add(1)
    assert.deepEqual(pane.next, { ...never, watermarkMs: 99 })
    assert.ok(pane.at({ watermarkMs: 99 }))
    assert.ok(pane.isFinished)
  })
})

test('a trigger tells in plans what it is, and in savepoints what its state is made of', () => {
  const minute: Duration = '1min'
  const trigger = afterWatermark({
    early: every(minute),
    late: repeated(afterCount(2)),
    delay: '1s',
  })
  assert.equal(
    trigger.name,
    'afterWatermark(early: every(1min), late: repeated(afterCount(2)), delay: 1s)',
  )
  const other = afterWatermark({ early: every('2min'), late: repeated(afterCount(3)) })
  assert.equal(trigger.shape, other.shape)
  assert.notEqual(trigger.shape, afterWatermark({ early: every(minute) }).shape)
})

function isInvalid(error: unknown): boolean {
  return isEngineError(error) && error.code === 'OPTION_INVALID'
}
