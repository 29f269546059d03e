import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { collect, combine, count, max, maxBy, min, sum, top } from 'millrace'
import { keepingRows, subtracting } from '../../../../operators/kept-rows.ts'
import type { Aggregator } from '../../../../src/contract/aggregator.ts'
import { copyValue } from '../../../../src/core/value.ts'
import { reducer } from '../../../../src/state/reducer.ts'

interface Row {
  readonly id: number
  readonly amount: number
}

const anyRow: fc.Arbitrary<Row> = fc.record({
  id: fc.integer({ min: 0, max: 150 }),
  amount: fc.integer({ min: -3, max: 3 }),
})

/** No two different rows have the same. */
function rank({ amount, id }: Row): number {
  return amount * 1000 + id
}

const aggregators: Record<string, Aggregator<Row, any, unknown>> = {
  min: min(({ amount }: Row) => amount),
  max: max(({ amount }: Row) => amount),
  maxBy: maxBy(({ amount }: Row) => amount),
  top: top(3, rank),
  collect: collect<Row>(),
  'sum of floats': sum(({ amount }: Row) => amount),
  reduce: reducer((left: Row, right: Row) => (rank(left) >= rank(right) ? left : right)),
  combine: combine({ n: count(), least: min(({ amount }: Row) => amount) }),
}

/** Rows as a multiset in the order in which the first of equal rows came. */
class Bag {
  readonly #rows = new Map<string, Row[]>()

  add(row: Row): void {
    const text = JSON.stringify(row)
    this.#rows.set(text, [...(this.#rows.get(text) ?? []), row])
  }

  take(row: Row): void {
    const text = JSON.stringify(row)
    const left = (this.#rows.get(text) ?? []).slice(1)
    if (left.length === 0) this.#rows.delete(text)
    else this.#rows.set(text, left)
  }

  rows(): Row[] {
    return [...this.#rows.values()].flat()
  }
}

/** Compared as multisets: where the order of rows shows in a result, rows that stay keep the order in which they came. */
function sorted(result: unknown): unknown {
  if (!Array.isArray(result)) return result
  return (result as unknown[]).map((row) => JSON.stringify(row)).toSorted()
}

function foldOf<R>(aggregator: Aggregator<Row, any, R>, rows: readonly Row[]): R {
  return aggregator.result(
    rows.reduce<unknown>((fold, row) => aggregator.add(fold, row), aggregator.create()),
  )
}

/** What is done with an accumulator: a row is added, or the row at a place among those there are is taken back. */
type Deed = { readonly add: Row } | { readonly takeAt: number }

const deeds: fc.Arbitrary<Deed[]> = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ add: anyRow }) },
    { weight: 2, arbitrary: fc.record({ takeAt: fc.nat() }) },
  ),
  { maxLength: 300, size: 'max' },
)

describe('an aggregator that keeps its rows', () => {
  for (const [name, aggregator] of Object.entries(aggregators)) {
    test(`has after every change the result over the rows that are left: ${name}`, () => {
      fc.assert(
        fc.property(deeds, (list) => {
          const kept = keepingRows(aggregator)
          const bag = new Bag()
          let accumulator = kept.create()
          for (const deed of list) {
            const rows = bag.rows()
            if ('add' in deed) {
              accumulator = kept.add(accumulator, deed.add)
              bag.add(deed.add)
            } else if (rows.length > 0) {
              const row = rows[deed.takeAt % rows.length] as Row
              accumulator = kept.subtract(accumulator, row)
              bag.take(row)
            }
            // the result must not change the accumulator, nor be changed by it
            accumulator = copyValue(accumulator)
          }
          if (name === 'reduce' && bag.rows().length === 0) return
          assert.deepEqual(sorted(kept.result(accumulator)), sorted(foldOf(aggregator, bag.rows())))
        }),
        { numRuns: 30 },
      )
    })

    test(`merges like its rows: ${name}`, () => {
      const rows = fc.array(anyRow, { maxLength: 100, size: 'max' })
      fc.assert(
        fc.property(rows, rows, fc.nat(), (left, right, takeAt) => {
          if (left.length + right.length === 0) return
          const kept = keepingRows(aggregator)
          const fold = (list: readonly Row[]): ReturnType<typeof kept.create> =>
            list.reduce((into, row) => kept.add(into, row), kept.create())
          const from = fold(right)
          const before = copyValue(from)
          const merged = kept.merge(fold(left), from)
          const all = [...left, ...right]
          assert.deepEqual(sorted(kept.result(merged)), sorted(foldOf(aggregator, all)))

          const [row] = all.splice(takeAt % all.length, 1)
          const rest = kept.subtract(merged, row as Row)
          assert.deepEqual(from, before)
          if (all.length > 0) {
            assert.deepEqual(sorted(kept.result(rest)), sorted(foldOf(aggregator, all)))
          }
        }),
        { numRuns: 30 },
      )
    })
  }

  test('folds few rows again when one of many is taken back', () => {
    let calls = 0
    const inner = max((n: number) => n)
    const kept = keepingRows<number, number | null, number>({
      ...inner,
      add: (accumulator, n) => {
        calls += 1
        return inner.add(accumulator, n)
      },
      merge: (into, from) => {
        calls += 1
        return inner.merge(into, from)
      },
    })
    let accumulator = kept.create()
    for (let n = 0; n < 50_000; n++) accumulator = kept.add(accumulator, n)
    accumulator = kept.subtract(accumulator, 0)
    calls = 0

    for (let n = 49_999; n > 49_899; n--) {
      accumulator = kept.subtract(accumulator, n)
      assert.equal(kept.result(accumulator), n - 1)
    }

    assert.ok(calls < 100 * 200, `${calls} calls`)
  })

  test('holds little when most of its rows are gone', () => {
    const kept = keepingRows(max((n: number) => n))
    let accumulator = kept.create()
    for (let n = 0; n < 10_000; n++) accumulator = kept.add(accumulator, n)
    const most = accumulator.segments.length
    for (let n = 0; n < 9_995; n++) accumulator = kept.subtract(accumulator, n)

    assert.ok(most > 100, `${most} segments`)
    assert.equal(accumulator.segments.length, 1)
    assert.equal(kept.result(accumulator), 9999)
  })

  test('folds a million equal rows by doubling', () => {
    let calls = 0
    const summed = keepingRows<number, number, number>({
      create: () => 0,
      add: (total, n) => {
        calls += 1
        return total + n
      },
      merge: (a, b) => {
        calls += 1
        return a + b
      },
      result: (total) => total,
    })
    let accumulator = summed.add(summed.create(), 3)
    const one = copyValue(accumulator)
    for (let power = 0; power < 20; power++) {
      accumulator = summed.merge(accumulator, copyValue(accumulator))
    }
    accumulator = summed.merge(accumulator, one)
    calls = 0

    accumulator = summed.subtract(accumulator, 3)

    assert.equal(summed.result(accumulator), 3 * 2 ** 20)
    assert.ok(calls < 100, `${calls} calls`)
  })

  test('refuses to take back a row that is not there', () => {
    const kept = keepingRows(min((n: number) => n))
    const accumulator = kept.add(kept.create(), 1)
    assert.throws(() => kept.subtract(accumulator, 2), {
      code: 'RETRACTION_UNKNOWN',
      message: /not there: 2;/,
    })
  })

  test('is not made of one that has an inverse', () => {
    const counted = count()
    assert.equal(subtracting(counted), counted)
  })
})
