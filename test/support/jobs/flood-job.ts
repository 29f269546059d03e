/** Jobs that hand on far more than their channels hold, through several exchanges in a row. They count what arrives. */
import { generate, job, type } from 'millrace'
import type { Job, Sink } from 'millrace'

export interface Flood {
  readonly kind: 'flat-map' | 'timers'
  /** Records of the source. */
  readonly count: number
  /** With `flat-map`: how many each becomes. With `timers` each sets one timer, of a key of its own, all at the same time. */
  readonly width: number
  /** Two numbers of 8 bytes: how many rows came to the sink, and their sum. */
  readonly arrived: SharedArrayBuffer
}

interface Drop {
  readonly number: number
  readonly text: string
}

const floodJob: Job<Flood> = job('flood', { params: type<Flood>() }, (env) => {
  const { kind, count, width, arrived } = env.params
  // so slowly that barriers come between the records of a flatMap
  const recordsPerSecond = kind === 'flat-map' ? 1 : Infinity
  const numbers = env.from(
    'numbers',
    generate({ count, recordsPerSecond, record: (index) => index }),
  )
  const drops =
    kind === 'flat-map'
      ? numbers.rebalance().flatMap(function* (first) {
          for (let number = first * width; number < (first + 1) * width; number++) {
            yield { number, text: `a text that makes a hundred bytes of ${number}`.padEnd(100) }
          }
        })
      : numbers
          .keyBy((number) => number)
          .process('alarms', { emits: type<Drop>() }, ({ timers, emit, key }) => ({
            onRecord: () => timers.setEventTime(8.64e15),
            onTimer: () => emit({ number: key(), text: 'due' }),
          }))
  drops
    .keyBy(({ number }) => number % 1000)
    .process('first', { emits: type<Drop>() }, ({ emit }) => ({ onRecord: (drop) => emit(drop) }))
    .keyBy(({ number }) => number % 777)
    .process('second', { emits: type<Drop>() }, ({ emit }) => ({ onRecord: (drop) => emit(drop) }))
    .rebalance()
    .map(({ number }) => number)
    .to('counter', counter(arrived))
})
export default floodJob

function counter(arrived: SharedArrayBuffer): Sink<number> {
  const totals = new BigInt64Array(arrived)
  return {
    type: 'counter',
    open: () => ({
      write(number) {
        Atomics.add(totals, 0, 1n)
        Atomics.add(totals, 1, BigInt(number as number))
      },
    }),
  }
}
