/**
 * Three brokers, of which those that coordinate transactions are killed one after the other while the job runs, and the job too: the output is that
 * of a run without kills.
 */
import { after, before, describe, test } from 'node:test'
import { reportText, runKillPlan } from '../../support/kafka/exactly-once-kills.ts'
import { closeSourceRuns } from '../../support/kafka/source-run.ts'
import { skipWithoutKafka, startKafka } from '../../support/kafka/start-kafka.ts'
import type { RunningKafka } from '../../support/kafka/start-kafka.ts'

describe('three brokers', { skip: skipWithoutKafka(), timeout: 1_200_000 }, () => {
  let kafka: RunningKafka
  before(async () => {
    kafka = await startKafka({ brokerCount: 3 })
  })
  after(closeSourceRuns)
  after(() => kafka.stop())

  for (const transactions of ['resumed', 'stored'] as const) {
    test(transactions, async (t) => {
      const report = await runKillPlan(kafka, {
        guarantee: { kind: 'exactly-once', transactions },
        recordCount: 120_000,
        recordsPerSecond: 1500,
        kills: ['the broker', 'before a commit', 'the broker', 'after publish', 'the broker'],
      })
      t.diagnostic(reportText('killed at', report))
    })
  }
})
