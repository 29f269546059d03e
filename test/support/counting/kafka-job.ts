/** A job from one Kafka topic to another, at least once, with state on the way. */
import { kafkaSink, kafkaSource } from '../../../operators/kafka/index.ts'
import { json } from '../../../operators/formats/json.ts'
import { job, type, valueState } from '../../../src/index.ts'
import type { Job } from '../../../src/index.ts'
import { paced } from './paced.ts'
import type { Pace } from './paced.ts'
import type { CountRow } from './records.ts'

export interface KafkaJobParams {
  readonly bootstrap: string
  readonly from: string
  readonly to: string
  readonly pace?: Pace
}

/** A record of the input topic. */
export interface KafkaInput {
  readonly id: number
  readonly key: string
}

const counting: Job<KafkaJobParams> = job('topics', { params: type<KafkaJobParams>() }, (env) => {
  const { bootstrap, from, to, pace } = env.params
  const brokers = [bootstrap]
  const topic = kafkaSource({
    brokers,
    topics: [from],
    value: json<KafkaInput>(),
    endAt: 'latest',
  })
  env
    .from('in', pace === undefined ? topic : paced(topic, pace))
    .keyBy(({ key }) => key)
    .process(
      'counts',
      { emits: type<CountRow>(), state: { count: valueState<number>({ default: 0 }) } },
      ({ state, emit }) => ({
        onRecord({ id, key }) {
          const count = state.count.get() + 1
          state.count.set(count)
          emit({ id, key, count })
        },
      }),
    )
    .to('out', kafkaSink({ brokers, topic: to, value: json(), guarantee: 'at-least-once' }))
})

export default counting
