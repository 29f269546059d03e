/**
 * Views per page and minute, from one topic to another, exactly once. Views that are no JSON go to a topic of their own, with
 * the reason and their place.
 */
import { deadLetterJson, job, json, outOfOrder, tumbling, type } from 'millrace'
import type { Job } from 'millrace'
import { kafkaSink, kafkaSource } from 'millrace/kafka'

interface View {
  readonly page: string
  readonly user: string
  readonly atMs: number
}

interface Params {
  /** `host:port`, with commas between. */
  readonly brokers: string
}

const pageViews: Job<Params> = job(
  'page-views',
  { params: type<Params>(), checkpoints: { directory: './state/page-views', interval: '5s' } },
  (env) => {
    const brokers = env.params.brokers.split(',')

    env
      .from(
        'views',
        kafkaSource({
          brokers,
          topics: ['views'],
          value: json<View>(),
          group: 'page-views',
          onUndecodable: 'dead-letter',
        }),
        {
          timestampMs: (view) => view.atMs,
          watermarks: outOfOrder({ delay: '3s' }),
          idleAfter: '30s',
        },
      )
      .keyBy((view) => view.page)
      .window(tumbling({ size: '1min' }))
      .count('views-per-page')
      .map(({ key, value, window }) => ({
        page: key,
        views: value,
        minute: new Date(window.startMs).toISOString(),
      }))
      .to(
        'counts',
        kafkaSink({
          brokers,
          topic: 'views-per-minute',
          value: json(),
          key: (row) => row.page,
          guarantee: 'exactly-once',
        }),
      )

    env.deadLetters.to(
      'undecodable',
      kafkaSink({
        brokers,
        topic: 'views-undecodable',
        value: deadLetterJson(),
        guarantee: 'exactly-once',
      }),
    )
  },
)

export default pageViews
