/**
 * The engine's own codec against plain kafkajs, at random and both ways: whatever one of them writes, both read alike, and so does the client
 * over kafkajs' public interface, which stands in where the connections of kafkajs are not known.
 */
import assert from 'node:assert/strict'
import { afterEach, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import type { Message, TopicMessages } from 'kafkajs'
import { bytes, isEngineError } from 'millrace'
import type { Source } from 'millrace'
import { kafkaRecordSource } from '../../../operators/kafka/index.ts'
import type { KafkaRecord } from '../../../operators/kafka/index.ts'
import { brokerError } from '../../../operators/kafka/kafka-errors.ts'
import type { Isolation, TransactionalClient } from '../../../operators/kafka/kafka-client.ts'
import { openPublicClient } from '../../../operators/kafka/public-client.ts'
import { RecordBatchWriter, stampBatch } from '../../../operators/kafka/record-batch-writer.ts'
import { untilNothingOpen, withClient } from '../../support/kafka/committed.ts'
import { inOrder, plainRecord, readByKafkajs } from '../../support/kafka/kafkajs-records.ts'
import type { PlainRecord } from '../../support/kafka/kafkajs-records.ts'
import { publicSource } from '../../support/kafka/public-source.ts'
import { closeSourceRuns, SourceRun } from '../../support/kafka/source-run.ts'
import { sharedKafka, skipWithoutKafka } from '../../support/kafka/start-kafka.ts'
import { freshTopic, withProducer } from '../../support/kafka/topics.ts'

const partitionCount = 2
const runCount = Number(process.env['MILLRACE_ORACLE_RUNS'] ?? 5)

interface RandomRecord {
  readonly partition: number
  readonly timestampMs: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly (readonly [string, Uint8Array])[]
}

/** Records that are written together; `'none'`: in no transaction. */
interface RandomBurst {
  readonly transaction: 'none' | 'commit' | 'abort'
  readonly records: readonly RandomRecord[]
}

const someBytes = fc.oneof(
  fc.constant(null),
  fc.constant(new Uint8Array(0)),
  fc.uint8Array({ minLength: 1, maxLength: 300, size: 'max' }),
)
const record: fc.Arbitrary<RandomRecord> = fc.record({
  partition: fc.nat(partitionCount - 1),
  timestampMs: fc.integer({ min: 0, max: 1_700_000_000_000 }),
  key: someBytes,
  value: someBytes,
  headers: fc.uniqueArray(
    fc.tuple(fc.string({ maxLength: 12 }), fc.uint8Array({ maxLength: 20 })),
    {
      maxLength: 3,
      selector: ([name]) => name,
    },
  ),
})
const bursts: fc.Arbitrary<readonly RandomBurst[]> = fc.array(
  fc.record({
    transaction: fc.constantFrom('none', 'commit', 'abort'),
    records: fc.array(record, { minLength: 1, maxLength: 30, size: 'max' }),
  }),
  { minLength: 1, maxLength: 6, size: 'max' },
)
/** What the brokers compress with, whatever was sent. */
const codecs = ['producer', 'gzip', 'snappy', 'lz4', ...(hasZstd() ? ['zstd'] : [])]
const codec = fc.constantFrom(...codecs)

afterEach(closeSourceRuns)

describe('beside plain kafkajs', { skip: skipWithoutKafka(), timeout: 240_000 }, () => {
  let bootstrap = ''

  before(async () => {
    bootstrap = (await sharedKafka()).bootstrap
  })

  test('what kafkajs writes, transactions among it, is read alike by all', async () => {
    await holds(
      fc.asyncProperty(bursts, codec, async (written, compression) => {
        const topic = await freshTopic(bootstrap, partitionCount, {
          'compression.type': compression,
        })
        await writeByKafkajs(bootstrap, topic, written)

        await checkReaders(bootstrap, topic, written)
      }),
      runCount,
    )
  })

  test('what the engine writes, transactions among it, is read alike by all', async () => {
    await holds(
      fc.asyncProperty(
        bursts,
        codec,
        fc.constantFrom('none', 'gzip'),
        async (written, compression, packed) => {
          const topic = await freshTopic(bootstrap, partitionCount, {
            'compression.type': compression,
          })
          await withClient(bootstrap, (client) => writeByCodec(client, topic, written, packed))

          await checkReaders(bootstrap, topic, written)
        },
      ),
      runCount,
    )
  })

  test('what is written through the public interface is what was given to it', async () => {
    await holds(
      fc.asyncProperty(
        fc.array(record, { minLength: 1, maxLength: 40, size: 'max' }),
        async (records) => {
          const topic = await freshTopic(bootstrap, partitionCount)
          const written = [{ transaction: 'none', records }] as const
          const client = openPublicClient({ brokers: [bootstrap] })
          try {
            await writeByCodec(client, topic, written, 'none')
          } finally {
            await client.close()
          }

          await checkReaders(bootstrap, topic, written)
        },
      ),
      2,
    )
  })
})

/** Without shrinking, each step of which would read topics. Tells the seed and what was wrong, and no counterexample: it is long. */
async function holds<T>(property: fc.IAsyncProperty<T>, runs: number): Promise<void> {
  const { failed, seed, counterexamplePath, errorInstance } = await fc.check(property, {
    numRuns: runs,
    endOnFailure: true,
  })
  const why = errorInstance instanceof Error ? errorInstance.message : String(errorInstance)
  const place = `seed ${seed}, path ${counterexamplePath}`
  assert.ok(!failed, `${place}: ${why.slice(0, 3000)}`)
}

/** Kafkajs, the engine's codec and the public client read the same, and it is what was written. */
async function checkReaders(
  bootstrap: string,
  topic: string,
  written: readonly RandomBurst[],
): Promise<void> {
  await untilNothingOpen(bootstrap, topic) // a commit is answered before all can see it
  for (const isolation of ['read_committed', 'read_uncommitted'] as const) {
    const oracle = await readByKafkajs(bootstrap, topic, isolation)
    const own = await readAll(
      kafkaRecordSource({
        brokers: [bootstrap],
        topics: [topic],
        value: bytes(),
        isolation,
        endAt: 'latest',
      }),
    )
    const fallback = await readAll(
      publicSource({ brokers: [bootstrap], topics: [topic], isolation, endAt: 'latest' }),
    )

    assert.deepEqual(own, oracle, `the engine's codec, ${isolation}`)
    assert.deepEqual(fallback, oracle, `the public client, ${isolation}`)
    assert.deepEqual(
      contentsOf(own),
      expectedContents(written, isolation),
      `what was written, ${isolation}`,
    )
  }
}

async function readAll(
  source: Source<KafkaRecord<Uint8Array, Uint8Array>>,
): Promise<PlainRecord[]> {
  const run = await SourceRun.start(source)
  try {
    return inOrder((await run.all()).map(({ value }) => plainRecord(value)))
  } finally {
    await run.close()
  }
}

async function writeByKafkajs(
  bootstrap: string,
  topic: string,
  written: readonly RandomBurst[],
): Promise<void> {
  const messages = ({ records }: RandomBurst): TopicMessages => ({
    topic,
    messages: records.map(toMessage),
  })
  await withProducer(bootstrap, async (plain) => {
    await withProducer(
      bootstrap,
      async (transactional) => {
        for (const burst of written) {
          if (burst.transaction === 'none') {
            await plain.send(messages(burst))
            continue
          }
          const transaction = await transactional.transaction()
          await transaction.send(messages(burst))
          await transaction[burst.transaction]()
        }
      },
      `oracle-${topic}`,
    )
  })
}

function toMessage({ partition, timestampMs, key, value, headers }: RandomRecord): Message {
  return {
    partition,
    timestamp: String(timestampMs),
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    headers: Object.fromEntries(headers.map(([name, bytes]) => [name, Buffer.from(bytes)])),
  }
}

async function writeByCodec(
  client: TransactionalClient,
  topic: string,
  written: readonly RandomBurst[],
  packed: 'none' | 'gzip',
): Promise<void> {
  const [found] = await client.metadata([topic])
  const plain = await client.initProducer()
  const sequences = new Map<string, number>()
  const transactionalId = `oracle-${topic}`
  for (const { transaction, records } of written) {
    const isTransaction = transaction !== 'none'
    const producer = isTransaction
      ? await persistently(() => client.initTransactions(transactionalId, 60_000))
      : plain
    const identity = { transactionalId, ...producer }
    for (let partition = 0; partition < partitionCount; partition++) {
      const own = records.filter((each) => each.partition === partition)
      if (own.length === 0) continue
      const writer = new RecordBatchWriter()
      for (const { timestampMs, key, value, headers } of own) {
        writer.append(timestampMs, key, value, Object.fromEntries(headers))
      }
      const batch = writer.finish(packed)
      const name = `${producer.producerId} ${producer.epoch} ${partition}`
      const sequence = sequences.get(name) ?? 0
      sequences.set(name, sequence + own.length)
      stampBatch(batch, producer, sequence, isTransaction)
      if (isTransaction) {
        await persistently(() => client.addPartitions(identity, [{ topic, partition }]))
      }
      await persistently(async () => {
        const [answer] = await client.produce(
          found?.leaders[partition] ?? -1,
          [{ topic, partition, bytes: batch }],
          isTransaction ? transactionalId : undefined,
        )
        const errorCode = answer?.errorCode ?? -1
        if (errorCode !== 0) throw brokerError(errorCode, `Writing to partition ${partition}`)
      })
    }
    if (transaction !== 'none') {
      await persistently(() => client.endTransaction(identity, transaction))
    }
  }
}

/** The end of a transaction is still being written when the next one of the id begins, and a broker learns late what it leads. */
async function persistently<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!isEngineError(error) || !error.retryable) throw error
      await sleep(20)
    }
  }
}

/** Records without their offsets: markers of transactions have some. */
function contentsOf(records: readonly PlainRecord[]): PlainRecord[] {
  return records.map((each) => ({ ...each, offset: -1 }))
}

function expectedContents(written: readonly RandomBurst[], isolation: Isolation): PlainRecord[] {
  const visible = written.filter(
    ({ transaction }) => transaction !== 'abort' || isolation === 'read_uncommitted',
  )
  const records = visible.flatMap((burst) => burst.records)
  return Array.from({ length: partitionCount }, (_, partition) =>
    records
      .filter((each) => each.partition === partition)
      .map((each) =>
        plainRecord({ topic: '', offset: 0n, ...each, headers: new Map(each.headers) }),
      ),
  ).flatMap(contentsOf)
}

function hasZstd(): boolean {
  const zlib = process.getBuiltinModule?.('node:zlib')
  return zlib !== undefined && 'zstdDecompressSync' in zlib
}
