/**
 * Aggregators that have no inverse, given one: the rows are kept beside the accumulator, and what is left of them is folded again when
 * one is taken back.
 *
 * Invariants
 *  - Rows are kept as a multiset, each under its text in the segment that the hash of its text says. The number of segments is a power
 *    of two. The order in which rows came is not kept where there is more than one segment; aggregators merge in any order.
 *  - `folds` is a binary tree in an array: node 1 is the root, below node n are 2n and 2n + 1, the last of them are the segments. A fold
 *    is null where it has to be made, and then so are those above it.
 *  - `total` is the fold of all rows. It shares nothing with `folds`.
 * So a row that is taken back out of n different ones costs the fold of one segment and about log n merges, and one that is added much
 * less.
 */
import type { Aggregator } from '../src/contract/aggregator.ts'
import { EngineError } from '../src/core/errors.ts'
import { hashKey } from '../src/core/key-hash.ts'
import { copyValue } from '../src/core/value.ts'
import { previewOf, textOfValue, valueOfText } from '../src/core/value-text.ts'

/** Different rows of a segment, on average: with more there are twice as many segments, with a quarter of it half as many. */
const SEGMENT_ROWS = 16
/** Up to so many equal rows are folded one by one. */
const EQUAL_ROWS_SINGLY = 4

/** Rows by their text, and how many there are of each. */
type Segment = Map<string, number>

/** In the value model, as an accumulator must be. */
export interface KeptRows<A> {
  total: A
  /** Different rows. */
  rowCount: number
  segments: Segment[]
  folds: ([A] | null)[]
}

/** An aggregator that can take rows back. */
export type Subtracting<T, A, R> = Aggregator<T, A, R> & {
  subtract(accumulator: A, value: T): A
}

/** The aggregator itself where it has an inverse, else one that keeps rows. */
export function subtracting<T, A, R>(
  aggregator: Aggregator<T, A, R>,
): Subtracting<T, A, R> | Subtracting<T, KeptRows<A>, R> {
  return canSubtract(aggregator) ? aggregator : keepingRows(aggregator)
}

export function canSubtract<T, A, R>(
  aggregator: Aggregator<T, A, R>,
): aggregator is Subtracting<T, A, R> {
  return aggregator.subtract !== undefined
}

/** `subtract` fails with `RETRACTION_UNKNOWN` for a row that is not there. */
export function keepingRows<T, A, R>(
  aggregator: Aggregator<T, A, R>,
): Subtracting<T, KeptRows<A>, R> {
  return {
    create: () => ({
      total: aggregator.create(),
      rowCount: 0,
      segments: [new Map()],
      folds: [null, null],
    }),
    add(kept, value) {
      kept.total = aggregator.add(kept.total, value)
      put(kept, textOfValue(value), 1)
      return kept
    },
    merge(into, from) {
      into.total = aggregator.merge(into.total, copyValue(from.total))
      for (const segment of from.segments) {
        for (const [text, count] of segment) put(into, text, count)
      }
      return into
    },
    subtract(kept, value) {
      take(kept, value)
      kept.total =
        kept.segments.length === 1
          ? foldOf(aggregator, kept.segments[0] as Segment)
          : copyValue(foldAt(aggregator, kept, 1))
      return kept
    },
    result: ({ total }) => aggregator.result(total),
    isExact: aggregator.isExact === true,
    keepsValues: aggregator.keepsValues !== false,
  }
}

function put<A>(kept: KeptRows<A>, text: string, count: number): void {
  const index = segmentOf(kept, text)
  const segment = kept.segments[index] as Segment
  const before = segment.get(text) ?? 0
  segment.set(text, before + count)
  forget(kept, index)
  if (before > 0) return
  kept.rowCount += 1
  if (kept.rowCount > kept.segments.length * SEGMENT_ROWS) divide(kept, kept.segments.length * 2)
}

function take<A>(kept: KeptRows<A>, value: unknown): void {
  const text = textOfValue(value)
  const index = segmentOf(kept, text)
  const segment = kept.segments[index] as Segment
  const count = segment.get(text)
  if (count === undefined) throw unknownRow(value)
  forget(kept, index)
  if (count > 1) return void segment.set(text, count - 1)
  segment.delete(text)
  kept.rowCount -= 1
  const segmentCount = kept.segments.length
  if (segmentCount > 1 && kept.rowCount * 4 < segmentCount * SEGMENT_ROWS) {
    divide(kept, segmentCount / 2)
  }
}

function segmentOf<A>({ segments }: KeptRows<A>, text: string): number {
  return segments.length === 1 ? 0 : hashKey(text) & (segments.length - 1)
}

/** The fold of a segment is no longer that of its rows, nor are those above it. */
function forget<A>({ segments, folds }: KeptRows<A>, index: number): void {
  for (let node = segments.length + index; node > 0 && folds[node] !== null; node >>= 1) {
    folds[node] = null
  }
}

/** Puts the rows into so many segments. */
function divide<A>(kept: KeptRows<A>, segmentCount: number): void {
  const { segments } = kept
  kept.segments = Array.from({ length: segmentCount }, () => new Map<string, number>())
  kept.folds = new Array<[A] | null>(segmentCount * 2).fill(null)
  for (const segment of segments) {
    for (const [text, count] of segment) {
      ;(kept.segments[segmentOf(kept, text)] as Segment).set(text, count)
    }
  }
}

function foldAt<T, A, R>(aggregator: Aggregator<T, A, R>, kept: KeptRows<A>, node: number): A {
  const known = kept.folds[node]
  if (known !== null && known !== undefined) return known[0]
  const { segments } = kept
  const fold =
    node >= segments.length
      ? foldOf(aggregator, segments[node - segments.length] as Segment)
      : aggregator.merge(
          copyValue(foldAt(aggregator, kept, node * 2)),
          copyValue(foldAt(aggregator, kept, node * 2 + 1)),
        )
  kept.folds[node] = [fold]
  return fold
}

function foldOf<T, A, R>(aggregator: Aggregator<T, A, R>, rows: Segment): A {
  let fold = aggregator.create()
  for (const [text, count] of rows) {
    if (count > EQUAL_ROWS_SINGLY) {
      fold = aggregator.merge(fold, foldOfEqual(aggregator, text, count))
      continue
    }
    for (let i = 0; i < count; i++) fold = aggregator.add(fold, valueOfText(text) as T)
  }
  return fold
}

/** By doubling: a million equal rows are folded in twenty steps. */
function foldOfEqual<T, A, R>(aggregator: Aggregator<T, A, R>, text: string, count: number): A {
  let power = aggregator.add(aggregator.create(), valueOfText(text) as T)
  let fold = aggregator.create()
  for (let left = count; ; left = Math.floor(left / 2)) {
    if (left % 2 === 1) fold = aggregator.merge(fold, copyValue(power))
    if (left <= 1) return fold
    power = aggregator.merge(power, copyValue(power))
  }
}

/** `of`: whose row it should have been, in words: `of key 'x'`. */
export function unknownRow(value: unknown, of: string = ''): EngineError {
  return new EngineError(
    'RETRACTION_UNKNOWN',
    `A row ${of === '' ? '' : `${of} `}is taken back that is not there: ${previewOf(value)}; the functions between where rows are taken ` +
      `back and here must return the same for the same row: no clock, no random number, nothing that changes between two runs or versions of the job`,
  )
}
