/** Where a new window belongs among the open ones of its key. Pure. */
import type { Window, WindowFunction } from '../../src/contract/window.ts'

/** A window as it is to be, and which of the open ones become part of it; none: it is new. */
export interface Placement<W extends Window> extends Window {
  readonly joined: readonly W[]
}

/** The place of the new window, and what merging makes of others on the way. */
export interface Placements<W extends Window> {
  readonly own: Placement<W>
  readonly others: readonly Placement<W>[]
}

const NONE: readonly never[] = []

/**
 * Places `window` among `open`, which are ordered by start and then end, no two of them alike. Windows with equal bounds are one
 * window, whatever `merge` says.
 */
export function placeWindow<W extends Window>(
  windows: Pick<WindowFunction<never, Window>, 'merge' | 'mergesOverlapping'>,
  open: readonly W[],
  window: Window,
): Placements<W> {
  if (windows.mergesOverlapping !== undefined) {
    return {
      own: placeOverlapping(open, window, windows.mergesOverlapping === 'touching'),
      others: NONE,
    }
  }
  const { startMs, endMs } = window
  const same = open.find((other) => inOrder(other, window) === 0)
  const asItIs = { startMs, endMs, joined: same === undefined ? NONE : [same] }
  if (windows.merge === undefined || same !== undefined) return { own: asItIs, others: NONE }
  let own: Placement<W> = asItIs
  const others: Placement<W>[] = []
  for (const { merged, into } of windows.merge([...open, window].sort(inOrder))) {
    const joined = open.filter((other) => merged.includes(other) || inOrder(other, into) === 0)
    const placement = { startMs: into.startMs, endMs: into.endMs, joined }
    if (merged.includes(window)) own = placement
    else if (joined.length > 0) others.push(placement)
  }
  return { own, others }
}

/** By start, then by end. */
export function inOrder(a: Window, b: Window): number {
  return a.startMs - b.startMs || a.endMs - b.endMs
}

/** Open windows neither overlap nor (if `touching`) touch, so one pass finds all that the new one brings together. */
function placeOverlapping<W extends Window>(
  open: readonly W[],
  window: Window,
  touching: boolean,
): Placement<W> {
  let { startMs, endMs } = window
  const joined: W[] = []
  for (let i = 0; i < open.length; i++) {
    const other = open[i] as W
    const joins = touching
      ? startMs <= other.endMs && other.startMs <= endMs
      : startMs < other.endMs && other.startMs < endMs
    if (!joins) continue
    joined.push(other)
    startMs = Math.min(startMs, other.startMs)
    endMs = Math.max(endMs, other.endMs)
  }
  return { startMs, endMs, joined }
}
