/** The exactly-once sink under SIGKILL at every named point. The long form: exactly-once.kill.full.test.ts. */
import { after, before, describe, test } from 'node:test'
import { reportText, runKillPlan } from '../../support/kafka/exactly-once-kills.ts'
import type { KillPlan } from '../../support/kafka/exactly-once-kills.ts'
import { skipWithoutKafka, startKafka } from '../../support/kafka/start-kafka.ts'
import type { RunningKafka } from '../../support/kafka/start-kafka.ts'
import { closeSourceRuns } from '../../support/kafka/source-run.ts'

const skip = skipWithoutKafka()

/** Each mode sees every point that is its own; the long form has all of them for all. */
const plans: readonly (readonly [number, 'resumed' | 'stored', KillPlan['kills']])[] = [
  [
    2,
    'resumed',
    [
      'before a commit',
      'after publish',
      'restore: before a commit',
      'after the marker',
      'restore: fencing',
      'at once',
      'end of input',
    ],
  ],
  [
    0,
    'resumed',
    ['after a commit', 'before publish', 'restore: taking ids', 'before the marker', 'savepoint'],
  ],
  [2, 'stored', ['before a commit', 'after publish', 'restore: after a commit', 'stopping']],
]

describe('exactly once, killed', { skip, timeout: 300_000, concurrency: 2 }, () => {
  const brokers = new Map<number, RunningKafka>()
  before(async () => {
    await Promise.all(
      [2, 0].map(async (version) => {
        brokers.set(version, await startKafka({ features: { 'transaction.version': version } }))
      }),
    )
  })
  after(closeSourceRuns)
  after(() => Promise.all(Array.from(brokers.values(), (kafka) => kafka.stop())))

  for (const [version, transactions, kills] of plans) {
    test(`${transactions}, transaction.version ${version}`, async (t) => {
      const report = await runKillPlan(brokers.get(version) as RunningKafka, {
        guarantee: { kind: 'exactly-once', transactions },
        recordCount: 15_000,
        recordsPerSecond: 1500,
        kills,
      })
      t.diagnostic(reportText('killed at', report))
    })
  }
})
