/** Joins of tables: the pairs that are there, kept up to date whatever comes and goes on either side. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { arraySink, fromArray, job, mapSink } from 'millrace'
import type { Change, ChangeKind, DataStream, Env, JoinKind } from 'millrace'
import { runTest } from 'millrace/testing'

interface View {
  readonly user: string
}

/** What users with `count` views are called. */
interface Grade {
  readonly count: number
  readonly name: string
}

interface Graded {
  readonly user: string | null
  readonly grade: string | null
  readonly count: number
}

const kinds: readonly JoinKind[] = ['inner', 'left', 'right', 'full']

const anyInput: fc.Arbitrary<{ views: View[]; grades: Grade[] }> = fc.record({
  views: fc.array(fc.record({ user: fc.constantFrom('u1', 'u2', 'u3', 'u4') }), { maxLength: 25 }),
  grades: fc.array(
    fc.record({ count: fc.integer({ min: 1, max: 6 }), name: fc.constantFrom('a', 'b', 'c') }),
    { maxLength: 8 },
  ),
})

/** Users with the grades of their counts: the left side takes rows back all the time, the right one, kept per name, too. */
function gradedUsers(
  env: Env,
  { views, grades }: { readonly views: readonly View[]; readonly grades: readonly Grade[] },
  kind: JoinKind,
): DataStream<Graded, ChangeKind> {
  const counts = env
    .from('views', fromArray(views))
    .asTable()
    .keyBy(({ user }) => user)
    .count('counts')
  const newest = env
    .from('grades', fromArray(grades))
    .asTable()
    .keyBy(({ name }) => name)
    .reduce('newest', (left, right) => (left.count > right.count ? left : right))
  return counts
    .keyBy(({ value }) => value)
    .join(
      'graded',
      newest.keyBy(({ value }) => value.count),
      { kind },
      (user: { readonly key: string } | undefined, grade, count): Graded => ({
        user: user?.key ?? null,
        grade: grade?.key ?? null,
        count,
      }),
    )
}

function expectedRows(views: readonly View[], grades: readonly Grade[], kind: JoinKind): Graded[] {
  const counts = new Map<string, number>()
  for (const { user } of views) counts.set(user, (counts.get(user) ?? 0) + 1)
  const highest = new Map<string, number>()
  for (const { name, count } of grades) {
    highest.set(name, Math.max(count, highest.get(name) ?? 0))
  }
  const rows: Graded[] = []
  for (const [user, count] of counts) {
    const names = [...highest].filter(([, of]) => of === count).map(([name]) => name)
    for (const grade of names) rows.push({ user, grade, count })
    if (names.length === 0 && (kind === 'left' || kind === 'full')) {
      rows.push({ user, grade: null, count })
    }
  }
  for (const [grade, count] of highest) {
    const isAlone = ![...counts.values()].includes(count)
    if (isAlone && (kind === 'right' || kind === 'full')) rows.push({ user: null, grade, count })
  }
  return rows
}

function sorted(rows: Iterable<unknown>): string[] {
  return [...rows].map((row) => JSON.stringify(row)).toSorted()
}

/** What is left of the rows when all changes are applied; each one taken back must be there. */
function applied(changes: readonly Change<Graded>[]): string[] {
  const rows: string[] = []
  const take = (row: Graded): void => {
    const at = rows.indexOf(JSON.stringify(row))
    assert.ok(at >= 0, `${JSON.stringify(row)} is taken back and was not there`)
    rows.splice(at, 1)
  }
  for (const change of changes) {
    if (change.kind === 'update') take(change.previous)
    if (change.kind === 'retract') take(change.value)
    else rows.push(JSON.stringify(change.value))
  }
  return rows.toSorted()
}

describe('a join of tables', () => {
  for (const kind of kinds) {
    test(`${kind}: takes back only rows that are there, and ends with those of a recomputation`, async () => {
      await fc.assert(
        fc.asyncProperty(anyInput, async (input) => {
          const changes: Change<Graded>[] = []
          await runTest(
            job('tested', (env) => {
              gradedUsers(env, input, kind).changes().to('rows', arraySink(changes))
            }),
          )

          assert.deepEqual(applied(changes), sorted(expectedRows(input.views, input.grades, kind)))
        }),
        { numRuns: 40 },
      )
    })
  }

  for (const parallelism of [1, 3]) {
    test(`has the same rows at parallelism ${parallelism} after crashes`, async () => {
      await fc.assert(
        fc.asyncProperty(
          anyInput,
          fc.constantFrom(...kinds),
          fc.nat(),
          async (input, kind, seed) => {
            const rows = new Map<string, Graded>()
            const tested = job('tested', (env) => {
              gradedUsers(env, input, kind).to(
                'table',
                mapSink(rows, (row) => JSON.stringify(row)),
              )
            })

            await runTest(tested, { parallelism, seed, crashes: 2 })

            assert.deepEqual(
              sorted(rows.values()),
              sorted(expectedRows(input.views, input.grades, kind)),
            )
          },
        ),
        { numRuns: 15 },
      )
    })
  }

  test('forgets a key that has no rows left', async () => {
    const views = Array.from({ length: 5 }, () => ({ user: 'u' }))
    const { stateLeft } = await runTest(
      job('tested', (env) => {
        gradedUsers(env, { views, grades: [] }, 'full')
          .changes()
          .to('rows', arraySink<Change<Graded>>([]))
      }),
    )

    const left = stateLeft.filter(({ operatorUid }) => operatorUid === 'graded')
    // the head and the page of the one row that is there
    assert.deepEqual(
      left.map(({ entryCount }) => entryCount),
      [2],
    )
  })

  test('a row that meets far more than a channel holds meets each once', async () => {
    const many = Array.from({ length: 2000 }, (_, id) => ({ id }))
    const rows: number[] = []
    await runTest(
      job('tested', (env) => {
        const right = env.from('right', fromArray(many)).keyBy(() => 0)
        env
          .from('left', fromArray(many.slice(0, 100)))
          .keyBy(() => 0)
          .join('pairs', right, {}, (one, other) => one.id * 2000 + other.id)
          .rebalance()
          .to('rows', arraySink(rows), { parallelism: 1 })
      }),
      { parallelism: 2 },
    )

    assert.equal(rows.length, 200_000)
    assert.equal(new Set(rows).size, 200_000)
  })

  test('what it cannot join is refused with the reason', async () => {
    await assert.rejects(
      runTest(
        job('tested', (env) => {
          const rows = env.from('rows', fromArray([1])).keyBy((n) => n)
          rows
            .join('pairs', rows, { kind: 'outer' as JoinKind }, (left) => left)
            .changes()
            .to('out', arraySink<unknown>([]))
        }),
      ),
      {
        code: 'OPTION_INVALID',
        message: /The kind of the join 'pairs' must be one of inner, left/,
      },
    )
  })
})
