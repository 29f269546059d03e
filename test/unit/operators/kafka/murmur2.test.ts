import assert from 'node:assert/strict'
import { test } from 'node:test'
import { murmur2, partitionOfKey } from '../../../../operators/kafka/murmur2.ts'

/** From org.apache.kafka.common.utils.Utils.murmur2 of kafka-clients 4.4.0, over UTF-8. */
const javaVectors: readonly (readonly [string, number])[] = [
  ['', 275646681],
  ['a', -1563381124],
  ['ab', 316155434],
  ['abc', 479470107],
  ['abcd', -1323649548],
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['schlüssel', 331429656],
  ['["eu",17]', -1133952111],
]

test('murmur2 is that of the Java client', () => {
  for (const [text, hash] of javaVectors) assert.equal(murmur2(Buffer.from(text)), hash, text)
})

test('a key finds the partition that the Java client sends it to', () => {
  // (hash & 0x7fffffff) % 7
  assert.equal(partitionOfKey(Buffer.from('foobar'), 7), (-790332482 & 0x7fff_ffff) % 7)
  assert.equal(partitionOfKey(Buffer.from('abc'), 7), 479470107 % 7)
})
