import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { StreamElement } from '../../../src/channel/channel.ts'
import { LocalChannel } from '../../../src/channel/local-channel.ts'
import type { RecordBatch } from '../../../src/core/record-batch.ts'
import { InputGate } from '../../../src/runtime/input-gate.ts'
import type { PolledBatch } from '../../../src/runtime/input-gate.ts'

/** A gate over channels that the test fills; writes down what comes out, in order. */
class TestGate {
  readonly seen: string[] = []
  readonly gate: InputGate
  readonly #channels: LocalChannel[]
  readonly #polled: PolledBatch = { batch: undefined as never, channelIndex: 0, inputIndex: 0 }

  constructor(
    inputs: readonly number[],
    options: { exactlyOnce?: boolean; watermarkMs?: number } = {},
  ) {
    this.#channels = inputs.map(() => new LocalChannel())
    this.gate = new InputGate(
      this.#channels.map((reader, channel) => ({ reader, inputIndex: inputs[channel] ?? 0 })),
      {
        onWatermark: (watermarkMs) => this.seen.push(`watermark ${watermarkMs}`),
        onSnapshot: ({ checkpointId }) => this.seen.push(`snapshot ${checkpointId}`),
        onAbandon: (checkpointId) => this.seen.push(`abandon ${checkpointId}`),
        onInputEnd: (input) => this.seen.push(`end of input ${input}`),
        onIdle: (isIdle) => this.seen.push(isIdle ? 'idle' : 'active'),
      },
      {
        exactlyOnce: options.exactlyOnce ?? true,
        watermarkMs: options.watermarkMs ?? -Infinity,
      },
    )
  }

  records(channel: number, values: readonly string[], watermarkMs = NaN): void {
    const batch = this.#at(channel).takeBatch()
    values.forEach((value, row) => {
      batch.values[row] = value
    })
    batch.count = values.length
    batch.watermarkMs = watermarkMs
    this.#offer(channel, batch)
  }

  watermark(channel: number, watermarkMs: number): void {
    this.records(channel, [], watermarkMs)
  }

  barrier(channel: number, checkpointId: number): void {
    this.#offer(channel, { kind: 'barrier', checkpointId, checkpointKind: 'checkpoint' })
  }

  idle(channel: number, isIdle: boolean): void {
    this.#offer(channel, { kind: 'idle', isIdle })
  }

  end(channel: number): void {
    this.#offer(channel, { kind: 'end' })
  }

  /** Takes everything that can be taken now; answers what was seen. */
  drain(): string[] {
    for (;;) {
      const polled = this.gate.poll(this.#polled)
      if (polled === 'empty') return this.seen.splice(0)
      if (polled === 'control') continue
      const { batch, channelIndex, inputIndex } = this.#polled
      this.seen.push(
        ...batch.values.slice(0, batch.count).map((value) => `${inputIndex}:${String(value)}`),
      )
      this.gate.finishBatch(channelIndex, batch)
    }
  }

  #at(channel: number): LocalChannel {
    return this.#channels[channel] as LocalChannel
  }

  #offer(channel: number, element: StreamElement | RecordBatch): void {
    assert.ok(this.#at(channel).offer(element))
  }
}

describe('channels of a subtask', () => {
  test('take turns, so that a full one does not keep others waiting', () => {
    const gate = new TestGate([0, 1])
    for (const name of ['a', 'b', 'c']) gate.records(0, [name])
    gate.records(1, ['x'])

    assert.deepEqual(gate.drain(), ['0:a', '1:x', '0:b', '0:c'])
  })
})

describe('the watermark over channels', () => {
  test('is their minimum, and counts after the records it came with', () => {
    const gate = new TestGate([0, 0])
    gate.records(0, ['a'], 100)
    assert.deepEqual(gate.drain(), ['0:a'])

    gate.records(1, ['b'], 70)
    assert.deepEqual(gate.drain(), ['0:b', 'watermark 70'])

    gate.watermark(1, 200)
    assert.deepEqual(gate.drain(), ['watermark 100'])
  })

  test('never goes back, also not behind what it was at the restored checkpoint', () => {
    const gate = new TestGate([0], { watermarkMs: 50 })
    gate.watermark(0, 40)
    gate.watermark(0, 50)
    assert.deepEqual(gate.drain(), [])
    gate.watermark(0, 60)
    gate.watermark(0, 55)
    assert.deepEqual(gate.drain(), ['watermark 60'])
  })

  test('is not held by an idle channel, which holds it again once it speaks', () => {
    const gate = new TestGate([0, 0])
    gate.watermark(0, 100)
    gate.idle(1, true)
    assert.deepEqual(gate.drain(), ['watermark 100'])

    gate.records(1, ['late'], 20)
    assert.deepEqual(gate.drain(), ['0:late'])
    gate.watermark(0, 300)
    assert.deepEqual(gate.drain(), [])
    gate.watermark(1, 250)
    assert.deepEqual(gate.drain(), ['watermark 250'])
  })

  test('stays where it is when all channels are idle, and that is told on', () => {
    const gate = new TestGate([0, 0])
    gate.watermark(0, 100)
    gate.watermark(1, 100)
    gate.idle(0, true)
    gate.idle(1, true)
    assert.deepEqual(gate.drain(), ['watermark 100', 'idle'])

    gate.records(0, ['a'])
    assert.deepEqual(gate.drain(), ['active', '0:a'])
  })

  test('is not held by a channel that has ended, and is the end of time when all have', () => {
    const gate = new TestGate([0, 0])
    gate.watermark(0, 100)
    gate.end(1)
    assert.deepEqual(gate.drain(), ['watermark 100'])

    gate.end(0)
    assert.deepEqual(gate.drain(), ['watermark Infinity', 'end of input 0'])
    assert.equal(gate.gate.hasAllEnded, true)
  })

  test('does not end time for an idle channel, which may wake up again', () => {
    const gate = new TestGate([0, 0])
    gate.idle(0, true)
    assert.deepEqual(gate.drain(), [])
    gate.end(1)
    assert.deepEqual(gate.drain(), ['idle'], 'the only one that was not idle has ended')
    assert.equal(gate.gate.hasAllEnded, false)

    gate.end(0)
    assert.deepEqual(gate.drain(), ['watermark Infinity', 'end of input 0'])
  })
})

describe('inputs', () => {
  test('end one by one, each when all of its channels have', () => {
    const gate = new TestGate([0, 0, 1])
    gate.end(0)
    gate.end(2)
    assert.deepEqual(gate.drain(), ['end of input 1'])
    gate.end(1)
    assert.deepEqual(gate.drain(), ['watermark Infinity', 'end of input 0'])
  })
})

describe('barriers', () => {
  test('hold their channel back until they have come on all: nothing from behind gets before the snapshot', () => {
    const gate = new TestGate([0, 0])
    gate.records(0, ['before'])
    gate.barrier(0, 1)
    gate.records(0, ['behind'])
    gate.records(1, ['before, too'])
    assert.deepEqual(gate.drain(), ['0:before', '0:before, too'])

    gate.barrier(1, 1)
    gate.records(1, ['behind, too'])
    const [first, ...others] = gate.drain()
    assert.equal(first, 'snapshot 1')
    assert.deepEqual(others.toSorted(), ['0:behind', '0:behind, too'])
  })

  test('hold nothing back where each record need only count at least once', () => {
    const gate = new TestGate([0, 0], { exactlyOnce: false })
    gate.barrier(0, 1)
    gate.records(0, ['behind'])
    assert.deepEqual(gate.drain(), ['0:behind'])
    gate.barrier(1, 1)
    assert.deepEqual(gate.drain(), ['snapshot 1'])
  })

  test('of a checkpoint that is given up let their channels go', () => {
    const gate = new TestGate([0, 0])
    gate.barrier(0, 1)
    gate.records(0, ['behind'])
    assert.deepEqual(gate.drain(), [])

    gate.gate.abort(1)
    assert.deepEqual(gate.drain(), ['abandon 1', '0:behind'])
  })

  test('are not waited for from a channel that has ended', () => {
    const gate = new TestGate([0, 0])
    gate.end(1)
    gate.barrier(0, 1)
    assert.deepEqual(gate.drain(), ['snapshot 1'])
  })

  test('come by the word of the coordinator where no channel is left', () => {
    const gate = new TestGate([])
    gate.gate.trigger({ checkpointId: 4, kind: 'checkpoint' })
    assert.deepEqual(gate.drain(), ['snapshot 4'])
  })
})
