/**
 * Makes record `index` as soon as it is due: at `startMs + index * 1000 / rate` of the machine's clock, whatever became of those
 * before it. So what waits for a job that is behind is part of its latency, not of the source.
 *
 * Its timestamp is the millisecond in which the record is due. With parallelism P subtask p makes the records whose index modulo P
 * is p. Replayable like `generate`.
 */
import type { Source } from '../../src/contract/source.ts'

export interface Pace {
  /** When record 0 is due. */
  readonly startMs: number
  /** Records a second, of all subtasks together. */
  readonly rate: number
  readonly count: number
}

/** The clock that records are due by and results are timed with: of the machine, finer than a millisecond. */
export function wallMs(): number {
  return performance.timeOrigin + performance.now()
}

/** When a record is due. */
export function dueMs({ startMs, rate }: Pace, index: number): number {
  return startMs + (index * 1000) / rate
}

/**
 * When the record was due that closed the window which ends at `endMs`: the first one in the last of the `parallelism` splits to
 * come there.
 */
export function closedMs(pace: Pace, parallelism: number, endMs: number): number {
  const first = Math.max(0, Math.ceil(((endMs - pace.startMs) * pace.rate) / 1000))
  return dueMs(pace, first + parallelism - 1)
}

export function paced<T>(pace: Pace, record: (index: number) => T): Source<T> {
  return {
    type: 'paced',
    isBounded: true,
    details: { rate: pace.rate, count: pace.count },
    enumerator: ({ parallelism }) => ({
      discover: async (known) =>
        known.size > 0
          ? []
          : Array.from({ length: parallelism }, (_, first) => ({
              id: `${first} of ${parallelism}`,
              data: parallelism,
              position: first,
            })),
    }),
    reader: (context) => ({
      open(split) {
        const step = split.data as number
        let next = split.position as number
        return {
          read(batch, recordsMax) {
            if (next >= pace.count) return 'ended'
            const last = Math.min(
              pace.count - 1,
              Math.floor(((wallMs() - pace.startMs) * pace.rate) / 1000),
            )
            let count = 0
            for (; next <= last && count < recordsMax; next += step, count++) {
              batch.values[count] = record(next)
              batch.timestamps[count] = Math.floor(dueMs(pace, next))
            }
            batch.count = count
            if (count > 0) return 'records'
            context.availableAt(Math.ceil(dueMs(pace, next)))
            return 'empty'
          },
          position: () => next,
        }
      },
    }),
  }
}
