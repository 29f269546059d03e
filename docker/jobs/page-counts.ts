/** Visits per page in each ten seconds: Kafka to Kafka, exactly once. The sample job of docs/service.md. */
import { job, json, outOfOrder, tumbling, type } from 'millrace'
import type { Job } from 'millrace'
import { kafkaSink, kafkaSource } from 'millrace/kafka'

interface Visit {
  readonly page: string
  readonly atMs: number
}

export interface PageCount {
  readonly page: string
  readonly from: string
  readonly visits: number
}

export interface PageCountsParams {
  readonly brokers: readonly string[]
  readonly input: string
  readonly output: string
}

const pageCounts: Job<PageCountsParams> = job(
  'page-counts',
  { params: type<PageCountsParams>() },
  (env) => {
    const { brokers, input, output } = env.params
    env
      .from('visits', kafkaSource({ brokers, topics: [input], value: json<Visit>() }), {
        timestampMs: ({ atMs }) => atMs,
        watermarks: outOfOrder({ delay: '1s' }),
      })
      .keyBy(({ page }) => page)
      .window(tumbling({ size: '10s' }))
      .count('visits-per-page')
      .map(({ key, window, value }): PageCount => ({
        page: key,
        from: new Date(window.startMs).toISOString(),
        visits: value,
      }))
      .to(
        'counts',
        kafkaSink({ brokers, topic: output, key: ({ page }) => page, value: json<PageCount>() }),
      )
  },
)

export default pageCounts
