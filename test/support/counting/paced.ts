/** Holds a source back, so that a job lasts as long as a test needs it to. */
import type { Source, SourceReader, SplitReader } from '../../../src/contract/source.ts'

export interface Pace {
  /** Of all subtasks together. */
  readonly recordsPerSecond: number
  /** No more are read since the start or restart, by all subtasks together; then the source just has nothing. */
  readonly recordsMax?: number
}

export function paced<T>(source: Source<T>, { recordsPerSecond, recordsMax }: Pace): Source<T> {
  return {
    ...source,
    async reader(context): Promise<SourceReader> {
      const { parallelism, clock } = context
      const perMs = recordsPerSecond / parallelism / 1000
      const max = recordsMax === undefined ? Infinity : Math.ceil(recordsMax / parallelism)
      const inner = await source.reader(context)
      // from the first read on: opening a job may take long
      let startMs = NaN
      let count = 0
      return {
        open(split): SplitReader {
          const reader = inner.open(split)
          return {
            read(batch, wanted) {
              if (Number.isNaN(startMs)) startMs = clock.elapsed()
              const allowed = Math.min(max, Math.ceil((clock.elapsed() - startMs) * perMs)) - count
              if (allowed <= 0) {
                if (count < max) context.availableAt(clock.now() + 5)
                return 'empty'
              }
              const answer = reader.read(batch, Math.min(wanted, allowed))
              count += batch.count
              return answer
            },
            position: () => reader.position(),
            close: () => reader.close?.(),
          }
        },
        close: () => inner.close?.(),
      }
    },
  }
}
