/** What the Kafka benchmark holds engines against, and what it makes of a tool's output. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reference, rowOfText, rowText, topicBid } from '../../../bench/kafka/bids.ts'
import { perfToolOutcome } from '../../../bench/kafka/perf-tool.ts'

test('rows and checksum of a million bids are those that Kafka Streams and Flink give', () => {
  assert.deepEqual(reference(1_000_000), { rows: 110_806, checksum: 3_182_053_368 })
})

test('bids have the fields of the topic in their order', () => {
  assert.deepEqual(Object.keys(topicBid(0)), [
    'auction',
    'bidder',
    'price',
    'dateTime',
    'channel',
    'url',
    'extra',
  ])
})

test('a row is read as it was written', () => {
  const row = { endMs: 1_700_000_001_000, auction: 1000, count: 7, lastMs: 1_700_000_000_999 }

  assert.deepEqual(rowOfText(rowText(row)), row)
})

test('figures of the perf tool are told by their names, whatever it says beside them', () => {
  const stdout = [
    'Warning: --messages is deprecated.',
    'start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec',
    '2026-11-25 13:48:34:586, 2026-11-25 13:48:38:213, 190.7349, 52.5875, 2000000, 551419.9063, 1107, 2520, 75.6884, 793650.7937',
    '',
  ].join('\n')

  assert.deepEqual(perfToolOutcome({ stdout, cpuSeconds: 3 }), {
    seconds: 2.52,
    eventsPerSecond: 793_651,
    rows: 2_000_000,
    checksum: 200_000_000,
    cpuSeconds: 3,
  })
})

test('a perf tool that prints no figures is an error', () => {
  assert.throws(() => perfToolOutcome({ stdout: 'no broker', cpuSeconds: 0 }), /no figures/)
})
