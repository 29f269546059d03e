/**
 * Windows, as a job runs them: nanoseconds of processor time a record, source and sink included, counts of 1000 keys at ten
 * records a millisecond of event time.
 *
 *   node dist/bench/window/window.bench.js [records=1000000] [rounds=5]
 */
import { count, session, sliding, tumbling } from 'millrace'
import type { DataStream, KeyedStream } from 'millrace'
import { random } from '../../examples/auction/events.ts'
import { printJob } from '../micro/jobs.ts'

interface Keyed {
  readonly key: number
}

const KEYS = 1000
const record = (index: number): Keyed => ({ key: random(index, 12) % KEYS })
type Build = (stream: KeyedStream<number, Keyed>) => DataStream<unknown>

const cases: readonly (readonly [string, Build])[] = [
  ['window/a running count, no window', (stream) => stream.count('counts')],
  [
    'window/tumbling 1 s',
    (stream) => stream.window(tumbling({ size: '1s' })).aggregate('counts', count()),
  ],
  [
    'window/sliding 10 s every 2 s',
    (stream) => stream.window(sliding({ size: '10s', every: '2s' })).aggregate('counts', count()),
  ],
  [
    'window/session, gap 1 s',
    (stream) => stream.window(session({ gap: '1s' })).aggregate('counts', count()),
  ],
]
for (const [name, build] of cases) {
  await printJob<Keyed>({ name, record, build: (stream) => build(stream.keyBy(({ key }) => key)) })
}
