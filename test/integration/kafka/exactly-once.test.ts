/** The exactly-once sink in whole jobs on real brokers: with transactions of Kafka 4 (their epoch changes with each) and of Kafka 3. */
import assert from 'node:assert/strict'
import { extname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import { fromArray, job, run, start } from 'millrace'
import type { Source } from 'millrace'
import { kafkaSink } from '../../../operators/kafka/index.ts'
import type { ExactlyOnce, KafkaSinkOptions } from '../../../operators/kafka/index.ts'
import { committedRecords, committedValues, withClient } from '../../support/kafka/committed.ts'
import { skipWithoutKafka, startKafka } from '../../support/kafka/start-kafka.ts'
import type { RunningKafka } from '../../support/kafka/start-kafka.ts'
import { closeSourceRuns, text } from '../../support/kafka/source-run.ts'
import { append, freshTopic, numbered } from '../../support/kafka/topics.ts'
import kafkaCopyJob from '../../support/jobs/kafka-copy-job.ts'
import type { KafkaCopy } from '../../support/jobs/kafka-copy-job.ts'
import { Directory, Log } from '../../support/running-jobs.ts'

const modes = ['resumed', 'stored'] as const

for (const transactionVersion of [2, 0]) {
  const skip = skipWithoutKafka()
  const name = `exactly once, transaction.version ${transactionVersion}`
  describe(name, { skip, timeout: 180_000 }, () => {
    let kafka: RunningKafka
    before(async () => {
      kafka = await startKafka({
        features: { 'transaction.version': transactionVersion },
        properties: { 'transaction.max.timeout.ms': 900_000 },
      })
    })
    after(closeSourceRuns)
    after(() => kafka.stop())

    for (const transactions of modes) {
      test(`${transactions}: what a bounded job writes is there when it has ended`, async () => {
        const topic = await freshTopic(kafka.bootstrap, 3)
        await using directory = await Directory.make()

        await run(copyJob(kafka, topic, fromArray(numbered(0, 5000)), { transactions }), {
          checkpoints: { directory: directory.path, interval: '50ms' },
          parallelism: 2,
        })

        assert.deepEqual(await committedValues(kafka.bootstrap, topic), numbered(0, 5000))
      })

      test(`${transactions}: a second run of the job adds its own, and each run commits many times`, async () => {
        const topic = await freshTopic(kafka.bootstrap, 2)
        await using directory = await Directory.make()
        const options = { checkpoints: { directory: directory.path, interval: '20ms' } } as const
        const values = numbered(0, 3000)

        for (const part of [values.slice(0, 1500), values.slice(1500)]) {
          const slow = slowly(part)
          const result = await run(copyJob(kafka, topic, slow, { transactions }), {
            ...options,
            from: 'none',
            force: true,
          })
          assert.ok(result.checkpoints >= 2, `${result.checkpoints} checkpoints`)
        }

        assert.deepEqual(await committedValues(kafka.bootstrap, topic), values)
      })

      test(`${transactions}: a topic chosen per record, with its partition, key, headers and time`, async () => {
        const [one, two] = [
          await freshTopic(kafka.bootstrap, 2),
          await freshTopic(kafka.bootstrap, 2),
        ]
        await using directory = await Directory.make()
        const sink: Partial<KafkaSinkOptions<string>> = {
          topic: (value) => (value.startsWith('1') ? one : two),
          partition: (value, count) => (value.endsWith('!') ? count - 1 : 0),
          headers: (value) => ({ length: String(value.length) }),
          timestampMs: (value) => value.length,
          key: (value) => value.length,
          guarantee: { kind: 'exactly-once', transactions, markerTopic: one },
          compression: 'gzip',
        }
        const definition = copyJob(kafka, one, fromArray(['1', '2!', '1!!']), {}, sink)

        await run(definition, { checkpoints: { directory: directory.path } })

        const records = [
          ...(await committedRecords(kafka.bootstrap, one)),
          ...(await committedRecords(kafka.bootstrap, two)),
        ]
        assert.deepEqual(
          records.map(({ topic, partition, key, value, timestampMs, headers }) => ({
            topic,
            partition,
            key,
            value,
            timestampMs,
            length: Buffer.from(headers.get('length') ?? []).toString(),
          })),
          [
            { topic: one, partition: 0, key: '1', value: '1', timestampMs: 1, length: '1' },
            { topic: one, partition: 1, key: '3', value: '1!!', timestampMs: 3, length: '3' },
            { topic: two, partition: 1, key: '2', value: '2!', timestampMs: 2, length: '2' },
          ],
        )
      })
    }

    for (const transactions of modes) {
      test(`${transactions}: from topic to topic on two threads`, async () => {
        const [input, output] = [
          await freshTopic(kafka.bootstrap, 2),
          await freshTopic(kafka.bootstrap, 3),
        ]
        await append(kafka.bootstrap, input, numbered(0, 2000), 0)
        await append(kafka.bootstrap, input, numbered(2000, 4000), 1)
        await using directory = await Directory.make()
        const params: KafkaCopy = {
          bootstrap: kafka.bootstrap,
          input,
          output,
          guarantee: { kind: 'exactly-once', transactions },
        }

        const result = await run(kafkaCopyJob, {
          params,
          threads: 2,
          module: new URL(
            `../../support/jobs/kafka-copy-job${extname(import.meta.url)}`,
            import.meta.url,
          ),
          checkpoints: { directory: directory.path, interval: '20ms' },
        })

        assert.equal(result.status, 'finished')
        assert.deepEqual(await committedValues(kafka.bootstrap, output), numbered(0, 4000))
      })
    }

    test('a job that is cancelled leaves nothing open that no checkpoint names', async () => {
      const topic = await freshTopic(kafka.bootstrap)
      await using directory = await Directory.make()
      const log = new Log()
      const source = slowly(numbered(0, 100_000))
      const running = start(copyJob(kafka, topic, source, {}), {
        checkpoints: { directory: directory.path, interval: '5min' },
        logger: log,
      })
      await withClient(kafka.bootstrap, async (client) => {
        const place = [{ topic, partition: 0 }]
        for (;;) {
          const end = await client.offsets(place, 'latest', 'read_uncommitted')
          if ((end.get(`${topic}-0`) ?? 0) > 0) break
          assert.equal(running.status === 'failed', false, log.lines.join('\n'))
          await sleep(10)
        }
      })

      await running.cancel()

      assert.deepEqual(await committedValues(kafka.bootstrap, topic), [])
    })

    test('a time-out that the brokers do not allow is refused at the start', async () => {
      const topic = await freshTopic(kafka.bootstrap)
      await using directory = await Directory.make()

      const definition = copyJob(kafka, topic, fromArray(['a']), { timeout: '1h' })
      const running = run(definition, { checkpoints: { directory: directory.path } })

      await assert.rejects(running, {
        code: 'KAFKA_TIMEOUT_REFUSED',
        message: /3600000 ms.*transaction\.max\.timeout\.ms/,
      })
    })
  })
}

describe('exactly once', () => {
  const brokers = { bootstrap: '127.0.0.1:1' }

  test('a time-out that is too short for the interval is refused at the start', async () => {
    await using directory = await Directory.make()

    const running = run(copyJob(brokers, 'a', fromArray(['a']), { timeout: '30s' }), {
      checkpoints: { directory: directory.path, interval: '20s' },
    })

    await assert.rejects(running, { code: 'KAFKA_TIMEOUT_REFUSED', message: /30000 ms/ })
  })

  test('a job without checkpoints is refused', async () => {
    await assert.rejects(run(copyJob(brokers, 'a', fromArray(['a']), {})), {
      code: 'CHECKPOINTS_NOT_CONFIGURED',
    })
  })
})

function copyJob(
  { bootstrap }: { readonly bootstrap: string },
  topic: string,
  source: Source<string>,
  guarantee: Partial<ExactlyOnce>,
  sink: Partial<KafkaSinkOptions<string>> = {},
): ReturnType<typeof job> {
  return job('copy', (env) => {
    env.from('in', source).to(
      'out',
      kafkaSink<string>({
        brokers: [bootstrap],
        topic,
        value: text,
        guarantee: { kind: 'exactly-once', ...guarantee },
        ...sink,
      }),
    )
  })
}

/** A source that gives a few values at a time. */
function slowly(values: readonly string[]): Source<string> {
  return {
    type: 'slowly',
    isBounded: true,
    enumerator: () => ({
      discover: async (known) => (known.has('all') ? [] : [{ id: 'all', data: null }]),
    }),
    reader: (context) => ({
      open({ position = 0 }) {
        let next = position as number
        let dueMs = 0
        return {
          read(batch) {
            if (next >= values.length) return 'ended'
            if (context.clock.now() < dueMs) {
              context.availableAt(dueMs)
              return 'empty'
            }
            dueMs = context.clock.now() + 5
            for (let i = 0; i < 25 && next < values.length; i++) {
              batch.values[i] = values[next++]
              batch.timestamps[i] = 1000
              batch.count = i + 1
            }
            return 'records'
          },
          position: () => next,
        }
      },
    }),
  }
}
