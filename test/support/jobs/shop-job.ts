/**
 * A job with every kind of keyed state whose rows do not depend on the order in which subtasks work: running totals by process,
 * windows, timers. Variants of it have operators more, fewer, or in another order.
 */
import {
  fromArray,
  generate,
  job,
  listState,
  mapState,
  reducingState,
  tumbling,
  type,
  valueState,
} from 'millrace'
import type { DataStream, Job, Sink } from 'millrace'

/** Which form of the job. */
export type ShopVariant = 'plain' | 'more' | 'fewer' | 'reordered'

export interface Shop {
  readonly count: number
  readonly recordsPerSecond?: number
  readonly variant?: ShopVariant
  /** By split of two: records from there on are passed over. */
  readonly limits?: readonly number[]
}

interface Sale {
  readonly index: number
  readonly shop: number
  readonly amount: number
}

// records of one shop all come from one split, at parallelism 1, 2 and 3
const SHOPS = 24
const WINDOW_MS = 100

type Branch = (sales: DataStream<Sale>) => DataStream<string>

const branches: Readonly<Record<'totals' | 'windows' | 'receipts', Branch>> = {
  totals: (sales) =>
    sales
      .keyBy(({ shop }) => shop)
      .process(
        'totals',
        {
          emits: type<string>(),
          state: {
            sum: reducingState<number>((a, b) => a + b),
            recent: listState<number>(),
            byDigit: mapState<number, number>(),
          },
        },
        ({ state, emit, key }) => ({
          onRecord({ index, amount }) {
            state.sum.add(amount)
            state.recent.add(index)
            const recent = [...state.recent.values()]
            if (recent.length === 6) state.recent.clear()
            const digit = index % 7
            state.byDigit.set(digit, (state.byDigit.get(digit) ?? 0) + 1)
            emit(`total ${key()} ${state.sum.get()} ${recent.join()} ${state.byDigit.get(digit)}`)
          },
        }),
      ),
  windows: (sales) =>
    sales
      .keyBy(({ shop }) => `shop ${shop % 5}`)
      .window(tumbling({ size: `${WINDOW_MS}ms` }))
      .sum('windows', ({ amount }) => amount)
      .map(({ key, window, value }) => `window ${key} ${window.endMs} ${value}`),
  receipts: (sales) =>
    sales
      .keyBy(({ shop }) => [shop % 3, 'receipt'] as const)
      .process(
        'receipts',
        { emits: type<string>(), state: { open: valueState({ default: 0 }) } },
        ({ timers, emit, key }) => ({
          onRecord: ({ index }) => timers.setEventTime(index + 250),
          onTimer: ({ timestampMs }) => emit(`receipt ${key().join()} ${timestampMs - 250}`),
        }),
      ),
}

/** The job; its rows go to `sink`. */
export function shopJob(shop: Shop, sink: Sink<string>): Job {
  const { count, recordsPerSecond = Infinity, variant = 'plain', limits = [] } = shop
  return job('shop', (env) => {
    const sales = env
      .from(
        'sales',
        generate({
          count,
          recordsPerSecond,
          record: (index): Sale => ({ index, shop: index % SHOPS, amount: (index * 31) % 97 }),
        }),
        { timestampMs: ({ index }) => index },
      )
      .filter(({ index }) => index < (limits[index % 2] ?? Infinity))
    const order: readonly (keyof typeof branches)[] =
      variant === 'reordered'
        ? ['receipts', 'windows', 'totals']
        : variant === 'fewer'
          ? ['totals', 'windows']
          : ['totals', 'windows', 'receipts']
    const [first, ...others] = order.map((name) => branches[name](sales))
    let rows = (first as DataStream<string>).union(...(others as [DataStream<string>]))
    if (variant === 'more') {
      const visits = sales
        .keyBy(({ shop: number }) => number % 4)
        .count('visits')
        .map(({ key }) => `visit ${key}`)
      const notes = env.from('notes', fromArray(['note a', 'note b']))
      rows = rows.union(visits, notes)
    }
    rows.to('rows', sink)
  })
}
