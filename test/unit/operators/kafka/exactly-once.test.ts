/** The exactly-once sink, writers and coordinator, against a cluster in memory. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { silentLogger } from '../../../../src/core/log.ts'
import type {
  Committable,
  RestoredEpoch,
  SinkContext,
  SinkLedger,
  SinkWriter,
} from '../../../../src/contract/sink.ts'
import { KafkaSinkCoordinator } from '../../../../operators/kafka/kafka-sink-coordinator.ts'
import { guaranteeOf } from '../../../../operators/kafka/kafka-sink-options.ts'
import type { ExactlyOnceSettings } from '../../../../operators/kafka/kafka-sink-options.ts'
import { openResumedWriter } from '../../../../operators/kafka/resumed-writer.ts'
import { openStoredWriter } from '../../../../operators/kafka/stored-writer.ts'
import { FakeKafkaClient } from '../../../support/kafka/fake-kafka-client.ts'
import { machineClock, text } from '../../../support/kafka/source-run.ts'

type Mode = 'resumed' | 'stored'

/** A client that outlives whoever closes it: the cluster is one. */
class Cluster extends FakeKafkaClient {
  override async close(): Promise<void> {}
}

class Ledger implements SinkLedger {
  readonly list: unknown[] = []
  readonly lineages = new Set<string>(['line'])
  readonly entries = async (): Promise<readonly unknown[]> => this.list
  readonly add = async (entry: unknown): Promise<void> => void this.list.push(entry)
  readonly owns = async (lineage: string): Promise<boolean> => this.lineages.has(lineage)
}

/** One subtask's life after the other, over one cluster. */
class Run {
  readonly cluster: Cluster = new Cluster()
  readonly ledger: Ledger = new Ledger()
  readonly settings: ExactlyOnceSettings
  readonly failures: unknown[] = []
  parallelism = 1

  constructor(mode: Mode, bumpsEpoch: boolean) {
    this.cluster.bumpsEpoch = bumpsEpoch
    this.cluster.addTopic('a', 1)
    const options = {
      brokers: ['a:1'],
      topic: 'a',
      value: text,
      guarantee: { kind: 'exactly-once', transactions: mode, poolSize: 3 },
    } as const
    const settings = guaranteeOf(options, { isCheckpointed: true })
    assert.ok(typeof settings === 'object')
    this.settings = settings
  }

  get values(): string[] {
    return this.cluster.topics.get('a')?.[0]?.values() ?? []
  }

  coordinator(): KafkaSinkCoordinator {
    return new KafkaSinkCoordinator(
      {
        jobName: 'job',
        operatorUid: 'out',
        parallelism: this.parallelism,
        isCheckpointed: true,
        checkpointIntervalMs: 1000,
        clock: machineClock,
        logger: silentLogger,
        signal: new AbortController().signal,
        ledger: this.ledger,
      },
      { settings: this.settings, openClient: () => this.cluster },
    )
  }

  async states(epochs: readonly RestoredEpoch[]): Promise<string[]> {
    return (await this.coordinator().examine(epochs)).map(({ state }) => state)
  }

  async open(lineage: string = 'line', epochs: readonly RestoredEpoch[] = []): Promise<SinkWriter> {
    await this.coordinator().settle(epochs, lineage)
    const context: SinkContext = {
      jobName: 'job',
      operatorUid: 'out',
      subtaskIndex: 0,
      parallelism: this.parallelism,
      lineage,
      attempt: 'a',
      isCheckpointed: true,
      clock: machineClock,
      logger: silentLogger,
      signal: new AbortController().signal,
      mailbox: { submit: (action) => action() },
      restored: [],
      fail: (error) => void this.failures.push(error),
    }
    const options = { brokers: ['a:1'], topic: 'a', value: text }
    return this.settings.transactions === 'resumed'
      ? openResumedWriter(context, options, this.settings, this.cluster)
      : openStoredWriter(context, options, this.settings, this.cluster)
  }
}

async function epochOf(
  writer: SinkWriter,
  checkpointId: number,
  values: readonly string[],
): Promise<RestoredEpoch> {
  for (const value of values) writer.write(value, 0)
  const { committable, durable } = writer.prepare?.(checkpointId, 'checkpoint') ?? {}
  await durable
  return { subtaskIndex: 0, checkpointId, data: committable }
}

function commit(writer: SinkWriter, epoch: Committable): Promise<void> {
  return writer.commit?.(epoch) ?? Promise.resolve()
}

for (const mode of ['resumed', 'stored'] as const) {
  for (const bumpsEpoch of [true, false]) {
    describe(`${mode}, ${bumpsEpoch ? 'epochs change' : 'epochs stay'}`, () => {
      test('nothing is visible before its commit, and each epoch once after it', async () => {
        const run = new Run(mode, bumpsEpoch)
        const writer = await run.open()

        const first = await epochOf(writer, 1, ['a', 'b'])
        const second = await epochOf(writer, 2, ['c'])
        const before = run.values
        await commit(writer, first)
        const between = run.values
        await commit(writer, second)

        assert.deepEqual([before, between, run.values], [[], ['a', 'b'], ['a', 'b', 'c']])
        assert.deepEqual(run.failures, [])
      })

      test('many epochs go through few ids', async () => {
        const run = new Run(mode, bumpsEpoch)
        const writer = await run.open()

        for (let n = 1; n <= 20; n++) await commit(writer, await epochOf(writer, n, [`v${n}`]))

        assert.equal(run.values.length, 20)
        assert.ok(run.cluster.transactions.size <= 3)
      })

      test('after a crash what the checkpoint names is committed, what it does not is not', async () => {
        const run = new Run(mode, bumpsEpoch)
        const writer = await run.open()
        const first = await epochOf(writer, 1, ['a'])
        await epochOf(writer, 2, ['not named'])
        writer.write('never prepared', 0)
        await new Promise(setImmediate)

        const states = await run.states([first])
        await run.open('line', [first])

        assert.deepEqual(states, ['open'])
        assert.deepEqual(run.values, ['a'])
      })

      test('what was committed before the crash is not committed again', async () => {
        const run = new Run(mode, bumpsEpoch)
        const writer = await run.open()
        const first = await epochOf(writer, 1, ['a'])
        await commit(writer, first)

        const next = await run.open('line', [first])
        await commit(next, await epochOf(next, 2, ['b']))
        const states = await run.states([first])

        assert.deepEqual(states, ['committed'])
        assert.deepEqual(run.values, ['a', 'b'])
      })

      test('a zombie commits nothing once another run has begun', async () => {
        const run = new Run(mode, bumpsEpoch)
        const zombie = await run.open()
        const named = await epochOf(zombie, 1, ['a'])

        const next = await run.open('line', [])
        await assert.rejects(commit(zombie, named), { code: 'KAFKA_TRANSACTION_LOST' })
        await commit(next, await epochOf(next, 2, ['b']))

        assert.deepEqual(run.values, ['b'])
      })

      test('a marker of another line decides nothing', async () => {
        const run = new Run(mode, bumpsEpoch)
        const writer = await run.open()
        const first = await epochOf(writer, 1, ['a'])
        await commit(writer, first)
        const [group] = run.cluster.markers.keys()
        run.cluster.markers.set(group ?? '', { offset: 9, metadata: 'another' })

        assert.deepEqual(await run.states([first]), ['unknown'])
      })

      test('output of a line that is not this job’s is committed already, or the user is asked', async () => {
        const run = new Run(mode, bumpsEpoch)
        const original = await run.open()
        const first = await epochOf(original, 1, ['a'])
        run.ledger.lineages.delete('line')

        await assert.rejects(run.states([first]), { code: 'OUTPUT_OF_OTHER_JOB' })
        await commit(original, first)

        assert.deepEqual(await run.states([first]), ['committed'])
      })

      test('every id is in the ledger before records are written by it, with its first marker', async () => {
        const run = new Run(mode, bumpsEpoch)
        run.parallelism = 2

        await run.coordinator().settle([], 'line')
        const calls = [...run.cluster.calls]
        run.parallelism = 3
        await run.coordinator().settle([], 'line')

        assert.deepEqual(
          calls.filter((call) => /^(init|commit|add)/.test(call)).toSorted(),
          ['commit', 'initTransactions'].flatMap((call) =>
            [0, 1].map((subtask) => `${call} job-out-line-${subtask}-0`),
          ),
        )
        assert.deepEqual(
          Array.from(run.cluster.markers, ([group, { offset }]) => [group, offset]),
          [0, 1, 2].map((subtask) => [`job-out-line-${subtask}`, 0]),
        )
        const counts = run.ledger.list.map((entry) => Reflect.get(Object(entry), 'subtaskCount'))
        assert.deepEqual(counts, [2, 3])
      })

      test('ids of a former line are fenced once', async () => {
        const run = new Run(mode, bumpsEpoch)
        const former = await run.open('line')
        former.write('lingering', 0)
        await new Promise(setImmediate)
        const inits = (): number =>
          run.cluster.calls.filter((call) => call.startsWith('initTransactions job-out-line-'))
            .length

        await run.coordinator().settle([], 'next')
        const once = inits()
        await run.coordinator().settle([], 'next')

        assert.ok(once > 0)
        assert.equal(inits(), once)
        assert.deepEqual(
          [...run.cluster.transactions.values()].filter(({ state }) => state === 'Ongoing'),
          [],
        )
      })
    })
  }
}

describe('resumed', () => {
  test('a transaction that timed out is lost', async () => {
    const run = new Run('resumed', true)
    const writer = await run.open()
    const first = await epochOf(writer, 1, ['a'])
    run.cluster.timeOut('job-out-line-0-0')

    assert.deepEqual(await run.states([first]), ['lost'])
    await assert.rejects(run.open('line', [first]), { code: 'KAFKA_TRANSACTION_LOST' })
  })

  for (const bumpsEpoch of [true, false]) {
    test(`what the broker has decided to commit is committed, before anybody sees it (${bumpsEpoch ? 2 : 0})`, async () => {
      const run = new Run('resumed', bumpsEpoch)
      const writer = await run.open()
      const first = await epochOf(writer, 1, ['a'])
      const transaction = run.cluster.transactions.get('job-out-line-0-0')
      assert.ok(transaction !== undefined)

      transaction.state = 'PrepareCommit'

      assert.deepEqual(await run.states([first]), ['committed'])
    })
  }

  test('brokers that do not tell: what this run has committed is committed when it is asked for again', async () => {
    const run = new Run('resumed', false)
    run.cluster.describes = false
    const writer = await run.open()
    const first = await epochOf(writer, 1, ['a'])
    const second = await epochOf(writer, 2, ['b'])
    await commit(writer, first)
    run.cluster.timeOut('job-out-line-0-1')
    const coordinator = run.coordinator()

    await assert.rejects(coordinator.settle([second], 'line'), { code: 'KAFKA_TRANSACTION_LOST' })
    const outcomes = await coordinator.examine([first, second])

    assert.deepEqual(
      outcomes.map(({ state }) => state),
      ['committed', 'lost'],
    )
  })

  for (const describes of [true, false]) {
    test(`what is abandoned is never committed afterwards; what is committed stays so${describes ? '' : ', for brokers that do not tell too'}`, async () => {
      const run = new Run('resumed', false)
      run.cluster.describes = describes
      const writer = await run.open()
      const first = await epochOf(writer, 1, ['a'])
      const second = await epochOf(writer, 2, ['b'])
      await commit(writer, first)

      const outcomes = await run.coordinator().abandon([first, second])
      await assert.rejects(commit(writer, second), { code: 'KAFKA_TRANSACTION_LOST' })

      assert.deepEqual(
        outcomes.map(({ state }) => state),
        ['committed', 'lost'],
      )
      assert.deepEqual(run.values, ['a'])
    })
  }

  test('a transaction that is found to be lost at the barrier fails the subtask', async () => {
    const run = new Run('resumed', true)
    const writer = await run.open()
    writer.write('a', 0)
    await new Promise((resolve) => setTimeout(resolve, 20))
    run.cluster.timeOut('job-out-line-0-0')

    await assert.rejects(epochOf(writer, 1, []), { code: 'KAFKA_TRANSACTION_LOST' })

    assert.equal(run.failures.length, 1)
  })

  test('an epoch without records has nothing to commit, but for the first: its marker is refreshed', async () => {
    const run = new Run('resumed', true)
    const writer = await run.open()

    const first = await epochOf(writer, 1, [])
    const second = await epochOf(writer, 2, [])
    await commit(writer, first)

    assert.notEqual(first.data, undefined)
    assert.equal(second.data, undefined)
    assert.equal(run.cluster.markers.get('job-out-line-0')?.offset, 1)
  })

  test('a barrier that would use up the last id is declined, and the epoch goes on', async () => {
    const run = new Run('resumed', true)
    const writer = await run.open()
    const first = await epochOf(writer, 1, ['a'])
    const second = await epochOf(writer, 2, ['b'])

    await assert.rejects(epochOf(writer, 3, ['c']), { code: 'CHECKPOINT_FAILED' })
    await commit(writer, first)
    await commit(writer, second)
    await commit(writer, await epochOf(writer, 4, ['d']))

    assert.deepEqual(run.values, ['a', 'b', 'c', 'd'])
  })
})

describe('stored', () => {
  test('an epoch that is too large fails, and says what to do', async () => {
    const run = new Run('stored', true)
    Object.assign(run.settings, { storedBytesMax: 1000 })
    const writer = await run.open()

    assert.throws(() => writer.write('x'.repeat(1000), 0), {
      code: 'OUTPUT_OVERFLOW',
      message: /storedBytesMax/,
    })
  })
})
