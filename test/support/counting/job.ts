/**
 * The job that is killed: a running count per key and a tumbling window, from JSON-lines files to files. Its functions can be made to
 * fail on the way.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileSink, fileSource } from '../../../operators/files/index.ts'
import { json } from '../../../operators/formats/json.ts'
import { aggregator, job, outOfOrder, tumbling, type, valueState } from '../../../src/index.ts'
import type { Job } from '../../../src/index.ts'
import { paced } from './paced.ts'
import type { Pace } from './paced.ts'
import { WINDOW_MS } from './records.ts'
import type { CountRow, CountingRecord, WindowRow } from './records.ts'

export interface CountingParams {
  readonly input: string
  readonly rows: string
  readonly windows: string
  readonly pace?: Pace
  readonly trouble?: Trouble
}

/** What befalls the subtask that comes to count one of the records `ids`. */
export interface Trouble {
  readonly kind: 'throw' | 'exit' | 'out of memory' | 'loop'
  readonly ids: readonly number[]
  /** Every time, or once: then a file named after the id is made in this directory. */
  readonly once?: string
}

const countAndSum = aggregator({
  create: () => ({ count: 0, idSum: 0 }),
  add: (sums, { id }: CountingRecord) => ({ count: sums.count + 1, idSum: sums.idSum + id }),
  merge: (a, b) => ({ count: a.count + b.count, idSum: a.idSum + b.idSum }),
  result: (sums) => sums,
  isExact: true,
  keepsValues: false,
})

const counting: Job<CountingParams> = job('counting', { params: type<CountingParams>() }, (env) => {
  const { input, rows, windows, pace, trouble } = env.params
  const files = fileSource({ path: join(input, 'in-*.jsonl'), format: json<CountingRecord>() })
  const records = env
    .from('records', pace === undefined ? files : paced(files, pace), {
      timestampMs: ({ atMs }) => atMs,
      watermarks: outOfOrder({ delay: '500ms' }),
    })
    .keyBy(({ key }) => key)
  const troubled = new Set(trouble?.ids)
  records
    .process(
      'counts',
      { emits: type<CountRow>(), state: { count: valueState<number>({ default: 0 }) } },
      ({ state, emit }) => ({
        onRecord({ id, key }) {
          if (trouble !== undefined && troubled.has(id)) befall(trouble, id)
          const count = state.count.get() + 1
          state.count.set(count)
          emit({ id, key, count })
        },
      }),
    )
    .to('rows', fileSink({ directory: rows, format: json() }))
  records
    .window(tumbling({ size: `${WINDOW_MS}ms` }))
    .aggregate('windowed', countAndSum)
    .map(({ key, window, value }): WindowRow => ({ key, endMs: window.endMs, ...value }))
    .to('windows', fileSink({ directory: windows, format: json() }))
})

export default counting

function befall({ kind, once }: Trouble, id: number): void {
  if (once !== undefined && !isFirstTime(join(once, String(id)))) return
  switch (kind) {
    case 'throw':
      throw new Error(`record ${id} is bad`)
    case 'exit':
      return process.exit(3)
    case 'out of memory': {
      // in large pieces: near its limit Node 24 collects garbage for ever before it refuses a small one
      const kept: unknown[] = []
      for (;;) kept.push(new Array(1_000_000).fill(kept.length))
    }
    case 'loop':
      for (;;);
  }
}

function isFirstTime(path: string): boolean {
  try {
    writeFileSync(path, '', { flag: 'wx' })
    return true
  } catch {
    // it has been made
    return false
  }
}
