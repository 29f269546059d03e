/**
 * Sessions that take back what they said when a visit makes them grow or join, and two tables of them: one whose aggregates have an
 * inverse, and one that keeps its rows. What is written are the changes of the tables.
 */
import { fileSink } from '../../../operators/files/index.ts'
import {
  afterCount,
  afterWatermark,
  combine,
  count,
  generate,
  job,
  json,
  max,
  outOfOrder,
  session,
  sum,
  type,
} from '../../../src/index.ts'
import type { Change, Job } from '../../../src/index.ts'
import { paced } from '../counting/paced.ts'
import type { Pace } from '../counting/paced.ts'
import { GAP_MS, bucketLine, bucketOf, longestLine, visitOf } from './visits.ts'
import type { Visit, VisitSize } from './visits.ts'

export interface TablesParams {
  readonly size: VisitSize
  readonly buckets: string
  readonly longest: string
  readonly pace?: Pace
}

const tables: Job<TablesParams> = job('tables', { params: type<TablesParams>() }, (env) => {
  const { size, buckets, longest, pace } = env.params
  const visits = generate<Visit>({
    count: size.visitCount,
    record: (index) => visitOf(index, size),
  })
  const sessions = env
    .from('visits', pace === undefined ? visits : paced(visits, pace), {
      timestampMs: ({ atMs }) => atMs,
      watermarks: outOfOrder({ delay: '200ms' }),
    })
    .keyBy(({ user }) => user)
    .window(session({ gap: `${GAP_MS}ms` }), {
      trigger: afterWatermark({ early: afterCount(3), late: afterCount(1) }),
      allowedLateness: '30s',
      accumulation: 'retracting',
    })
    .count('sessions')
  sessions
    .keyBy(({ window }) => bucketOf(window))
    .aggregate('buckets', combine({ sessions: count(), visits: sum(({ value }) => value) }))
    .map(({ key, value }) => bucketLine(key, value.sessions, value.visits))
    .changes()
    .to('buckets-out', fileSink({ directory: buckets, format: json<Change<string>>() }))
  sessions
    .map(({ key, window }) => ({ user: key, lengthMs: window.endMs - window.startMs }))
    .keyBy(({ user }) => user)
    .aggregate(
      'longest',
      max(({ lengthMs }) => lengthMs),
    )
    .map(({ key, value }) => longestLine(key, value))
    .changes()
    .to('longest-out', fileSink({ directory: longest, format: json<Change<string>>() }))
})

export default tables
