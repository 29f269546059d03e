/** Small jobs in the calling thread, timed: what operators cost as the engine runs them, generated code and all. */
import { generate, job, monotonous, run } from 'millrace'
import type { DataStream, Env, Sink } from 'millrace'
import { options, print } from './tasks.ts'

const RECORDS = Number(options.get('records') ?? 1_000_000)
const ROUNDS = Number(options.get('rounds') ?? 5)
/** Event time: so many records a millisecond. */
const RECORDS_PER_MS = 10

export interface JobCase<T> {
  readonly name: string
  readonly record: (index: number) => T
  readonly build: (stream: DataStream<T>) => DataStream<unknown>
}

/** Processor time of the process for each record, the least of some rounds: source, sink and start-up are in it. */
export async function printJob<T>({ name, record, build }: JobCase<T>): Promise<void> {
  let least = Infinity
  for (let round = 0; round < ROUNDS; round++) {
    let written = 0
    const sink: Sink<unknown> = {
      type: 'nowhere',
      open: () => ({ write: () => void (written += 1) }),
    }
    const timed = job('timed', (env: Env) => {
      const stream = env.from('records', generate({ count: RECORDS, record: timesOf(record) }), {
        timestampMs: ({ atMs }) => atMs,
        watermarks: monotonous(),
      })
      build(stream.map(({ value }) => value)).to('nowhere', sink)
    })
    const before = process.cpuUsage()
    await run(timed)
    const { user, system } = process.cpuUsage(before)
    least = Math.min(least, ((user + system) * 1000) / RECORDS)
    if (written === 0) throw new Error(`${name}: nothing came to the sink`)
  }
  print(name, least, 'a record')
}

function timesOf<T>(
  record: (index: number) => T,
): (index: number) => { readonly atMs: number; readonly value: T } {
  return (index) => ({ atMs: Math.floor(index / RECORDS_PER_MS), value: record(index) })
}
