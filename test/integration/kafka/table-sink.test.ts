/** A table that a job keeps in a topic: what a reader of it has in the end is the job's table, exactly once. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { generate, job, json, run } from 'millrace'
import type { KeyedResult } from 'millrace'
import { kafkaTableSink } from '../../../operators/kafka/index.ts'
import { committedRecords } from '../../support/kafka/committed.ts'
import { sharedKafka, skipWithoutKafka } from '../../support/kafka/start-kafka.ts'
import { freshTopic } from '../../support/kafka/topics.ts'
import { Directory } from '../../support/running-jobs.ts'

type Count = KeyedResult<number, number>

const VIEW_COUNT = 3000
const userOf = (index: number): number => (Math.imul(index + 1, 0x9e3779b1) >>> 7) % 97

/** How many users have how many views. */
function expected(): Map<string, number> {
  const perUser = new Map<number, number>()
  for (let index = 0; index < VIEW_COUNT; index++) {
    perUser.set(userOf(index), (perUser.get(userOf(index)) ?? 0) + 1)
  }
  const table = new Map<string, number>()
  for (const n of perUser.values()) table.set(String(n), (table.get(String(n)) ?? 0) + 1)
  return table
}

describe('kafkaTableSink', { skip: skipWithoutKafka(), timeout: 240_000 }, () => {
  let bootstrap: string
  before(async () => {
    bootstrap = (await sharedKafka()).bootstrap
  })

  for (const transactions of ['resumed', 'stored'] as const) {
    test(`${transactions}: rows that are gone end in tombstones, all others in their last version`, async () => {
      await using directory = await Directory.make()
      const topic = await freshTopic(bootstrap, 3)
      let failures = 0
      const counting = job('counting', (env) => {
        env
          .from(
            'views',
            generate({
              count: VIEW_COUNT,
              recordsPerSecond: 2000,
              record(index) {
                if (index === VIEW_COUNT / 2 && failures++ === 0) throw new Error('not this time')
                return { user: userOf(index) }
              },
            }),
          )
          .asTable()
          .keyBy(({ user }) => user)
          .count('views-per-user')
          .keyBy(({ value }) => value)
          .count('users-per-count')
          .to(
            'table',
            kafkaTableSink<Count>({
              brokers: [bootstrap],
              topic,
              key: ({ key }) => key,
              value: json(),
              guarantee: { kind: 'exactly-once', transactions },
            }),
            { parallelism: 3 },
          )
      })

      await run(counting, {
        parallelism: 2,
        checkpoints: { directory: directory.at('checkpoints'), interval: '200ms' },
        restart: { kind: 'fixed', delay: '20ms', attemptsMax: 3 },
      })

      const records = await committedRecords(bootstrap, topic)
      const table = new Map<string, number>()
      for (const { key, value } of records) {
        if (value === null) table.delete(key as string)
        else table.set(key as string, (JSON.parse(value) as Count).value)
      }
      assert.deepEqual(table, expected())
      assert.equal(failures, 2)
      assert.ok(records.some(({ value }) => value === null))
    })
  }
})
