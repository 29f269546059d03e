/** Makes up visits to pages and writes them to a topic: input for page-counts.ts. */
import { generate, job, json, type } from 'millrace'
import type { Job } from 'millrace'
import { kafkaSink } from 'millrace/kafka'

export interface Visit {
  readonly page: string
  readonly visitor: number
  readonly atMs: number
}

export interface VisitsParams {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly visitsPerSecond: number
}

const PAGES = ['/', '/prices', '/docs', '/blog', '/about']
const FIRST_MS = Date.UTC(2026, 0, 1)
/** Of event time, however fast they are made. */
const EVERY_MS = 5

const visits: Job<VisitsParams> = job('visits', { params: type<VisitsParams>() }, (env) => {
  const { brokers, topic, visitsPerSecond } = env.params
  env
    .from(
      'visits',
      generate({
        recordsPerSecond: visitsPerSecond,
        record: (index): Visit => ({
          page: PAGES[((index * 7919) % 11) % PAGES.length] ?? '/',
          visitor: index % 100,
          atMs: FIRST_MS + index * EVERY_MS,
        }),
      }),
    )
    // without a key, so that all partitions go on alike: event time is that of the one furthest behind
    .to('topic', kafkaSink({ brokers, topic, value: json<Visit>() }))
})

export default visits
