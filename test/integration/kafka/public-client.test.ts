/** The client over kafkajs' public interface, and who gets it. What it reads and writes is held in oracle.test.ts. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { afterEach, before, describe, test } from 'node:test'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { openPublicClient } from '../../../operators/kafka/public-client.ts'
import { committedValues } from '../../support/kafka/committed.ts'
import type { CopyOutcome, KafkajsCopy } from '../../support/kafka/other-kafkajs-child.ts'
import { publicSource } from '../../support/kafka/public-source.ts'
import { closeSourceRuns, SourceRun } from '../../support/kafka/source-run.ts'
import { sharedKafka, skipWithoutKafka } from '../../support/kafka/start-kafka.ts'
import { append, deleteBefore, freshTopic, numbered } from '../../support/kafka/topics.ts'

afterEach(closeSourceRuns)

describe("kafkajs' public interface", { skip: skipWithoutKafka(), timeout: 240_000 }, () => {
  let bootstrap = ''

  before(async () => {
    bootstrap = (await sharedKafka()).bootstrap
  })

  test('a source goes on exactly where its checkpoint says', async () => {
    const topic = await freshTopic(bootstrap, 2)
    await append(bootstrap, topic, numbered(0, 400), 0)
    await append(bootstrap, topic, numbered(400, 700), 1)
    const source = publicSource({ brokers: [bootstrap], topics: [topic], endAt: 'latest' })

    const first = await SourceRun.start(source, { recordsMax: 7 })
    const before = await first.take(250)
    const splits = first.checkpoint()
    await first.close()
    const second = await SourceRun.start(source, { splits, recordsMax: 50 })
    const after = await second.all()

    const values = [...before, ...after].map(({ value }) =>
      Buffer.from(value.value ?? []).toString(),
    )
    assert.deepEqual(values.toSorted(), numbered(0, 700))
  })

  test('records that were deleted before they were read fail the source', async () => {
    const topic = await freshTopic(bootstrap)
    await append(bootstrap, topic, numbered(0, 20))
    await deleteBefore(bootstrap, topic, 10)
    const source = publicSource({
      brokers: [bootstrap],
      topics: [topic],
      startAt: { offsets: { [`${topic}-0`]: 10n } },
    })
    const run = await SourceRun.start(source)
    const splits = run.checkpoint().map((split) => ({ ...split, position: 3n }))
    await run.close()

    const behind = await SourceRun.start(source, { splits })

    await assert.rejects(behind.failure(), { code: 'KAFKA_OFFSET_OUT_OF_RANGE' })
  })

  test('an unknown topic is told of, and made by nobody', async () => {
    const source = publicSource({ brokers: [bootstrap], topics: ['nowhere-at-all'] })

    await assert.rejects(SourceRun.start(source), { code: 'KAFKA_TOPIC_UNKNOWN' })
  })

  test('offsets of a group are committed and read', async () => {
    const topic = await freshTopic(bootstrap, 2)
    const partitions = [0, 1].map((partition) => ({ topic, partition }))
    await append(bootstrap, topic, numbered(0, 9))
    const client = openPublicClient({ brokers: [bootstrap] })
    try {
      assert.deepEqual(await client.committedOffsets(`${topic}-group`, partitions), new Map())

      await client.commitOffsets(`${topic}-group`, [{ topic, partition: 0, offset: 7n }])

      assert.deepEqual(
        await client.committedOffsets(`${topic}-group`, partitions),
        new Map([[`${topic}-0`, 7]]),
      )
    } finally {
      await client.close()
    }
  })

  test('with another kafkajs a job copies a topic at least once, and says what it does', async () => {
    const [input, output] = [await freshTopic(bootstrap, 2), await freshTopic(bootstrap)]
    await append(bootstrap, input, numbered(0, 300), 0)
    await append(bootstrap, input, numbered(300, 500), 1)

    const { code, warnings } = await copy({ bootstrap, input, output, guarantee: 'at-least-once' })

    assert.equal(code, undefined)
    assert.match(
      warnings.join('\n'),
      /install exactly kafkajs@2\.2\.4; until then its public interface/,
    )
    assert.deepEqual(await committedValues(bootstrap, output), numbered(0, 500))
  })

  test('with another kafkajs exactly-once is refused at the start', async () => {
    const [input, output] = [await freshTopic(bootstrap), await freshTopic(bootstrap)]
    await append(bootstrap, input, numbered(0, 5))

    const { code } = await copy({ bootstrap, input, output, guarantee: 'exactly-once' })

    assert.equal(code, 'KAFKA_CLIENT_LIMITED')
    assert.deepEqual(await committedValues(bootstrap, output), [])
  })
})

async function copy(options: KafkajsCopy): Promise<CopyOutcome> {
  const child = new URL(
    `../../support/kafka/other-kafkajs-child${extname(import.meta.url)}`,
    import.meta.url,
  )
  const { stdout } = await promisify(execFile)(process.execPath, [
    fileURLToPath(child),
    JSON.stringify(options),
  ])
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as CopyOutcome
}
