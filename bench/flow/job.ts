/** A running count of bids per auction, topic to topic, exactly once: a row for each bid. */
import { job, json, type } from 'millrace'
import type { Job } from 'millrace'
import { kafkaSink, kafkaSource } from '../../operators/kafka/index.ts'
import type { TopicBid } from '../kafka/bids.ts'

export interface RunningCountParams {
  readonly brokers: readonly string[]
  readonly input: string
  readonly output: string
  readonly group: string
}

/** A row of the output. */
export interface CountOfKey {
  readonly key: number
  readonly value: number
}

const runningCount: Job<RunningCountParams> = job(
  'running-count',
  { params: type<RunningCountParams>() },
  (env) => {
    const { brokers, input, output, group } = env.params
    env
      .from('bids', kafkaSource({ brokers, topics: [input], value: json<TopicBid>(), group }))
      .keyBy((bid) => bid.auction)
      .count('bids-per-auction')
      .to(
        'rows',
        kafkaSink({
          brokers,
          topic: output,
          key: (row) => String(row.key),
          value: json<CountOfKey>(),
        }),
      )
  },
)
export default runningCount
