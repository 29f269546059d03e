/** The sink that keeps a topic as a table, against a cluster in memory. */
import assert from 'node:assert/strict'
import { afterEach, describe, test } from 'node:test'
import fc from 'fast-check'
import { kafkaTableSinkOver } from '../../../../operators/kafka/kafka-table-sink.ts'
import { json } from '../../../../operators/formats/json.ts'
import { kafkaTableSink } from '../../../../operators/kafka/index.ts'
import { FakeKafkaClient } from '../../../support/kafka/fake-kafka-client.ts'
import type { FakePartition } from '../../../support/kafka/fake-kafka-client.ts'
import { closeSinkRuns, SinkRun } from '../../../support/kafka/sink-run.ts'

interface Row {
  readonly key: string
  readonly n: number
}

afterEach(closeSinkRuns)

async function start(
  options: { readonly mayRetract?: boolean; readonly isCheckpointed?: boolean } = {},
): Promise<{ readonly run: SinkRun<Row>; readonly partition: FakePartition }> {
  const client = new FakeKafkaClient()
  const [partition] = client.addTopic('table', 1)
  const sink = kafkaTableSinkOver<Row>(
    {
      brokers: ['a:1'],
      topic: 'table',
      key: ({ key }) => key,
      value: json(),
      guarantee: 'at-least-once',
    },
    { openClient: () => client },
  )
  const run = await SinkRun.start(sink, { mayRetract: true, ...options })
  return { run, partition: partition as FakePartition }
}

/** `a1`: key and number; `a-`: a tombstone. */
function written(partition: FakePartition): string[] {
  return partition
    .records()
    .map(({ key, value }) => (value === null ? `${key}-` : `${key}${(JSON.parse(value) as Row).n}`))
}

const row = (text: string): Row => ({ key: text.slice(0, 1), n: Number(text.slice(1)) })

/** `+a1 -a1`: rows added and taken back. */
function write(run: SinkRun<Row>, text: string): void {
  for (const word of text.split(' ')) {
    run.write(row(word.slice(1)), 1000, word.startsWith('+') ? 'insert' : 'retract')
  }
}

describe('a table in a topic', { timeout: 60_000 }, () => {
  test('has one record a key and checkpoint: what became of its row', async () => {
    const { run, partition } = await start()

    write(run, '+a1 +b1 -a1 +a2 -a2 +a3')
    await run.prepare()
    assert.deepEqual(written(partition), ['a3', 'b1'])
    write(run, '-b1')
    await run.prepare()
    assert.deepEqual(written(partition).slice(2), ['b-'])
    write(run, '+b7 -a3')
    await run.prepare()
    assert.deepEqual(written(partition).slice(3), ['b7', 'a-'])
  })

  test('is not told of a row that came and went, or went and came again', async () => {
    const { run, partition } = await start()
    write(run, '+a1')
    await run.prepare()

    write(run, '-a1 +a1 +b1 -b1')
    await run.prepare()

    assert.deepEqual(written(partition), ['a1'])
  })

  test('is right in whatever order the changes between two checkpoints come', async () => {
    const versions = fc.array(fc.array(fc.boolean(), { maxLength: 5 }), { maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(versions, fc.infiniteStream(fc.nat()), async (epochs, chances) => {
        const { run, partition } = await start()
        let present: string | undefined
        let version = 0
        for (const steps of epochs) {
          const words: string[] = []
          for (const isThere of steps) {
            if (present !== undefined) words.push(`-${present}`)
            present = isThere ? `a${version++}` : undefined
            if (present !== undefined) words.push(`+${present}`)
          }
          const shuffled = words
            .map((word) => ({ word, at: chances.next().value as number }))
            .sort((a, b) => a.at - b.at)
          for (const { word } of shuffled) write(run, word)
          await run.prepare()
          assert.equal(written(partition).at(-1) ?? 'a-', present ?? 'a-')
        }
        await run.close()
      }),
      { numRuns: 50 },
    )
  })

  test('of rows that stay is written as they come', async () => {
    const { run, partition } = await start({ mayRetract: false })
    write(run, '+a1 +a2')
    await run.prepare()
    assert.deepEqual(written(partition), ['a1', 'a2'])
  })

  test('is written without checkpoints too', async () => {
    const { run, partition } = await start({ isCheckpointed: false })
    write(run, '+a1 -a1 +a2')
    await run.close()
    assert.equal(written(partition).at(-1), 'a2')
  })

  test('needs a key', () => {
    const options = { brokers: ['a:1'], topic: 'table', value: json<Row>() }
    assert.throws(() => kafkaTableSink(options as never), {
      code: 'OPTION_INVALID',
      message: /kafkaTableSink needs key/,
    })
  })

  test('takes rows back, and wants those of one key in one place', () => {
    const sink = kafkaTableSink({
      brokers: ['a:1'],
      topic: 'table',
      value: json<Row>(),
      key: ({ key }) => key,
    })
    assert.equal(sink.takesRetractions, true)
    assert.equal(sink.key?.({ key: 'k', n: 1 } as never), 'k')
  })
})
