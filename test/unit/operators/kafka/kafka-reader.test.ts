/** The reader and its read-ahead against a cluster in memory. */
import assert from 'node:assert/strict'
import { afterEach, describe, test } from 'node:test'
import type { UnreadRecord } from '../../../../src/core/dead-letter.ts'
import { EngineError } from '../../../../src/core/errors.ts'
import { silentMetrics } from '../../../../src/core/metrics.ts'
import { RecordBatch } from '../../../../src/core/record-batch.ts'
import type { Clock } from '../../../../src/core/time.ts'
import type { ReaderContext, SplitReader } from '../../../../src/contract/source.ts'
import { kafkaReader, valueDecoder } from '../../../../operators/kafka/kafka-reader.ts'
import type { KafkaReader, KafkaReaderOptions } from '../../../../operators/kafka/kafka-reader.ts'
import { RETRY_MS_MAX } from '../../../../operators/kafka/kafka-errors.ts'
import { toSplit } from '../../../../operators/kafka/kafka-splits.ts'
import { FakeKafkaClient } from '../../../support/kafka/fake-kafka-client.ts'
import { LogLines, text } from '../../../support/kafka/source-run.ts'
import { numbered } from '../../../support/kafka/topics.ts'

const unreachable = new EngineError('KAFKA_UNREACHABLE', 'broker 1 is away')
const open = new Set<KafkaReader>()

afterEach(async () => {
  for (const reader of open) await reader.close?.()
  open.clear()
})

class TestReader {
  readonly client = new FakeKafkaClient()
  readonly logger = new LogLines()
  readonly reader: KafkaReader
  /** Added to the machine's clock. */
  elapsedMs = 0
  failure: unknown
  readonly letters: UnreadRecord[] = []

  constructor(readAheadBytesMax: number = 1_000_000, options: Partial<KafkaReaderOptions> = {}) {
    const clock: Clock = {
      now: () => 0,
      elapsed: () => performance.now() + this.elapsedMs,
    }
    const context: ReaderContext = {
      operatorUid: 'source',
      subtaskIndex: 0,
      parallelism: 1,
      clock,
      logger: this.logger,
      signal: new AbortController().signal,
      mailbox: { submit: (action) => action() },
      available: () => undefined,
      availableAt: () => undefined,
      fail: (error) => (this.failure ??= error),
      metrics: silentMetrics,
      deadLetter: (letter) => this.letters.push(letter),
    }
    this.reader = kafkaReader(
      context,
      {
        decode: valueDecoder(text),
        isolation: 'read_committed',
        readAheadBytesMax,
        onUndecodable: 'fail',
        ...options,
      },
      this.client,
    )
    open.add(this.reader)
  }

  open(topic: string, partition: number, offset: number = 0, endOffset?: number): SplitReader {
    return this.reader.open(toSplit({ topic, partition, offset, endOffset }))
  }
}

/** Reads until there are `count` values, with a turn of the event loop in between. */
async function take(split: SplitReader, count: number): Promise<unknown[]> {
  const values: unknown[] = []
  const batch = new RecordBatch()
  while (values.length < count) {
    batch.reset()
    split.read(batch, 10)
    values.push(...batch.values.slice(0, batch.count))
    await new Promise(setImmediate)
  }
  return values
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise(setImmediate)
}

describe('a Kafka reader', { timeout: 60_000 }, () => {
  test('reads on where it was after broken connections, refusals and a move of the partition', async () => {
    const run = new TestReader(100)
    const [partition] = run.client.addTopic('a', 1)
    for (let first = 0; first < 100; first += 10) partition?.append(numbered(first, first + 10))
    const split = run.open('a', 0)

    const values = await take(split, 20)
    run.client.failures.push(
      { call: 'fetch', error: unreachable },
      { call: 'metadata', error: unreachable },
    )
    values.push(...(await take(split, 20)))
    run.client.refusals.push(6, 2)
    values.push(...(await take(split, 20)))
    if (partition !== undefined) partition.leader = 2
    values.push(...(await take(split, 40)))

    assert.deepEqual(values, numbered(0, 100))
    assert.equal(split.position(), 100n)
    assert.ok(run.client.calls.includes('fetch 2'))
    assert.equal(run.failure, undefined)
  })

  test('gives up when a broker has been away for too long, and says so', async () => {
    const run = new TestReader()
    run.client.addTopic('a', 1)
    for (let i = 0; i < 3; i++) run.client.failures.push({ call: 'fetch', error: unreachable })
    run.open('a', 0)

    await until(() => run.logger.lines.length > 0)
    run.elapsedMs = RETRY_MS_MAX
    await until(() => run.failure !== undefined)

    assert.equal(run.failure, unreachable)
  })

  test('an authorization that is missing is not asked for twice', async () => {
    const run = new TestReader()
    run.client.addTopic('a', 1)
    run.client.refusals.push(29)
    run.open('a', 0)

    await until(() => run.failure !== undefined)

    assert.ok(run.failure instanceof EngineError && run.failure.code === 'KAFKA_NOT_AUTHORIZED')
    assert.equal(run.client.fetches.length, 1)
  })

  test('an offset that a new leader does not know yet is asked for again', async () => {
    const run = new TestReader()
    const [partition] = run.client.addTopic('a', 1)
    partition?.append(['a'])
    run.client.refusals.push(1)
    const split = run.open('a', 0)

    assert.deepEqual(await take(split, 1), ['a'])
    assert.deepEqual(
      run.client.calls.filter((call) => call.startsWith('offsets')),
      ['offsets earliest', 'offsets latest'],
    )
  })

  test('a full partition is left out of fetches, and taken up again when it was read', async () => {
    const run = new TestReader(4000)
    const [full, idle] = run.client.addTopic('a', 2)
    for (let first = 0; first < 1000; first += 10) full?.append(numbered(first, first + 10))
    const split = run.open('a', 0)
    run.open('a', 1)

    await until(() => run.client.fetches.some(({ partitions }) => partitions.length === 1))
    const buffered = run.reader.bufferedBytes
    const fullFetch = run.client.fetches.find(({ partitions }) => partitions.length === 1)
    await until(() => run.client.fetches.length > 20)

    assert.ok(buffered > 1000 && buffered <= 2000, `${buffered} bytes`)
    assert.equal(run.reader.bufferedBytes, buffered)
    assert.deepEqual(
      fullFetch?.partitions.map(({ partition }) => partition),
      [1],
    )
    assert.ok(
      (fullFetch?.maxWaitMs ?? 500) < 500,
      'room in the full one must not wait for the idle one',
    )
    assert.deepEqual(await take(split, 1000), numbered(0, 1000))
    assert.equal(idle?.latest, 0)
  })

  test('when all partitions are full no request is sent', async () => {
    const run = new TestReader(1000)
    const [partition] = run.client.addTopic('a', 1)
    for (let first = 0; first < 1000; first += 10) partition?.append(numbered(first, first + 10))
    run.open('a', 0)

    await until(() => run.reader.bufferedBytes > 500)
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
    const calls = run.client.calls.length
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)

    assert.equal(run.client.calls.length, calls)
  })

  test('partitions stand first in fetches in turn, so large batches of one do not starve the others', async () => {
    const run = new TestReader(4 * 4 * 200)
    const partitions = run.client.addTopic('a', 4)
    for (const partition of partitions) {
      for (let first = 0; first < 200; first += 20) partition.append(numbered(first, first + 20))
    }
    const splits = partitions.map((_, partition) => run.open('a', partition))

    const values = await Promise.all(splits.map((split) => take(split, 200)))

    for (const own of values) assert.deepEqual(own, numbered(0, 200))
    const firsts = run.client.fetches.slice(0, 4).map(({ partitions: [first] }) => first?.partition)
    assert.deepEqual(firsts, [0, 1, 2, 3])
  })

  test('failures count only against partitions that were asked for', async () => {
    const run = new TestReader(4000)
    const [full] = run.client.addTopic('a', 2)
    for (let first = 0; first < 1000; first += 10) full?.append(numbered(first, first + 10))
    const isWithoutFull = (): boolean => run.client.fetches.at(-1)?.partitions.length === 1
    const split = run.open('a', 0)
    run.open('a', 1)

    for (let outage = 0; outage < 3; outage++) {
      await until(isWithoutFull)
      run.client.failures.push({ call: 'fetch', error: unreachable })
      await until(() => run.client.failures.length === 0)
      const { length } = run.client.fetches
      await until(() => run.client.fetches.length > length)
      run.elapsedMs += RETRY_MS_MAX
    }

    assert.deepEqual(await take(split, 1000), numbered(0, 1000))
    assert.equal(run.failure, undefined)
  })

  test('a bounded split ends although nothing but control records stand before its end', async () => {
    const run = new TestReader()
    const [partition] = run.client.addTopic('a', 1)
    partition?.append(['a'])
    partition?.appendMarker()
    const batch = new RecordBatch()
    const split = run.open('a', 0, 0, 2)

    assert.deepEqual(await take(split, 1), ['a'])
    await until(() => split.read(batch, 10) === 'ended')

    assert.equal(split.position(), 2n)
  })

  test('a bounded split fetches nothing behind its end, and nothing at all if it begins there', async () => {
    const run = new TestReader()
    const [partition] = run.client.addTopic('a', 1)
    for (const value of numbered(0, 10)) partition?.append([value])
    const batch = new RecordBatch()
    const split = run.open('a', 0, 2, 5)
    const ended = run.open('b', 0, 7, 7)

    assert.deepEqual(await take(split, 3), numbered(2, 5))
    assert.equal(split.read(batch, 10), 'ended')
    assert.equal(split.position(), 5n)
    assert.equal(ended.read(batch, 10), 'ended')
    assert.equal(
      run.client.fetches.every(({ partitions }) => partitions.every(({ offset }) => offset < 5)),
      true,
    )
  })

  test('a split that is closed is fetched no more', async () => {
    const run = new TestReader()
    run.client.addTopic('a', 2)
    const split = run.open('a', 0)
    run.open('a', 1)
    await until(() => run.client.fetches.length > 0)

    await split.close?.()
    const { length } = run.client.fetches
    await until(() => run.client.fetches.length > length + 2)

    const later = run.client.fetches.slice(length + 1)
    assert.ok(later.every(({ partitions }) => partitions.every(({ partition }) => partition === 1)))
  })

  test('after closing nothing is asked for any more', async () => {
    const run = new TestReader()
    run.client.addTopic('a', 1)
    run.open('a', 0)
    await until(() => run.client.fetches.length > 0)

    await run.reader.close?.()
    await run.reader.close?.()
    const calls = run.client.calls.length
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)

    assert.equal(run.client.calls.length, calls)
    assert.equal(run.failure, undefined)
  })

  test('an undecodable record becomes a dead letter with all that is known of it, and reading goes on', async () => {
    const run = new TestReader(1_000_000, { onUndecodable: 'dead-letter' })
    const [partition] = run.client.addTopic('a', 1)
    partition?.append(['good', 'bad one', 'good too'])
    const split = run.open('a', 0)

    const values = await take(split, 2)

    assert.deepEqual(values, ['good', 'good too'])
    assert.equal(split.position(), 3n)
    const [letter] = run.letters
    assert.equal(run.letters.length, 1)
    assert.equal(Buffer.from(letter?.value ?? []).toString(), 'bad one')
    assert.deepEqual(letter?.origin, { topic: 'a', partition: 0, offset: 1 })
    assert.equal(letter?.error.code, 'RECORD_UNDECODABLE')
    assert.match(letter?.error.message ?? '', /topic|a, partition 0, offset 1 .*'bad one' is bad/)
    assert.match(letter?.error.stack ?? '', /\n +at /)
  })

  test('one read gives up so many dead letters only, however many there are', async () => {
    const run = new TestReader(1_000_000, { onUndecodable: 'dead-letter' })
    const [partition] = run.client.addTopic('a', 1)
    for (let i = 0; i < 100; i++) partition?.append(['bad'.repeat(10_000)])
    const split = run.open('a', 0)
    const batch = new RecordBatch()
    const counts: number[] = []

    while (run.letters.length < 100) {
      const before = run.letters.length
      batch.reset()
      split.read(batch, 512)
      counts.push(run.letters.length - before)
      await new Promise(setImmediate)
    }

    assert.ok(Math.max(...counts) <= 10, `${Math.max(...counts)} letters in one read`)
  })

  test('what is wrong with the job is no bad record', async () => {
    const value = {
      ...text,
      decode: (): string => {
        throw new EngineError('SCHEMA_ASYNC', 'a promise')
      },
    }
    const run = new TestReader(1_000_000, { onUndecodable: 'skip', decode: valueDecoder(value) })
    const [partition] = run.client.addTopic('a', 1)
    partition?.append(['a'])
    const split = run.open('a', 0)

    await assert.rejects(take(split, 1), { code: 'SCHEMA_ASYNC' })
  })

  test('a record whose format has to fetch something holds its partition and no other', async () => {
    const known = new Set<string>()
    const asked: (() => void)[] = []
    const value = {
      ...text,
      awaitsBefore(bytes: Uint8Array) {
        const id = Buffer.from(bytes).toString()
        if (!id.startsWith('new') || known.has(id)) return undefined
        return new Promise<void>((resolve) => {
          asked.push(() => {
            known.add(id)
            resolve()
          })
        })
      },
    }
    const run = new TestReader(1_000_000, { decode: valueDecoder(value) })
    const [first, second] = run.client.addTopic('a', 2)
    first?.append(['a', 'new 1', 'b', 'new 2', 'new 1', 'c'])
    second?.append(['x', 'y'])
    const held = run.open('a', 0)
    const other = run.open('a', 1)
    const batch = new RecordBatch()

    assert.deepEqual(await take(held, 1), ['a'])
    assert.equal(held.read(batch, 10), 'empty')
    assert.equal(held.position(), 1n)
    assert.deepEqual(await take(other, 2), ['x', 'y'])
    assert.equal(asked.length, 1)
    asked[0]?.()
    assert.deepEqual(await take(held, 2), ['new 1', 'b'])
    await until(() => asked.length === 2)
    asked[1]?.()
    assert.deepEqual(await take(held, 3), ['new 2', 'new 1', 'c'])
    assert.equal(held.position(), 6n)
  })
})
