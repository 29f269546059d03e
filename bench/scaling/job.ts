/** Jobs of one shape, of which one thing grows. */
import { appendFileSync } from 'node:fs'
import { count, generate, job, monotonous, sliding, type } from 'millrace'
import type { DataStream, Duration, Env, Job, Sink } from 'millrace'
import { auctionEvent, random } from '../../examples/auction/events.ts'

export const AXES = ['keys', 'text-keys', 'slides', 'chain', 'subtasks'] as const

/** What grows: keys, windows a record belongs to, maps in a chain, subtasks. */
export type Axis = (typeof AXES)[number]

export interface ScalingParams {
  readonly axis: Axis
  readonly size: number
  /** Records before those that are measured. */
  readonly warmUp: number
  readonly records: number
  /** Gets a line with the processor time, microseconds, and the time when the warm-up is over. */
  readonly mark: string
}

/** Of the window that slides. */
const WINDOW_MS = 10_000
/** Event time: so many records a millisecond. */
const RECORDS_PER_MS = 10
/** Keys where they do not grow. */
const KEYS = 1000

const scaling: Job<ScalingParams> = job('scaling', { params: type<ScalingParams>() }, (env) => {
  streamOf(env).to('nowhere', nowhere())
})
export default scaling

function streamOf(env: Env<ScalingParams>): DataStream<unknown> {
  const { axis, size } = env.params
  switch (axis) {
    case 'keys':
      return from(env, (index) => ({ key: random(index, 12) % size, index }))
        .keyBy(({ key }) => key)
        .count('counts')
    case 'text-keys':
      return from(env, (index) => ({ key: `key-${random(index, 12) % size}`, index }))
        .keyBy(({ key }) => key)
        .count('counts')
    case 'slides':
      return from(env, (index) => ({ key: random(index, 12) % KEYS, index }))
        .keyBy(({ key }) => key)
        .window(sliding({ size: `${WINDOW_MS}ms`, every: `${WINDOW_MS / size}ms` as Duration }))
        .aggregate('counts', count())
    case 'chain': {
      let stream: DataStream<number> = from(env, (index) => index)
      for (let n = 0; n < size; n++) stream = stream.map((value) => value + 1)
      return stream
    }
    case 'subtasks':
      return from(env, (index) => ({
        key: random(index, 12) % 100_000,
        event: auctionEvent(index),
      }))
        .keyBy(({ key }) => key)
        .count('counts')
  }
}

function from<T>(env: Env<ScalingParams>, record: (index: number) => T): DataStream<T> {
  const { warmUp, records, mark } = env.params
  let isMarked = false
  return env.from(
    'records',
    generate({
      count: warmUp + records,
      record(index) {
        if (index >= warmUp && !isMarked) {
          isMarked = true
          const { user, system } = process.cpuUsage()
          appendFileSync(mark, `${user + system} ${Date.now()}\n`)
        }
        return record(index)
      },
    }),
    {
      ...(env.params.axis === 'slides'
        ? {
            timestampMs: (value: T) =>
              Math.floor((value as { readonly index: number }).index / RECORDS_PER_MS),
          }
        : {}),
      watermarks: monotonous(),
    },
  )
}

function nowhere(): Sink<unknown> {
  return { type: 'nowhere', open: () => ({ write() {} }) }
}
