import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { kafkaRecordSource, kafkaSink, kafkaSource } from '../../../../operators/kafka/index.ts'
import type { KafkaSourceOptions } from '../../../../operators/kafka/index.ts'
import { parseBrokers } from '../../../../operators/kafka/kafka-connection.ts'
import { text } from '../../../support/kafka/source-run.ts'

const valid = { brokers: ['localhost:9092'], topics: ['a'], value: text }

test('a job that only names Kafka does not load kafkajs', () => {
  kafkaSource(valid)
  kafkaSink({ brokers: valid.brokers, topic: 'a', value: text })

  const loaded = Object.keys(createRequire(import.meta.url).cache)
  assert.deepEqual(
    loaded.filter((file) => /node_modules.kafkajs/.test(file)),
    [],
  )
})

test('options that cannot be are refused when the job is built', () => {
  const wrong: readonly Partial<KafkaSourceOptions<string>>[] = [
    { brokers: [] },
    { brokers: ['localhost'] },
    { topics: [] },
    { startAt: 'committed' },
    { startAt: { timestampMs: -1 } },
    { startAt: { timestampMs: 1.5 } },
    { endAt: { timestampMs: NaN } },
    { startAt: { offsets: { a: 1n } } },
    { endAt: { offsets: { 'a-0': -1n } } },
    { readAheadBytesMax: 0 },
    { readAheadBytesMax: NaN },
    { discoverPartitionsEvery: '0s' },
  ]
  for (const options of wrong) {
    assert.throws(() => kafkaSource({ ...valid, ...options }), { code: 'OPTION_INVALID' })
  }
  const sink = { brokers: valid.brokers, topic: 'a', value: text }
  assert.throws(() => kafkaSink({ ...sink, topic: '' }), { code: 'OPTION_INVALID' })
  assert.throws(() => kafkaSink({ ...sink, bufferBytesMax: 0 }), { code: 'OPTION_INVALID' })
  assert.throws(() => kafkaSink({ ...sink, brokers: ['a:b'] }), { code: 'OPTION_INVALID' })
})

test('a source is bounded if it has an end', () => {
  assert.equal(kafkaSource(valid).isBounded, false)
  assert.equal(kafkaRecordSource({ ...valid, endAt: 'latest' }).isBounded, true)
})

test('plans show where a source begins and ends', () => {
  const source = kafkaSource({
    ...valid,
    topics: /^a/,
    group: 'g',
    startAt: { offsets: { 'a-0': 5n } },
    endAt: { timestampMs: 7 },
  })
  assert.deepEqual(source.details, {
    brokers: 'localhost:9092',
    topics: '/^a/',
    value: 'text',
    group: 'g',
    startAt: 'a-0: 5',
    endAt: 'timestamp 7',
    isolation: 'read_committed',
  })
})

test('addresses of brokers', () => {
  assert.deepEqual(parseBrokers(['kafka-1.example.org:9092', '[::1]:19092', '10.0.0.1:1']), [
    { host: 'kafka-1.example.org', port: 9092 },
    { host: '::1', port: 19_092 },
    { host: '10.0.0.1', port: 1 },
  ])
  for (const address of ['a', 'a:', 'a:0', 'a:70000', ':9092', '::1:9092', 'kafka://a:9092']) {
    assert.throws(() => parseBrokers([address]), { code: 'OPTION_INVALID' })
  }
})
