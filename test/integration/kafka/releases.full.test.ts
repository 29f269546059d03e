/**
 * Brokers of older releases: a job from Kafka to Kafka is killed, started again, and its output is that of a run without kills. Whoever wants more
 * of a release has all tests run on it: `MILLRACE_KAFKA_VERSION=3.9.1`.
 */
import { after, before, describe, test } from 'node:test'
import { reportText, runKillPlan } from '../../support/kafka/exactly-once-kills.ts'
import { closeSourceRuns } from '../../support/kafka/source-run.ts'
import { skipWithoutKafka, startKafka } from '../../support/kafka/start-kafka.ts'
import type { RunningKafka } from '../../support/kafka/start-kafka.ts'

const skip = skipWithoutKafka()

for (const version of ['3.0.2', '3.3.2', '3.6.2', '3.9.1', '4.0.0']) {
  describe(`Kafka ${version}`, { skip, timeout: 600_000 }, () => {
    let kafka: RunningKafka
    before(async () => {
      kafka = await startKafka({ version })
    })
    after(closeSourceRuns)
    after(() => kafka.stop())

    for (const transactions of ['resumed', 'stored'] as const) {
      test(transactions, async (t) => {
        const report = await runKillPlan(kafka, {
          guarantee: { kind: 'exactly-once', transactions },
          recordCount: 9000,
          recordsPerSecond: 1500,
          kills: ['before a commit', 'after publish', 'restore: fencing', 'before publish'],
        })
        t.diagnostic(reportText('killed at', report))
      })
    }
  })
}
