/**
 * GroupByKeyAndWindow, step by step, as section 2.2 of the paper has it. Pure functions of whole lists: there is no watermark, so
 * nothing is late, and each group comes once. The engine's window operators must come to the same groups, whatever the order of
 * their input, as long as no record is late; a test holds them to it.
 *
 *     AssignWindows      each element goes to each of its windows
 *     DropTimestamps     from here on only the window counts
 *     GroupByKey         what has the same key comes together
 *     MergeWindows       the windows of a key become those that the window function makes of them
 *     GroupAlsoByWindow  what has the same window comes together
 *     ExpandToElements   each group is an element again, with a timestamp of its window
 *
 * Groups come in the order of their first element, the windows of a key in the order of time.
 */
import type { TimeWindow, Window, WindowFunction } from '../../src/contract/window.ts'
import { hashKey } from '../../src/core/key-hash.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { checkKey, sameKey } from '../../src/core/key.ts'

/** An element before it has windows. In the paper it is in the global window. */
export interface TimedElement<K, V> {
  readonly key: K
  readonly value: V
  readonly timestampMs: number
}

/** The paper's (key, value, event time, window). */
export interface WindowedElement<K, V> extends TimedElement<K, V> {
  readonly window: TimeWindow
}

/** A value and its window. */
export interface WindowedValue<V> {
  readonly value: V
  readonly window: TimeWindow
}

/** The same with its key. */
export interface KeyedElement<K, V> extends WindowedValue<V> {
  readonly key: K
}

/** The values of a key, each with its window. */
export interface KeyedValues<K, V> {
  readonly key: K
  readonly values: readonly WindowedValue<V>[]
}

/** The windows of a key, each with its values. */
export interface KeyedWindows<K, V> {
  readonly key: K
  readonly windows: readonly { readonly window: TimeWindow; readonly values: readonly V[] }[]
}

/** An element for each window that the window function gives; none for an element that it gives none. */
export function assignWindows<K extends AnyKey, V>(
  elements: readonly TimedElement<K, V>[],
  windows: WindowFunction<V, Window>,
): WindowedElement<K, V>[] {
  return elements.flatMap(({ key, value, timestampMs }) =>
    windows
      .assign(value, timestampMs, key)
      .map((window) => ({ key, value, timestampMs, window: plain(window) })),
  )
}

/** Elements by their windows alone. */
export function dropTimestamps<K, V>(
  elements: readonly WindowedElement<K, V>[],
): KeyedElement<K, V>[] {
  return elements.map(({ key, value, window }) => ({ key, value, window }))
}

/** Elements of the same key together. Keys are equal as they are to the engine; what is no key is `KEY_INVALID`. */
export function groupByKey<K extends AnyKey, V>(
  elements: readonly KeyedElement<K, V>[],
): KeyedValues<K, V>[] {
  const groups: { readonly key: K; readonly values: WindowedValue<V>[] }[] = []
  const byHash = new Map<number, typeof groups>()
  for (const { key, value, window } of elements) {
    const hash = hashKey(checkKey(key))
    let alike = byHash.get(hash)
    if (alike === undefined) {
      alike = []
      byHash.set(hash, alike)
    }
    let group = alike.find((other) => sameKey(other.key, key))
    if (group === undefined) {
      group = { key, values: [] }
      alike.push(group)
      groups.push(group)
    }
    group.values.push({ value, window })
  }
  return groups
}

/** The values of each key in the windows that theirs have become. Without a `merge` of the window function nothing changes. */
export function mergeWindows<K, V>(
  groups: readonly KeyedValues<K, V>[],
  windows: WindowFunction<V, Window>,
): KeyedValues<K, V>[] {
  return groups.map(({ key, values }) => {
    const before = distinct(values.map(({ window }) => window))
    const merges = windows.merge?.(before) ?? []
    const after = new Map(
      merges.flatMap(({ merged, into }) => merged.map((window) => [nameOf(window), plain(into)])),
    )
    return {
      key,
      values: values.map(({ value, window }) => ({
        value,
        window: after.get(nameOf(window)) ?? window,
      })),
    }
  })
}

/** The values of each key by their windows. */
export function groupAlsoByWindow<K, V>(
  groups: readonly KeyedValues<K, V>[],
): KeyedWindows<K, V>[] {
  return groups.map(({ key, values }) => ({
    key,
    windows: distinct(values.map(({ window }) => window)).map((window) => ({
      window,
      values: values
        .filter((each) => nameOf(each.window) === nameOf(window))
        .map(({ value }) => value),
    })),
  }))
}

/** Each group as an element, with the last millisecond of its window as timestamp, like results of the engine. */
export function expandToElements<K, V>(
  groups: readonly KeyedWindows<K, V>[],
): WindowedElement<K, readonly V[]>[] {
  return groups.flatMap(({ key, windows }) =>
    windows.map(({ window, values }) => ({
      key,
      value: values,
      timestampMs: window.endMs - 1,
      window,
    })),
  )
}

/**
 * All the steps: what the engine's `keyBy(key).window(windows).aggregate(uid, collect())` comes to when nothing is late.
 *
 * @example
 * groupByKeyAndWindow([{ key: 'ann', value: 'click', timestampMs: 61_000 }], tumbling({ size: '1min' }))
 * // [{ key: 'ann', value: ['click'], timestampMs: 119_999, window: { startMs: 60_000, endMs: 120_000 } }]
 */
export function groupByKeyAndWindow<K extends AnyKey, V>(
  elements: readonly TimedElement<K, V>[],
  windows: WindowFunction<V, Window>,
): WindowedElement<K, readonly V[]>[] {
  const grouped = groupByKey(dropTimestamps(assignWindows(elements, windows)))
  return expandToElements(groupAlsoByWindow(mergeWindows(grouped, windows)))
}

/** Windows that are not alike, ordered by start and then by end. */
function distinct(windows: readonly TimeWindow[]): TimeWindow[] {
  return [...new Map(windows.map((window) => [nameOf(window), window])).values()].toSorted(
    (a, b) => a.startMs - b.startMs || a.endMs - b.endMs,
  )
}

function nameOf({ startMs, endMs }: TimeWindow): string {
  return `${startMs}/${endMs}`
}

function plain({ startMs, endMs }: Window): TimeWindow {
  return { startMs, endMs }
}
