import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import {
  aggregatingState,
  aggregator,
  arraySink,
  average,
  collect,
  combine,
  count,
  fromArray,
  job,
  listState,
  mapState,
  max,
  maxBy,
  min,
  minBy,
  reducingState,
  sum,
  top,
  type,
  valueState,
} from 'millrace'
import type { DataStream, Env, Key, KeyedResult, KeyedStream } from 'millrace'
import { runTest, testSource } from 'millrace/testing'
import { rowsOf } from '../../support/run-stream.ts'

interface Sale {
  readonly shop: string
  readonly amount: number
  readonly id: number
}

const sales: readonly Sale[] = Array.from({ length: 60 }, (_, id) => ({
  id,
  shop: `shop${(id * 7) % 4}`,
  amount: (id * 37) % 11,
}))
const shops = (env: Env): KeyedStream<string, Sale> =>
  env.from('sales', fromArray(sales)).keyBy(({ shop }) => shop)

/** The results of each key in order. */
function byKey<R>(rows: readonly KeyedResult<Key, R>[]): Record<string, R[]> {
  const lists: Record<string, R[]> = {}
  for (const { key, value } of rows) (lists[String(key)] ??= []).push(value)
  return lists
}

/** What a running aggregate emits, straightforwardly. */
function running<R>(fold: (rows: readonly Sale[]) => R): Record<string, R[]> {
  const lists: Record<string, R[]> = {}
  for (const [index, { shop }] of sales.entries()) {
    const seen = sales.slice(0, index + 1).filter((sale) => sale.shop === shop)
    ;(lists[shop] ??= []).push(fold(seen))
  }
  return lists
}

const total = (rows: readonly Sale[]): number => rows.reduce((all, { amount }) => all + amount, 0)

for (const parallelism of [1, 3]) {
  test(`running count, sum and reduce at parallelism ${parallelism}`, async () => {
    const options = { parallelism }

    assert.deepEqual(
      byKey(await rowsOf((env) => shops(env).count('n'), options)),
      running((rows) => rows.length),
    )
    assert.deepEqual(
      byKey(await rowsOf((env) => shops(env).sum('s', ({ amount }) => amount), options)),
      running(total),
    )
    const best = (a: Sale, b: Sale): Sale => (b.amount > a.amount ? b : a)
    assert.deepEqual(
      byKey(await rowsOf((env) => shops(env).reduce('r', best), options)),
      running((rows) => rows.reduce(best)),
    )
  })
}

test('every aggregator against its definition', async () => {
  const amount = ({ amount }: Sale): number => amount
  const highest = (rows: readonly Sale[]): number => Math.max(...rows.map(amount))
  const lowest = (rows: readonly Sale[]): number => Math.min(...rows.map(amount))
  const all = combine({
    n: count(),
    total: sum(amount),
    low: min(amount),
    high: max(amount),
    mean: average(amount),
    best: maxBy(amount),
    worst: minBy(amount),
    three: top(3, amount),
    rows: collect<Sale>(),
    ids: aggregator({
      create: () => new Set<number>(),
      add: (ids, { id }: Sale) => ids.add(id),
      merge: (into, from) => new Set([...into, ...from]),
      result: (ids) => ids.size,
    }),
  })

  const rows = await rowsOf((env) => shops(env).aggregate('all', all), { parallelism: 2 })

  const expected = running((seen) => ({
    n: seen.length,
    total: total(seen),
    low: lowest(seen),
    high: highest(seen),
    mean: total(seen) / seen.length,
    best: seen.filter(({ amount }) => amount === highest(seen)),
    worst: seen.filter(({ amount }) => amount === lowest(seen)),
    three: seen.toSorted((a, b) => b.amount - a.amount).slice(0, 3),
    rows: seen,
    ids: seen.length,
  }))
  assert.deepEqual(byKey(rows), expected)
})

test('keys of every kind are kept apart and come back as they were', async () => {
  const keys: Key[] = [
    '1',
    1,
    1n,
    true,
    '',
    0,
    -5.5,
    2n ** 70n,
    ['a', 1],
    ['a', 1n],
    ['a', '1', false],
    ['a'],
    'ünï€😀',
  ]
  const records = [...keys, ...keys, ...keys].map((key) => ({ key }))

  for (const parallelism of [1, 4]) {
    const rows = await rowsOf(
      (env) =>
        env
          .from('k', fromArray(records))
          .keyBy(({ key }) => key)
          .count('n'),
      { parallelism },
    )

    const last = rows.filter(({ value }) => value === 3).map(({ key }) => key)
    assert.equal(rows.length, keys.length * 3)
    const text = (key: Key): string => `${typeof key} ${JSON.stringify(key, bigintText)}`
    assert.deepEqual(last.map(text).toSorted(), keys.map(text).toSorted())
  }
})

test('0 and -0 are one key', async () => {
  const rows = await rowsOf((env) =>
    env
      .from('k', fromArray([0, -0]))
      .keyBy((n) => n)
      .count('n'),
  )

  assert.deepEqual(
    rows.map(({ value }) => value),
    [1, 2],
  )
})

test('what is no key is refused with KEY_INVALID and the place', async () => {
  for (const wrong of [NaN, undefined, {}, [], [1, null], Symbol('s'), () => 1, new Date()]) {
    for (const parallelism of [1, 2]) {
      const refused = rowsOf(
        (env) =>
          env
            .from('k', fromArray([1]))
            .keyBy(() => wrong as Key)
            .count('n'),
        { parallelism },
      )
      await assert.rejects(refused, { code: 'KEY_INVALID' }, inspect(wrong))
    }
  }
})

test('state of all kinds belongs to the key at hand', async () => {
  const rows = await rowsOf(
    (env) =>
      shops(env).process(
        'all',
        {
          emits: type<readonly [string, unknown]>(),
          state: {
            n: valueState({ default: 0 }),
            last: valueState<Sale>(),
            ids: listState<number>(),
            byAmount: mapState<number, number>(),
            most: reducingState<number>(Math.max),
            mean: aggregatingState(average((sale: Sale) => sale.amount)),
          },
        },
        ({ state, emit, key }) => ({
          onRecord(sale) {
            const before = state.last.get()
            state.n.set(state.n.get() + 1)
            state.last.set(sale)
            state.ids.add(sale.id)
            state.byAmount.set(sale.amount, (state.byAmount.get(sale.amount) ?? 0) + 1)
            state.most.add(sale.amount)
            state.mean.add(sale)
            emit([
              key(),
              {
                n: state.n.get(),
                before: before?.id,
                ids: [...state.ids.values()],
                byAmount: [...state.byAmount.entries()],
                most: state.most.get(),
                mean: state.mean.get(),
              },
            ])
          },
        }),
      ),
    { parallelism: 2 },
  )

  const expected = running((seen) => {
    const byAmount = new Map<number, number>()
    for (const { amount } of seen) byAmount.set(amount, (byAmount.get(amount) ?? 0) + 1)
    return {
      n: seen.length,
      before: seen.at(-2)?.id,
      ids: seen.map(({ id }) => id),
      byAmount: [...byAmount].toSorted(([a], [b]) => a - b),
      most: Math.max(...seen.map(({ amount }) => amount)),
      mean: total(seen) / seen.length,
    }
  })
  assert.deepEqual(byKey(rows.map(([key, value]) => ({ key, value }))), expected)
})

test('cleared state is as if it had never been set', async () => {
  const seen: unknown[] = []
  const left = await runTest(
    job('clear', (env) => {
      env
        .from('n', fromArray([1, 2]))
        .keyBy(() => 'k')
        .process(
          'p',
          {
            state: {
              v: valueState({ default: 7 }),
              l: listState<number>(),
              m: mapState<string, number>(),
            },
            emits: type<unknown>(),
          },
          ({ state, emit }) => ({
            onRecord(n) {
              emit([state.v.get(), state.l.isEmpty(), state.m.has('a'), state.m.isEmpty()])
              state.v.set(n)
              state.l.set([1, 2, n])
              state.m.set('a', n)
              emit([state.v.get(), [...state.l.values()], [...state.m.entries()]])
              state.m.delete('a')
              state.v.clear()
              state.l.clear()
              state.m.clear()
            },
          }),
        )
        .to('out', arraySink(seen))
    }),
  )

  assert.deepEqual(seen, [
    [7, true, false, true],
    [1, [1, 2, 1], [['a', 1]]],
    [7, true, false, true],
    [2, [1, 2, 2], [['a', 2]]],
  ])
  assert.deepEqual(left.stateLeft, [])
})

test('state where no key is at hand is STATE_NO_KEY', async () => {
  const atOpen = rowsOf((env) =>
    shops(env).process(
      'p',
      { emits: type<number>(), state: { n: valueState({ default: 0 }) } },
      ({ state }) => {
        state.n.get()
        return { onRecord() {} }
      },
    ),
  )

  await assert.rejects(atOpen, { code: 'STATE_NO_KEY', operatorUid: 'p' })
})

test('a keyed co-process sees both inputs of a key with one state', async () => {
  const names = [
    { id: 'a', name: 'Ada' },
    { id: 'b', name: 'Bob' },
  ]
  const orders = ['b', 'a', 'c', 'a'].map((user, n) => ({ user, n }))
  const names$ = testSource<(typeof names)[number]>()
  const orders$ = testSource<(typeof orders)[number]>()
  for (const value of names) names$.emit({ value, timestampMs: 0 })
  for (const value of orders) orders$.emit({ value, timestampMs: 0 })
  names$.emit({ value: { id: 'c', name: 'Cyd' }, timestampMs: 0 }).end()
  orders$.end()

  for (const parallelism of [1, 3]) {
    const rows = await rowsOf(
      (env) =>
        env
          .from('orders', orders$)
          .keyBy(({ user }) => user)
          .process(
            'join',
            {
              emits: type<string>(),
              state: { name: valueState<string>(), waiting: listState<number>() },
              inputs: { names: env.from('names', names$).keyBy(({ id }) => id) },
            },
            ({ state, emit }) => ({
              onRecord({ n }) {
                const name = state.name.get()
                if (name === undefined) state.waiting.add(n)
                else emit(`${name} ${n}`)
              },
              inputs: {
                names({ name }) {
                  state.name.set(name)
                  for (const n of state.waiting.values()) emit(`${name} ${n}`)
                  state.waiting.clear()
                },
              },
            }),
          ),
      { parallelism },
    )

    assert.deepEqual(rows.toSorted(), ['Ada 1', 'Ada 3', 'Bob 0', 'Cyd 2'])
  }
})

test('inputs keyed by tuples meet by value', async () => {
  const rows = await rowsOf(
    (env) => {
      const left = env.from('l', fromArray([1, 2, 3])).keyBy((n): [string, number] => ['k', n])
      const right = env.from('r', fromArray([2, 3, 4])).keyBy((n): [string, number] => ['k', n])
      return left.process(
        'both',
        {
          emits: type<string>(),
          state: { l: valueState<boolean>(), r: valueState<boolean>() },
          inputs: { right },
        },
        ({ state, emit, key }) => ({
          onRecord() {
            state.l.set(true)
            if (state.r.get() === true) emit(key().join())
          },
          inputs: {
            right() {
              state.r.set(true)
              if (state.l.get() === true) emit(key().join())
            },
          },
        }),
      )
    },
    { parallelism: 4 },
  )

  assert.deepEqual(rows.toSorted(), ['k,2', 'k,3'])
})

interface Rule {
  readonly shop: string
  readonly limit: number
}

/** Sales above the limit that a broadcast rule has set for their shop. */
function aboveLimits(
  env: Env,
  sources: { readonly sales: DataStream<Sale>; readonly rules: DataStream<Rule> },
): DataStream<string> {
  return sources.sales
    .keyBy(({ shop }) => shop)
    .process(
      'limits',
      {
        emits: type<string>(),
        inputs: { rules: sources.rules.broadcast() },
        broadcastState: { limits: mapState<string, number>(), rules: valueState({ default: 0 }) },
      },
      ({ emit, broadcastState }) => ({
        onRecord({ shop, amount, id }) {
          const limit = broadcastState.limits.get(shop)
          if (limit !== undefined && amount > limit) {
            emit(`${id} of ${shop} above ${limit}, ${broadcastState.rules.get()} rules`)
          }
        },
        inputs: {
          rules({ shop, limit }, { broadcastState: own }) {
            own.limits.set(shop, limit)
            own.rules.set(own.rules.get() + 1)
          },
        },
      }),
    )
}

test('broadcast state is the same in every subtask', async () => {
  const rules = testSource<Rule>()
  const records = testSource<Sale>()
  rules.emit({ value: { shop: 'shop0', limit: 5 }, timestampMs: 0 })
  rules.emit({ value: { shop: 'shop1', limit: 9 }, timestampMs: 0 })
  records.emit(...sales.slice(0, 30).map((value) => ({ value, timestampMs: 0 })))
  rules.emit({ value: { shop: 'shop0', limit: 8 }, timestampMs: 0 })
  records.emit(...sales.slice(30).map((value) => ({ value, timestampMs: 0 })))
  rules.end()
  records.end()

  const expected = sales.flatMap(({ id, shop, amount }) => {
    const limit = shop === 'shop0' ? (id < 30 ? 5 : 8) : shop === 'shop1' ? 9 : Infinity
    return amount > limit ? [`${id} of ${shop} above ${limit}, ${id < 30 ? 2 : 3} rules`] : []
  })
  for (const parallelism of [1, 3]) {
    const rows = await rowsOf(
      (env) =>
        aboveLimits(env, {
          sales: env.from('sales', records, { parallelism: 1 }),
          rules: env.from('rules', rules, { parallelism: 1 }),
        }),
      { parallelism },
    )

    assert.deepEqual(rows.toSorted(), expected.toSorted())
  }
})

test('broadcast state cannot be written by a record', async () => {
  const written = rowsOf((env) =>
    shops(env).process(
      'p',
      {
        emits: type<number>(),
        inputs: { rules: env.from('rules', fromArray<Rule>([])).broadcast() },
        broadcastState: { limits: mapState<string, number>() },
      },
      ({ broadcastState }) => ({
        onRecord({ shop }) {
          ;(broadcastState.limits as unknown as Map<string, number>).set(shop, 1)
        },
        inputs: { rules() {} },
      }),
    ),
  )

  await assert.rejects(written, { code: 'STATE_READ_ONLY', operatorUid: 'p' })
})

test('an input without a handler, or neither keyed nor broadcast, is refused', async () => {
  const missing = rowsOf((env) =>
    shops(env).process('p', { emits: type<number>(), inputs: { other: shops2(env) } }, () => ({
      onRecord() {},
    })),
  )
  await assert.rejects(missing, /input 'other'/)

  const plain = rowsOf((env) =>
    shops(env).process(
      'p',
      {
        emits: type<number>(),
        inputs: { other: env.from('o', fromArray([1])) as unknown as KeyedStream<string, number> },
      },
      () => ({ onRecord() {}, inputs: { other() {} } }),
    ),
  )
  await assert.rejects(plain, { code: 'JOB_INVALID', operatorUid: 'p' })
})

function shops2(env: Env): KeyedStream<string, Sale> {
  return env.from('more', fromArray(sales)).keyBy(({ shop }) => shop)
}

function bigintText(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value
}
