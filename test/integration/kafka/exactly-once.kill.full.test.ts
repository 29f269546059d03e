/**
 * The exactly-once sink under SIGKILL, in full: every named point three times at least, in both modes, with the transactions of Kafka 4 and of
 * Kafka 3, and the broker killed as well.
 */
import { after, before, describe, test } from 'node:test'
import { killPoints } from '../../support/kafka/exactly-once-child.ts'
import { merged, reportText, runKillPlan } from '../../support/kafka/exactly-once-kills.ts'
import type { KillPlan } from '../../support/kafka/exactly-once-kills.ts'
import { skipWithoutKafka, startKafka } from '../../support/kafka/start-kafka.ts'
import type { RunningKafka } from '../../support/kafka/start-kafka.ts'
import { closeSourceRuns } from '../../support/kafka/source-run.ts'

const skip = skipWithoutKafka()
const roundCount = 3

/** A restore has something to commit only after a run that was killed between a checkpoint and its commits. */
const round: KillPlan['kills'] = [
  'after publish',
  ...killPoints.filter((point) => point.startsWith('restore')),
  ...killPoints.filter(
    (point) => !point.startsWith('restore') && !['after publish', 'end of input'].includes(point),
  ),
  'at once',
  'the broker',
]

/** The end of the input comes last, and once: it is killed in further plans, which are short. */
const kills: KillPlan['kills'] = [
  ...Array.from({ length: roundCount }, () => round).flat(),
  'end of input',
]

for (const version of [2, 0]) {
  const name = `exactly once, killed everywhere, transaction.version ${version}`
  describe(name, { skip, timeout: 3_600_000 }, () => {
    let kafka: RunningKafka
    before(async () => {
      kafka = await startKafka({ features: { 'transaction.version': version } })
    })
    after(closeSourceRuns)
    after(() => kafka.stop())

    for (const transactions of ['resumed', 'stored'] as const) {
      test(transactions, async (t) => {
        const guarantee = { kind: 'exactly-once', transactions } as const
        const recordsPerSecond = 3000
        const reports = [
          await runKillPlan(kafka, {
            guarantee,
            recordCount: 300_000,
            recordsPerSecond,
            kills,
            timesMin: roundCount,
          }),
        ]
        while (reports.length < roundCount) {
          const short = { guarantee, recordCount: 6000, recordsPerSecond }
          reports.push(await runKillPlan(kafka, { ...short, kills: ['end of input'] }))
        }
        const report = merged(reports)
        t.diagnostic(reportText('killed at', report))
      })
    }
  })
}
