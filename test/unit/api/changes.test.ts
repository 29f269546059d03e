/** Streams whose rows may be taken back: what aggregates make of them, what comes out as changes, and what is refused. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  aggregator,
  arraySink,
  collect,
  combine,
  count,
  fromArray,
  job,
  mapSink,
  max,
  min,
  sum,
  type,
} from 'millrace'
import type { Aggregator, Change, ChangeKind, DataStream, Env, KeyedResult } from 'millrace'
import { runTest } from 'millrace/testing'

interface View {
  readonly user: string
  readonly page: string
}

const anyViews: fc.Arbitrary<View[]> = fc.array(
  fc.record({
    user: fc.constantFrom('u1', 'u2', 'u3', 'u4', 'u5'),
    page: fc.constantFrom('p1', 'p2'),
  }),
  { maxLength: 40 },
)

/** How many users have how many views. */
function usersPerCount(
  views: DataStream<View>,
): DataStream<KeyedResult<number, number>, ChangeKind> {
  return views
    .asTable()
    .keyBy(({ user }) => user)
    .count('views-per-user')
    .keyBy(({ value }) => value)
    .count('users-per-count')
}

function expectedUsersPerCount(views: readonly View[]): Map<number, number> {
  const perUser = new Map<string, number>()
  for (const { user } of views) perUser.set(user, (perUser.get(user) ?? 0) + 1)
  const perCount = new Map<number, number>()
  for (const n of perUser.values()) perCount.set(n, (perCount.get(n) ?? 0) + 1)
  return perCount
}

/** The changes of a stream, in the order they came to one subtask. */
async function changesOf<T>(
  build: (env: Env) => DataStream<T, ChangeKind>,
  parallelism = 1,
): Promise<Change<T>[]> {
  const rows: Change<T>[] = []
  const tested = job('tested', (env) => {
    build(env).changes().rebalance().to('rows', arraySink(rows), { parallelism: 1 })
  })
  await runTest(tested, { parallelism })
  return rows
}

/** Changes as a table of rows; each retraction must find its row. */
class Table<T> {
  readonly #rows = new Map<string, number>()

  apply(change: Change<T>): void {
    if (change.kind === 'update') this.#take(change.previous)
    if (change.kind === 'retract') this.#take(change.value)
    else this.#put(change.value)
  }

  rows(): T[] {
    return [...this.#rows].flatMap(([text, n]) =>
      Array.from({ length: n }, () => JSON.parse(text) as T),
    )
  }

  #put(row: T): void {
    const text = JSON.stringify(row)
    this.#rows.set(text, (this.#rows.get(text) ?? 0) + 1)
  }

  #take(row: T): void {
    const text = JSON.stringify(row)
    const n = this.#rows.get(text) ?? 0
    assert.ok(n > 0, `${text} is taken back and was not there`)
    if (n === 1) this.#rows.delete(text)
    else this.#rows.set(text, n - 1)
  }
}

function sorted<T>(rows: readonly T[]): string[] {
  return rows.map((row) => JSON.stringify(row)).toSorted()
}

describe('an aggregate of an aggregate', () => {
  test('is at every prefix of the input what a recomputation says', async () => {
    await fc.assert(
      fc.asyncProperty(anyViews, async (views) => {
        const changes = await changesOf((env) => usersPerCount(env.from('views', fromArray(views))))
        const table = new Table<KeyedResult<number, number>>()
        const seen = new Map<string, number>()
        let next = 0
        for (const [index, { user }] of views.entries()) {
          const before = seen.get(user) ?? 0
          seen.set(user, before + 1)
          // a user who is not new leaves one count and joins another
          const upTo = next + (before === 0 ? 1 : 2)
          for (; next < upTo; next++)
            table.apply(changes[next] as Change<KeyedResult<number, number>>)
          const expected = expectedUsersPerCount(views.slice(0, index + 1))
          assert.deepEqual(
            sorted(table.rows()),
            sorted([...expected].map(([key, value]) => ({ key, value }))),
          )
        }
        assert.equal(next, changes.length)
      }),
      { numRuns: 30 },
    )
  })

  for (const parallelism of [1, 2, 3]) {
    test(`has the table of a recomputation at the end, at parallelism ${parallelism}`, async () => {
      await fc.assert(
        fc.asyncProperty(anyViews, async (views) => {
          const rows = new Map<number, KeyedResult<number, number>>()
          const tested = job('tested', (env) => {
            usersPerCount(env.from('views', fromArray(views))).to(
              'table',
              mapSink(rows, ({ key }) => key),
            )
          })

          const { stateLeft } = await runTest(tested, { parallelism })

          const expected = expectedUsersPerCount(views)
          assert.deepEqual(
            new Map([...rows].map(([key, { value }]) => [key, value] as const)),
            expected,
          )
          const cells = stateLeft.find(({ operatorUid }) => operatorUid === 'users-per-count')
          assert.equal(cells?.entryCount ?? 0, expected.size)
        }),
        { numRuns: 15 },
      )
    })
  }

  test('finds its rows although operators of other parallelism lie between', async () => {
    const views = Array.from({ length: 300 }, (_, i) => ({ user: `u${(i * 7) % 11}`, page: 'p' }))
    const rows = new Map<number, KeyedResult<number, number>>()
    const tested = job('tested', (env) => {
      env
        .from('views', fromArray<View>(views))
        .asTable()
        .keyBy(({ user }) => user)
        .count('views-per-user', { parallelism: 2 })
        .map((row) => row, { parallelism: 3 })
        .rebalance()
        .flatMap((row) => [row], { parallelism: 2 })
        .keyBy(({ value }) => value)
        .count('users-per-count')
        .to(
          'table',
          mapSink(rows, ({ key }) => key),
        )
    })

    await runTest(tested, { parallelism: 3 })

    assert.deepEqual(
      new Map([...rows].map(([key, { value }]) => [key, value] as const)),
      expectedUsersPerCount(views),
    )
  })
})

interface Version {
  readonly id: number
  readonly group: string
  readonly amount: number
  readonly isDeleted: boolean
}

const anyVersions: fc.Arbitrary<Version[]> = fc.array(
  fc.record({
    id: fc.integer({ min: 0, max: 7 }),
    group: fc.constantFrom('a', 'b'),
    amount: fc.integer({ min: -5, max: 5 }),
    isDeleted: fc.boolean(),
  }),
  { maxLength: 50 },
)

/** The last version of each id, without those that are deleted. */
function latest(env: Env, versions: readonly Version[]): DataStream<Version, ChangeKind> {
  return env
    .from('versions', fromArray(versions))
    .asTable()
    .keyBy(({ id }) => id)
    .reduce('latest', (_former, next) => next)
    .map(({ value }) => value)
    .filter(({ isDeleted }) => !isDeleted)
}

function expectedLatest(versions: readonly Version[]): Version[] {
  return [...new Map(versions.map((version) => [version.id, version])).values()].filter(
    ({ isDeleted }) => !isDeleted,
  )
}

const summed = aggregator({
  create: () => ({ total: 0 }),
  add(accumulator: { total: number }, { amount }: Version) {
    accumulator.total += amount
    return accumulator
  },
  merge(into, from) {
    into.total += from.total
    return into
  },
  subtract(accumulator, { amount }) {
    accumulator.total -= amount
    return accumulator
  },
  result: (accumulator) => accumulator,
})

const aggregates: Record<string, Aggregator<Version, any, unknown>> = {
  count: count(),
  sum: sum(({ amount }: Version) => amount),
  'a sum whose result is its accumulator': summed,
  min: min(({ amount }: Version) => amount),
  max: max(({ amount }: Version) => amount),
  collect: collect<Version>(),
  combine: combine({ n: count(), most: max(({ amount }: Version) => amount) }),
}

describe('an aggregate over rows that change and go', () => {
  for (const [name, aggregate] of Object.entries(aggregates)) {
    test(`takes back what it said before it says something else: ${name}`, async () => {
      await fc.assert(
        fc.asyncProperty(anyVersions, fc.constantFrom(1, 2), async (versions, parallelism) => {
          const changes = await changesOf(
            (env) =>
              latest(env, versions)
                .keyBy(({ group }) => group)
                .aggregate('tested', aggregate),
            parallelism,
          )

          const table = new Table<KeyedResult<string, unknown>>()
          for (const change of changes) {
            table.apply(change)
            const keys = table.rows().map(({ key }) => key)
            assert.equal(new Set(keys).size, keys.length, 'one result a key')
          }
          const expected = ['a', 'b'].flatMap((key) => {
            const rows = expectedLatest(versions).filter(({ group }) => group === key)
            if (rows.length === 0) return []
            const fold = rows.reduce<unknown>(
              (into, row) => aggregate.add(into, row),
              aggregate.create(),
            )
            return [{ key, value: aggregate.result(fold) }]
          })
          const plain = ({ key, value }: KeyedResult<string, unknown>): unknown => ({
            key,
            value: Array.isArray(value) ? sorted(value) : value,
          })
          assert.deepEqual(sorted(table.rows().map(plain)), sorted(expected.map(plain)))
        }),
        { numRuns: 25 },
      )
    })
  }

  test('takes back a result with the time it was given with, and gives the latest of its rows', async () => {
    const times: string[] = []
    const tested = job('tested', (env) => {
      env
        .from('n', fromArray([5, 3, 9]), { timestampMs: (n) => n })
        .asTable()
        .keyBy(() => 'all')
        .count('count')
        .to('times', {
          type: 'times',
          needsCallingThread: true,
          takesRetractions: true,
          open: () => ({
            write(row, timestampMs, kind) {
              times.push(
                `${kind} ${JSON.stringify((row as { value: unknown }).value)} ${timestampMs}`,
              )
            },
          }),
        })
    })

    await runTest(tested)

    assert.deepEqual(times, [
      'insert 1 5',
      'retract 1 5',
      'insert 2 5',
      'retract 2 5',
      'insert 3 9',
    ])
  })

  test('of a row that never was says which operator and key', async () => {
    let calls = 0
    const tested = job('tested', (env) => {
      env
        .from('n', fromArray([1, 1]))
        .asTable()
        .keyBy(() => 'all')
        .count('count')
        .map((row) => ({ ...row, moody: calls++ }))
        .keyBy(({ value }) => value)
        .aggregate(
          'least',
          min(({ moody }) => moody),
        )
        .to(
          'table',
          mapSink(new Map<number, KeyedResult<number, number>>(), ({ key }) => key),
        )
    })

    await assert.rejects(runTest(tested), {
      code: 'RETRACTION_UNKNOWN',
      operatorUid: 'least',
      message: /operator 'least'.* of key 1 is taken back that is not there: .*"moody":1/,
    })
  })
})

describe('changes', () => {
  const updates = (env: Env): DataStream<KeyedResult<string, number>, ChangeKind> =>
    env
      .from('words', fromArray(['a', 'b', 'a', 'a']))
      .asTable()
      .keyBy((word) => word)
      .count('count')

  test('of rows that stay are inserts', async () => {
    const changes = await changesOf((env) => env.from('n', fromArray([1, 2])))
    assert.deepEqual(changes, [
      { kind: 'insert', value: 1 },
      { kind: 'insert', value: 2 },
    ])
  })

  test('of an aggregate are inserts and updates, through maps and filters too', async () => {
    const changes = await changesOf((env) => updates(env).map(({ key, value }) => `${key}${value}`))
    assert.deepEqual(changes, [
      { kind: 'insert', value: 'a1' },
      { kind: 'insert', value: 'b1' },
      { kind: 'update', previous: 'a1', value: 'a2' },
      { kind: 'update', previous: 'a2', value: 'a3' },
    ])
  })

  test('whose other half was filtered out are told apart', async () => {
    const changes = await changesOf((env) => updates(env).filter(({ value }) => value === 2))
    assert.deepEqual(changes, [
      { kind: 'insert', value: { key: 'a', value: 2 } },
      { kind: 'retract', value: { key: 'a', value: 2 } },
    ])
  })

  test('are written once where two branches read them', async () => {
    const seen: Change<string>[] = []
    const table = new Map<string, string>()
    const tested = job('tested', (env) => {
      const counts = updates(env).map(({ key, value }) => `${key}${value}`)
      counts.changes().to('changes', arraySink(seen))
      counts.to(
        'table',
        mapSink(table, (text) => text.slice(0, 1)),
      )
    })

    await runTest(tested)

    assert.equal(seen.length, 4)
    assert.deepEqual(Object.fromEntries(table), { a: 'a3', b: 'b1' })
  })
})

describe('a job that is not typed', () => {
  const counts = (env: Env): DataStream<KeyedResult<number, number>> =>
    env
      .from('n', fromArray([1]))
      .asTable()
      .keyBy((n) => n)
      .count('counts') as unknown as DataStream<KeyedResult<number, number>>

  test('is refused where a sink only appends', () => {
    const tested = job('tested', (env) =>
      counts(env).to('out', arraySink<KeyedResult<number, number>>([])),
    )
    assert.throws(() => tested.explain(), {
      code: 'RETRACTIONS_REFUSED',
      operatorUid: 'out',
      message: /operator 'out': the array sink only appends, but rows of 'counts' .*changes\(\)/,
    })
  })

  test('is refused where a process function would see rows that are taken back', () => {
    const tested = job('tested', (env) =>
      counts(env)
        .map((row) => row)
        .keyBy(({ key }) => key)
        .process('rule', { emits: type<number>() }, () => ({ onRecord() {} }))
        .to('out', arraySink<number>([])),
    )
    assert.throws(() => tested.explain(), {
      code: 'RETRACTIONS_REFUSED',
      operatorUid: 'rule',
      message: /operator 'rule': a process only takes rows that stay/,
    })
  })
})

describe('explain', () => {
  const tested = job('tested', (env) => {
    env
      .from('n', fromArray([1]))
      .asTable()
      .keyBy((n) => n)
      .count('counts')
      .map(({ value }) => value)
      .keyBy((n) => n)
      .aggregate(
        'most',
        max((n) => n),
      )
      .map((row) => row, { parallelism: 1 })
      .to(
        'table',
        mapSink(new Map<number, KeyedResult<number, number>>(), ({ key }) => key),
      )
  })

  test('shows where rows may be taken back, and whose rows are kept', () => {
    assert.equal(
      tested.explain({ parallelism: 2, maxParallelism: 64 }),
      `job tested, 64 key groups

task 0: n, parallelism 2
  source array 'n'  count=1 watermarks=monotonous
  => hash, rows may be taken back, to task 1 (counts -> map)

task 1: counts -> map, parallelism 2
  count 'counts'  rows=counted  state: table count accumulator  takes rows back
  map  takes rows back
  => hash, rows may be taken back, to task 2 (most)

task 2: most, parallelism 2
  aggregate 'most'  rows=kept  state: table aggregate accumulator  takes rows back
  => by content, rows may be taken back, to task 3 (map)

task 3: map, parallelism 1
  map  takes rows back
  => by content, rows may be taken back, to task 4 (table)

task 4: table, parallelism 2
  sink map 'table'  takes rows back

note: 'counts' keeps state for every key that has rows

note: 'most' keeps the rows of each key, since rows may be taken back and its aggregate cannot subtract them
`,
    )
  })

  test('marks such edges in diagrams and data', () => {
    assert.match(tested.explain({ format: 'mermaid', parallelism: 2 }), /n1 -->\|\+\/-\| n2/)
    assert.match(tested.explain({ format: 'mermaid', parallelism: 2 }), /n2 -->\|hash, \+\/-\| n3/)
    const { exchanges } = JSON.parse(tested.explain({ format: 'json', parallelism: 2 })) as {
      readonly exchanges: readonly { readonly mayRetract: boolean; readonly partitioning: string }[]
    }
    assert.deepEqual(
      exchanges.map(({ mayRetract, partitioning }) => `${partitioning} ${mayRetract}`),
      ['hash true', 'hash true', 'by content true', 'by content true'],
    )
  })
})
