/** Copies a topic to another by key, exactly once; every record goes to another thread on its way. A module, so that threads can load it. */
import { job, type } from 'millrace'
import type { Job } from 'millrace'
import { kafkaSink, kafkaSource } from '../../../operators/kafka/index.ts'
import type { ExactlyOnce } from '../../../operators/kafka/index.ts'
import { text } from '../kafka/source-run.ts'

export interface KafkaCopy {
  readonly bootstrap: string
  readonly input: string
  readonly output: string
  readonly guarantee: ExactlyOnce
}

const kafkaCopyJob: Job<KafkaCopy> = job(
  'kafka-copy',
  { params: type<KafkaCopy>() },
  (env): void => {
    const { bootstrap, input, output, guarantee } = env.params
    const brokers = [bootstrap]
    env
      .from('in', kafkaSource({ brokers, topics: [input], value: text, endAt: 'latest' }))
      .keyBy((value) => value)
      .process('copy', { emits: type<string>() }, ({ emit }) => ({
        onRecord: (value) => emit(value),
      }))
      .to(
        'out',
        kafkaSink<string>({
          brokers,
          topic: output,
          value: text,
          key: (value) => value,
          guarantee,
        }),
      )
  },
)
export default kafkaCopyJob
