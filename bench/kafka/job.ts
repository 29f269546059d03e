/** The jobs of the Kafka benchmark, by name: each is what a user would write. */
import {
  bytes,
  count,
  combine,
  generate,
  job,
  json,
  max,
  outOfOrder,
  text,
  tumbling,
  type,
} from 'millrace'
import type { Env, Format, Job, Source } from 'millrace'
import { kafkaSink, kafkaSource } from '../../operators/kafka/index.ts'
import { WINDOW_MS, rowText, topicBid } from './bids.ts'
import type { TopicBid } from './bids.ts'
import { checksumSink } from '../nexmark/checksum-sink.ts'

export type KafkaBenchParams = {
  readonly brokers: readonly string[]
} & (
  | { readonly work: 'load'; readonly topic: string; readonly events: number }
  | {
      /** Bids that are dated when they are made. */
      readonly work: 'live'
      readonly topic: string
      readonly rate: number
      readonly seconds: number
    }
  | {
      readonly work: 'fill'
      readonly topic: string
      readonly events: number
      readonly valueBytes: number
    }
  | {
      /** Counted per auction in windows of a second, topic to topic, exactly once. */
      readonly work: 'count'
      readonly input: string
      readonly output: string
      readonly group: string
      readonly trailMs: number
    }
  | { readonly work: 'consume'; readonly topic: string }
)

const benchmark: Job<KafkaBenchParams> = job(
  'kafka-bench',
  { params: type<KafkaBenchParams>() },
  (env) => {
    const { params } = env
    const { brokers } = params
    switch (params.work) {
      case 'load':
        return writeBids(env, generate({ count: params.events, record: topicBid }), params.topic)
      case 'live':
        return writeBids(
          env,
          generate({
            count: params.rate * params.seconds,
            recordsPerSecond: params.rate,
            record: (index) => ({ ...topicBid(index), dateTime: Date.now() }),
          }),
          params.topic,
        )
      case 'fill': {
        const payload = new Uint8Array(params.valueBytes).fill(120)
        env
          .from('numbers', generate({ count: params.events, record: () => payload }))
          .to(
            'topic',
            kafkaSink({ brokers, topic: params.topic, value: bytes(), guarantee: 'at-least-once' }),
          )
        return
      }
      case 'count':
        env
          .from(
            'bids',
            kafkaSource({
              brokers,
              topics: [params.input],
              value: json<TopicBid>(),
              group: params.group,
            }),
            {
              timestampMs: (bid) => bid.dateTime,
              watermarks: outOfOrder({ delay: `${params.trailMs}ms` }),
            },
          )
          .keyBy((bid) => bid.auction)
          .window(tumbling({ size: `${WINDOW_MS}ms` }))
          .aggregate(
            'counts',
            combine({ count: count(), lastMs: max((bid: TopicBid) => bid.dateTime) }),
          )
          .map(({ key, value, window }) => rowText({ endMs: window.endMs, auction: key, ...value }))
          .to('rows', kafkaSink({ brokers, topic: params.output, value: text() }))
        return
      case 'consume':
        env
          .from(
            'records',
            kafkaSource({ brokers, topics: [params.topic], value: lengths, endAt: 'latest' }),
          )
          .to('bytes', checksumSink())
    }
  },
)

/** Looks at the bytes where they are and keeps none, like the loops that it is compared with. */
const lengths: Format<number> = {
  name: 'length',
  encode: () => new Uint8Array(0),
  decode: (value) => value.length,
}

/** At the time of their dates, by auction: a partition has all bids of its auctions, in order. */
function writeBids(env: Env<KafkaBenchParams>, source: Source<TopicBid>, topic: string): void {
  env.from('bids', source).to(
    'topic',
    kafkaSink({
      brokers: env.params.brokers,
      topic,
      value: json(),
      key: (bid) => String(bid.auction),
      timestampMs: (bid) => bid.dateTime,
      guarantee: 'at-least-once',
    }),
  )
}

export default benchmark
