/**
 * Sessions of users: when each began and ended, how many clicks it had and on which pages it began and ended. A session is over after
 * 30 minutes without a click. From Kafka to Kafka, exactly once.
 */
import { combine, count, job, json, maxBy, minBy, outOfOrder, session, type } from 'millrace'
import type { Job } from 'millrace'
import { kafkaSink, kafkaSource } from 'millrace/kafka'

interface Click {
  readonly user: string
  readonly page: string
  readonly atMs: number
}

interface Params {
  /** `host:port`, with commas between. */
  readonly brokers: string
}

const sessions: Job<Params> = job(
  'sessions',
  { params: type<Params>(), checkpoints: { directory: './state/sessions', interval: '5s' } },
  (env) => {
    const brokers = env.params.brokers.split(',')

    env
      .from(
        'clicks',
        kafkaSource({ brokers, topics: ['clicks'], value: json<Click>(), group: 'sessions' }),
        {
          timestampMs: (click) => click.atMs,
          watermarks: outOfOrder({ delay: '10s' }),
          idleAfter: '1min',
        },
      )
      .keyBy((click) => click.user)
      .window(session({ gap: '30min' }))
      .aggregate(
        'sessions',
        combine({
          clicks: count(),
          first: minBy((click: Click) => click.atMs),
          last: maxBy((click: Click) => click.atMs),
        }),
      )
      .flatMap(({ key, value: { clicks, first, last } }) => {
        const [from] = first
        const [to] = last
        if (from === undefined || to === undefined) return []
        return [
          {
            user: key,
            clicks,
            startedAt: new Date(from.atMs).toISOString(),
            durationMs: to.atMs - from.atMs,
            entryPage: from.page,
            exitPage: to.page,
          },
        ]
      })
      .to(
        'sessions-out',
        kafkaSink({
          brokers,
          topic: 'sessions',
          value: json(),
          key: (row) => row.user,
          guarantee: 'exactly-once',
        }),
      )
  },
)

export default sessions
