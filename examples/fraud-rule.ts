/**
 * A payment of less than 1 that is followed within a minute by one above the limit, on one card, raises an alert. The limit is 500,
 * or what the topic of rules says for the merchant: rules change while the job runs. From Kafka to Kafka, exactly once.
 */
import { job, json, mapState, ms, outOfOrder, type, valueState } from 'millrace'
import type { Job } from 'millrace'
import { kafkaSink, kafkaSource } from 'millrace/kafka'

interface Payment {
  readonly card: string
  readonly merchant: string
  readonly amount: number
  readonly atMs: number
}

interface Rule {
  readonly merchant: string
  readonly limit: number
}

interface Alert {
  readonly card: string
  readonly merchant: string
  readonly amount: number
  readonly smallAtMs: number
  readonly atMs: number
}

interface Params {
  /** `host:port`, with commas between. */
  readonly brokers: string
}

const WITHIN_MS = ms('1min')
const SMALL_BELOW = 1
const LIMIT = 500

const fraudRule: Job<Params> = job(
  'fraud-rule',
  { params: type<Params>(), checkpoints: { directory: './state/fraud-rule', interval: '2s' } },
  (env) => {
    const brokers = env.params.brokers.split(',')

    // rules have no part in event time: idle, they hold no timer back
    const rules = env.from(
      'rules',
      kafkaSource({ brokers, topics: ['rules'], value: json<Rule>(), group: 'fraud-rule' }),
      { idleAfter: '1s' },
    )

    env
      .from(
        'payments',
        kafkaSource({ brokers, topics: ['payments'], value: json<Payment>(), group: 'fraud-rule' }),
        {
          timestampMs: (payment) => payment.atMs,
          watermarks: outOfOrder({ delay: '5s' }),
          idleAfter: '30s',
        },
      )
      .keyBy((payment) => payment.card)
      .process(
        'small-then-large',
        {
          emits: type<Alert>(),
          inputs: { rules: rules.broadcast() },
          broadcastState: { limits: mapState<string, number>() },
          state: { smallAtMs: valueState<number>() },
        },
        ({ state, broadcastState, timers, emit }) => ({
          onRecord({ card, merchant, amount, atMs }) {
            const smallAtMs = state.smallAtMs.get()
            const limit = broadcastState.limits.get(merchant) ?? LIMIT
            const isSoon = smallAtMs !== undefined && Math.abs(atMs - smallAtMs) <= WITHIN_MS
            if (isSoon && amount > limit) emit({ card, merchant, amount, smallAtMs, atMs })
            if (amount < SMALL_BELOW) {
              state.smallAtMs.set(atMs)
              timers.setEventTime(atMs + WITHIN_MS + 1)
            }
          },
          // a card that is not used any more keeps no state
          onTimer({ timestampMs }) {
            if (state.smallAtMs.get() === timestampMs - WITHIN_MS - 1) state.smallAtMs.clear()
          },
          inputs: {
            rules: ({ merchant, limit }, { broadcastState: { limits } }) =>
              limits.set(merchant, limit),
          },
        }),
      )
      .to(
        'alerts',
        kafkaSink({
          brokers,
          topic: 'alerts',
          value: json(),
          key: (alert) => alert.card,
          guarantee: 'exactly-once',
        }),
      )
  },
)

export default fraudRule
