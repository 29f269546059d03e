/**
 * A job whose keyed state at a checkpoint follows from the source's position alone, with every kind of cell: a value that is changed
 * in place, a map, a list, timers. And the same operator read out by another source, to look into a checkpoint.
 *
 * A key's records all come from one split (the number of keys is a multiple of the parallelism), so they come in order.
 */
import {
  customWatermarks,
  generate,
  job,
  listState,
  mapState,
  monotonous,
  type,
  valueState,
} from 'millrace'
import type { DataStream, Job, Sink } from 'millrace'

/** Record `index` belongs to key `index % keyCount`. */
interface Entry {
  readonly index: number
  readonly key: number
}

export interface Ledger {
  /** A multiple of four. */
  readonly keyCount: number
  /** Default: as many as there can be. */
  readonly recordsPerSecond?: number
}

/** Where the split of record `first`, `first + step`, … stood. */
export interface SplitAt {
  readonly first: number
  readonly step: number
  /** The next record. */
  readonly position: number
}

const LIST_MAX = 8
const MAP_SIZE = 5

/** Writes the ledger, without end. */
const ledgerJob: Job<Ledger> = job('ledger', { params: type<Ledger>() }, (env) => {
  const { keyCount, recordsPerSecond = Infinity } = env.params
  const entries = env.from(
    'entries',
    generate({
      recordsPerSecond,
      record: (index): Entry => ({ index, key: index % keyCount }),
    }),
    { timestampMs: ({ index }) => index, watermarks: monotonous() },
  )
  keep(entries, { keyCount, isReading: false }).to('nowhere', { type: 'none', open: () => none })
})
export default ledgerJob

const none = { write: (): void => {} }

/** Answers what a checkpoint of the ledger holds: a row for each key, and one for each timer. */
export function readingJob({ keyCount }: Ledger, sink: Sink<string>): Job {
  return job('ledger', (env) => {
    const asked = env.from(
      'questions',
      generate({ count: keyCount, record: (index): Entry => ({ index: -1, key: index }) }),
      // says nothing of the time until the end, when every timer fires
      { timestampMs: () => 0, watermarks: customWatermarks(() => ({ advance: () => -Infinity })) },
    )
    keep(asked, { keyCount, isReading: true }).to('answers', sink)
  })
}

/** The rows of a checkpoint, worked out record by record. `watermarkMs`: of the subtask that has the key. */
export function ledgerRows(
  { keyCount }: Ledger,
  splits: readonly SplitAt[],
  watermarkMs: (key: string) => number,
): string[] {
  return Array.from({ length: keyCount }, (_, number) => {
    const key = `key-${number}`
    const split = splits.find(({ first, step }) => number % step === first)
    const sums = { count: 0, sum: 0, fired: 0 }
    const last = new Map<number, number>()
    let recent: number[] = []
    const timers: string[] = []
    for (let index = number; index < (split?.position ?? 0); index += keyCount) {
      sums.count += 1
      sums.sum += index
      last.set(sums.count % MAP_SIZE, index)
      if (sums.count % LIST_MAX === 0) recent = []
      else recent.push(index)
      if (timerOf(index, keyCount) <= watermarkMs(key)) sums.fired += 1
      else timers.push(timerRow(key, timerOf(index, keyCount)))
    }
    const map = [...last].sort(([a], [b]) => a - b)
    return [keyRow(key, sums, map, recent), ...timers]
  }).flat()
}

function keep(
  entries: DataStream<Entry>,
  { keyCount, isReading }: Ledger & { readonly isReading: boolean },
): DataStream<string> {
  return entries
    .keyBy(({ key }) => `key-${key}`)
    .process(
      'keep',
      {
        emits: type<string>(),
        state: {
          sums: valueState({ default: { count: 0, sum: 0, fired: 0 } }),
          last: mapState<number, { index: number }>(),
          recent: listState<number>(),
        },
      },
      ({ state, timers, emit, key }) => ({
        onRecord({ index }) {
          const sums = state.sums.get()
          if (isReading) {
            const map = [...state.last.entries()].map(([rest, last]) => [rest, last.index] as const)
            emit(keyRow(key(), sums, map, [...state.recent.values()]))
            return
          }
          sums.count += 1
          sums.sum += index
          state.sums.set(sums)
          state.last.set(sums.count % MAP_SIZE, { index })
          if (sums.count % LIST_MAX === 0) state.recent.clear()
          else state.recent.add(index)
          timers.setEventTime(timerOf(index, keyCount))
        },
        onTimer({ timestampMs }) {
          if (isReading) {
            emit(timerRow(key(), timestampMs))
            return
          }
          const sums = state.sums.get()
          sums.fired += 1
          state.sums.set(sums)
        },
      }),
    )
}

/** Between the next record of the key and the one after that. */
function timerOf(index: number, keyCount: number): number {
  return index + keyCount * 1.5
}

function keyRow(
  key: string,
  sums: { readonly count: number; readonly sum: number; readonly fired: number },
  map: readonly (readonly [number, number])[],
  recent: readonly number[],
): string {
  const entries = map.map(([rest, index]) => `${rest}=${index}`)
  return `${key} ${sums.count} ${sums.sum} ${sums.fired} {${entries.join()}} [${recent.join()}]`
}

function timerRow(key: string, timestampMs: number): string {
  return `${key} timer ${timestampMs}`
}
