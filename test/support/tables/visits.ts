/** The input of the job of tables, and what its tables must be: made by a sequential program that knows nothing of the engine. */

export interface Visit {
  readonly user: string
  readonly atMs: number
}

export interface VisitSize {
  readonly visitCount: number
  readonly userCount: number
}

export const GAP_MS = 3000
/** Sessions are told apart by their length in whole multiples of it. */
export const BUCKET_MS = 2000
const BEGIN_MS = 1_000_000
/** Event time in which each user visits once, on average: a little more than half the gap. */
const EACH_MS = 1700
/** How late a visit may come. */
export const LATE_MS = 1500

/** The visit of this number. Deterministic. */
export function visitOf(index: number, { userCount }: VisitSize): Visit {
  const chance = Math.imul(index + 1, 0x9e3779b1) >>> 0
  const atMs = Math.floor((index * EACH_MS) / userCount) - ((chance >>> 7) % LATE_MS)
  return { user: `user-${(chance >>> 3) % userCount}`, atMs: BEGIN_MS + atMs }
}

export function bucketOf({ startMs, endMs }: { startMs: number; endMs: number }): number {
  return Math.floor((endMs - startMs) / BUCKET_MS)
}

/** A table as lines, in the order of text. */
export type TableLines = readonly string[]

export const bucketLine = (bucket: number, sessions: number, visits: number): string =>
  `bucket ${bucket}: ${sessions} sessions, ${visits} visits`

export const longestLine = (user: string, lengthMs: number): string =>
  `longest of ${user}: ${lengthMs}`

/** What both tables hold in the end. */
export function expectedTables(size: VisitSize): TableLines {
  const times = new Map<string, number[]>()
  for (let index = 0; index < size.visitCount; index++) {
    const { user, atMs } = visitOf(index, size)
    const own = times.get(user)
    if (own === undefined) times.set(user, [atMs])
    else own.push(atMs)
  }
  const buckets = new Map<number, { sessions: number; visits: number }>()
  const lines: string[] = []
  for (const [user, list] of times) {
    let longestMs = 0
    list.sort((a, b) => a - b)
    for (let at = 0; at < list.length;) {
      const startMs = list[at] as number
      let visits = 0
      let endMs = startMs
      for (; at < list.length && (visits === 0 || (list[at] as number) <= endMs); at++) {
        endMs = (list[at] as number) + GAP_MS
        visits += 1
      }
      const bucket = bucketOf({ startMs, endMs })
      const former = buckets.get(bucket) ?? { sessions: 0, visits: 0 }
      buckets.set(bucket, { sessions: former.sessions + 1, visits: former.visits + visits })
      longestMs = Math.max(longestMs, endMs - startMs)
    }
    lines.push(longestLine(user, longestMs))
  }
  for (const [bucket, { sessions, visits }] of buckets) {
    lines.push(bucketLine(bucket, sessions, visits))
  }
  return lines.sort()
}

/** The table that changes leave, whatever order they are read in; each change is a line with its kind. */
export class ChangedTable {
  readonly #counts = new Map<string, number>()

  add(line: string, count: 1 | -1): void {
    const sum = (this.#counts.get(line) ?? 0) + count
    if (sum === 0) this.#counts.delete(line)
    else this.#counts.set(line, sum)
  }

  /** A line that is there twice, or was taken back twice, shows how often. */
  lines(): TableLines {
    return [...this.#counts].map(([line, n]) => (n === 1 ? line : `${n} times ${line}`)).sort()
  }
}
