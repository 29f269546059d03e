/** The kind of a record travels beside its value: through loops, operators that pass records on, queues and channels. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { flatMap } from '../../../operators/flat-map.ts'
import { ExchangeOutput } from '../../../src/channel/exchange-output.ts'
import type { Division } from '../../../src/channel/exchange-output.ts'
import { LocalChannel } from '../../../src/channel/local-channel.ts'
import { OutputGate } from '../../../src/channel/output-gate.ts'
import type { OperatorContext, OperatorInstance } from '../../../src/contract/operator.ts'
import { RecordBatch } from '../../../src/core/record-batch.ts'
import { RecordTime } from '../../../src/core/time.ts'
import { plainLoop } from '../../../src/runtime/chain-code.ts'

interface Seen {
  readonly value: unknown
  readonly isRetraction: boolean
  readonly update: number
}

/** Whoever takes records and writes down what came beside them. */
class Witness {
  readonly time = new RecordTime()
  readonly gate = new OutputGate()
  readonly seen: Seen[] = []

  readonly emit = (value: unknown): void => {
    const { isRetraction, update } = this.time
    this.seen.push({ value, isRetraction, update })
  }

  kinds(): string[] {
    return this.seen.map(({ value, isRetraction }) => `${isRetraction ? '-' : '+'}${String(value)}`)
  }
}

const kinds = fc.array(fc.boolean(), { maxLength: 30 })

function batchOf(isRetraction: readonly boolean[]): RecordBatch {
  const batch = new RecordBatch()
  isRetraction.forEach((isBack, row) => {
    batch.values[row] = row
    if (isBack) batch.markRetraction(row)
  })
  batch.count = isRetraction.length
  return batch
}

function expected(isRetraction: readonly boolean[]): string[] {
  return isRetraction.map((isBack, row) => `${isBack ? '-' : '+'}${row}`)
}

function flatMapOf(witness: Witness, f: (value: unknown) => Iterable<unknown>): OperatorInstance {
  const { time, gate, emit } = witness
  return flatMap(f).open({
    time,
    gate,
    output: { emit },
  } as Partial<OperatorContext> as never) as never
}

describe('the kind of a record', () => {
  test('is set for each record of a batch, and is insert behind it', () => {
    fc.assert(
      fc.property(kinds, (isRetraction) => {
        const witness = new Witness()
        const loop = plainLoop(witness.emit, {
          time: witness.time,
          gate: witness.gate,
          title: 'kinds',
          site: { index: 0 },
        })

        assert.equal(loop(batchOf(isRetraction), 0), isRetraction.length)

        assert.deepEqual(witness.kinds(), expected(isRetraction))
        assert.equal(witness.time.isRetraction, false)
      }),
    )
  })

  test('is insert where a loop stops because the outputs are full', () => {
    const witness = new Witness()
    const consume = (value: unknown): void => {
      witness.emit(value)
      witness.gate.block()
    }
    const loop = plainLoop(consume, {
      time: witness.time,
      gate: witness.gate,
      title: 'stopped',
      site: { index: 0 },
    })

    assert.equal(loop(batchOf([true, true]), 0), 1)

    assert.equal(witness.time.isRetraction, false)
  })

  for (const division of [
    { kind: 'hash', select: (value) => value },
    { kind: 'broadcast' },
    { kind: 'rebalance' },
  ] satisfies Division[]) {
    test(`passes an exchange that divides records by ${division.kind}`, () => {
      fc.assert(
        fc.property(kinds, (isRetraction) => {
          const { time, gate } = new Witness()
          const channels = [new LocalChannel(), new LocalChannel()]
          const output = new ExchangeOutput({
            operatorUid: 'tested',
            division,
            writers: channels,
            isLocal: [true, true],
            scale: { parallelism: 2, maxParallelism: 128 },
            subtaskIndex: 0,
            copies: false,
            time,
            gate,
            overflowBytesMax: 1 << 20,
          })
          // batches that come back must not bring kinds along
          for (const round of [isRetraction, isRetraction.map((isBack) => !isBack)]) {
            round.forEach((isBack, row) => {
              time.isRetraction = isBack
              output.emit(row)
            })
            time.isRetraction = false
            output.flush()
            for (const channel of channels) {
              const element = channel.poll()
              if (element === undefined) continue
              assert.ok(element.kind === 'records')
              let retractionCount = 0
              for (let i = 0; i < element.count; i++) {
                const isBack: boolean = round[element.values[i] as number] === true
                assert.equal(element.retractions[i], isBack ? 1 : 0)
                if (isBack) retractionCount += 1
              }
              assert.equal(element.retractionCount, retractionCount)
              channel.recycle(element)
            }
          }
        }),
      )
    })
  }
})

describe('a flatMap', () => {
  test('takes back what it made of a row, also where it goes on later', () => {
    const witness = new Witness()
    const instance = flatMapOf(witness, (value) =>
      [`${String(value)}a`, `${String(value)}b`].values(),
    )
    const { time, gate } = witness

    gate.block()
    time.isRetraction = true
    instance.process(1, 0)
    time.isRetraction = false
    instance.process(2, 0)
    assert.deepEqual(witness.kinds(), [])
    gate.unblock()

    assert.equal(instance.resume?.(), true)
    assert.deepEqual(witness.kinds(), ['-1a', '-1b', '+2a', '+2b'])
    assert.deepEqual([time.isRetraction, time.update], [false, 0])
  })

  test('makes no halves of updates', () => {
    const witness = new Witness()
    const instance = flatMapOf(witness, (value) => [value])

    witness.time.emitUpdate({ emit: (value) => instance.process(value, 0) }, 'old', 1, 'new')

    assert.deepEqual(witness.seen, [
      { value: 'old', isRetraction: true, update: 0 },
      { value: 'new', isRetraction: false, update: 0 },
    ])
  })
})

describe('an update', () => {
  test('is sent as two halves of one number, the retraction first and with the time of its row', () => {
    const { time, emit, seen } = new Witness()
    const times: number[] = []
    const output = {
      emit(value: unknown) {
        times.push(time.timestampMs)
        emit(value)
      },
    }
    time.timestampMs = 9

    time.emitUpdate(output, 'a', 5, 'b')
    time.emitUpdate(output, 'b', 9, 'c')

    assert.deepEqual(
      seen.map(({ value, isRetraction }) => [value, isRetraction]),
      [
        ['a', true],
        ['b', false],
        ['b', true],
        ['c', false],
      ],
    )
    assert.deepEqual(times, [5, 9, 9, 9])
    const [first, second, third, fourth] = seen.map(({ update }) => update)
    assert.equal(first, second)
    assert.equal(third, fourth)
    assert.notEqual(first, third)
    assert.deepEqual([time.timestampMs, time.isRetraction, time.update], [9, false, 0])
  })

  test('leaves the kind of the record at hand as it was', () => {
    const { time, emit, seen } = new Witness()
    time.isRetraction = true
    time.timestampMs = 3

    time.emitUpdate({ emit }, 'a', 1, 'b')
    time.emitRetraction({ emit }, 'c', 2)
    time.emitInsert({ emit }, 'd')

    assert.deepEqual(
      seen.map(({ isRetraction }) => isRetraction),
      [true, false, true, false],
    )
    assert.deepEqual([time.timestampMs, time.isRetraction, time.update], [3, true, 0])
  })
})
