/** A job with every operator, whose rows do not depend on how it is run. Rows go to files, a directory for each sink. */
import {
  combine,
  count,
  generate,
  job,
  json,
  listState,
  mapState,
  max,
  outOfOrder,
  session,
  sliding,
  sum,
  tumbling,
  type,
  valueState,
} from 'millrace'
import type { DataStream, Job } from 'millrace'
import { fileSink } from 'millrace/files'

export interface Params {
  readonly directory: string
  readonly records: number
}

interface Event {
  readonly id: number
  readonly user: string
  readonly big: bigint
  readonly isEven: boolean
  readonly atMs: number
  readonly note: string | null
}

export const DELAY_MS = 200

/** Event `id`; time goes up by 10 ms with each, give or take. */
export function eventAt(id: number): Event {
  const jitterMs = (id * 7919) % DELAY_MS
  return {
    id,
    user: `u${(id * 31) % 17}`,
    big: BigInt(id % 5) * 10n ** 20n,
    isEven: id % 2 === 0,
    atMs: id * 10 - jitterMs - 5000,
    note: id % 3 === 0 ? null : `note ${id}`,
  }
}

const allOperators: Job<Params> = job('all-operators', { params: type<Params>() }, (env) => {
  const { directory, records } = env.params
  const write = (name: string, rows: DataStream<unknown>): void =>
    rows.to(
      `${name}-out`,
      fileSink<unknown>({ directory: `${directory}/${name}`, format: json<unknown>() }),
    )

  const events = env.from('events', generate({ count: records, record: eventAt }), {
    timestampMs: ({ atMs }) => atMs,
    watermarks: outOfOrder({ delay: `${DELAY_MS}ms` }),
  })
  write(
    'stateless',
    events
      .filter(({ id }) => id % 4 !== 0)
      .flatMap(({ id, note }) => (note === null ? [] : [{ id, note }, { id }]))
      .map((row) => ({ ...row, twice: row.id * 2 })),
  )
  write(
    'nothing',
    events.map(({ note }) => note).filter((note) => note === null),
  )
  write(
    'divided',
    events
      .rebalance()
      .map(({ id }) => id)
      .partition((id, subtasks) => id % subtasks)
      .map((id) => id, { parallelism: 2, chain: 'alone' })
      .union(events.map(({ id }) => -id)),
  )
  write(
    'by-tuple',
    events
      .keyBy(({ user, isEven, big }) => [user, isEven, big])
      .count('count-by-tuple')
      .map(({ key, value }) => ({ key: key.map(String), value })),
  )
  write(
    'by-bigint',
    events
      .keyBy(({ big }) => big)
      .sum('sum-by-bigint', ({ id }) => id % 3)
      .windowAll(tumbling({ size: '1s' }))
      .aggregate(
        'last-sums',
        combine({ n: count(), most: max(({ key }) => Number(key / 10n ** 20n)) }),
      ),
  )
  write(
    'sliding',
    events
      .keyBy(({ user }) => user)
      .window(sliding({ size: '700ms', every: '300ms', offset: '50ms' }))
      .aggregate('per-user', combine({ n: count(), ids: sum(({ id }) => id) })),
  )
  const sessions = events
    .filter(({ id }) => id % 100 < 40)
    .keyBy(({ user }) => user)
    .window(session({ gap: '200ms' }))
    .reduce('latest', (a, b) => (b.id > a.id ? b : a))
  write(
    'sessions',
    sessions.map(({ key, window, value }) => ({ key, window, id: value.id })),
  )
  write(
    'late',
    sessions.side.late.map(({ id }) => id),
  )
  const paired = events
    .keyBy(({ id }) => id % 50)
    .process(
      'paired',
      {
        emits: type<string>(),
        side: { alone: type<number>() },
        state: {
          seen: mapState<number, number>(),
          order: listState<number>(),
          timers: valueState({ default: 0 }),
        },
        inputs: { evens: events.filter(({ isEven }) => isEven).keyBy(({ id }) => id % 50) },
      },
      ({ state, emit, side, timers }) => {
        const see = (id: number, other: number): void => {
          const seen = (state.seen.get(id) ?? 0) + 1
          state.seen.set(id, seen)
          if (seen === other) emit(`${id} paired`)
        }
        return {
          onRecord({ id, atMs, isEven }) {
            see(id, 2)
            state.order.add(id)
            if (!isEven) side.alone(id)
            timers.setEventTime(Math.ceil(atMs / 1000) * 1000)
          },
          inputs: { evens: ({ id }) => see(id, 2) },
          onTimer({ timestampMs }) {
            state.timers.set(state.timers.get() + 1)
            emit(`timer ${timestampMs}`)
          },
        }
      },
    )
  write('paired', paired)
  write('alone', paired.side.alone)
  write(
    'broadcast',
    events
      .keyBy(({ user }) => user)
      .process(
        'rules',
        {
          emits: type<number>(),
          inputs: { rules: events.filter(({ id }) => id % 10 === 0).broadcast() },
          broadcastState: { ids: mapState<number, boolean>(), n: valueState({ default: 0 }) },
        },
        ({ emit, broadcastState }) => ({
          onRecord() {},
          inputs: {
            rules({ id }, { broadcastState: own }) {
              own.ids.set(id, true)
              own.n.set(own.n.get() + 1)
            },
          },
          onEnd() {
            const ids = [...broadcastState.ids.entries()].length
            emit(ids + broadcastState.n.get())
          },
        }),
      ),
  )
})

export default allOperators
