/** Where in a script the job is killed. Pure: the same seed chooses the same places. */

/** After so many steps, and after so many records of the next. */
export interface CrashPoint {
  readonly step: number
  readonly record: number
}

/** As many different points as asked for, or as there are, in order. `recordCounts`: of each step, how many records it may be cut into. */
export function crashPoints(
  recordCounts: readonly number[],
  options: { readonly count: number; readonly seed: number },
): CrashPoint[] {
  const points = recordCounts.flatMap((records, step) =>
    Array.from({ length: Math.max(1, records) }, (_, record) => ({ step, record })),
  )
  const random = generator(options.seed)
  const chosen: CrashPoint[] = []
  while (chosen.length < options.count && points.length > 0) {
    chosen.push(...points.splice(Math.floor(random() * points.length), 1))
  }
  return chosen.sort((a, b) => a.step - b.step || a.record - b.record)
}

/** Mulberry32: numbers from 0 to just below 1. */
function generator(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
