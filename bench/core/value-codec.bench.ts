/**
 * Values as state and snapshots have them (MessagePack), keys as bytes, and the hash that spreads keys.
 *
 *   node dist/bench/core/value-codec.bench.js [ms=1000]
 */
import { auctionEvent } from '../../examples/auction/events.ts'
import { hashKey } from '../../src/core/key-hash.ts'
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts'
import { newBench, report } from '../micro/tasks.ts'

const VALUES = 512
const kinds: readonly (readonly [string, (index: number) => unknown])[] = [
  ['numbers', (index) => index * 1000],
  ['counts and sums', (index) => ({ count: index, sum: index * 2.5 })],
  ['auction events', auctionEvent],
]

const bench = newBench()
let sum = 0
for (const [name, make] of kinds) {
  const values = Array.from({ length: VALUES }, (_, index) => make(index))
  const encoded = values.map(encodeValue)
  bench
    .add(`value/encode ${name}`, () => {
      for (const value of values) sum += encodeValue(value).length
    })
    .add(`value/decode ${name}`, () => {
      for (const bytes of encoded) if (decodeValue(bytes) !== undefined) sum += 1
    })
}
const numbers = Array.from({ length: VALUES }, (_, index) => index * 7919)
const texts = numbers.map((number) => `key-${number}`)
bench
  .add('key/hash numbers', () => {
    for (const key of numbers) sum += hashKey(key) & 1
  })
  .add('key/hash texts of 10 characters', () => {
    for (const key of texts) sum += hashKey(key) & 1
  })
await report(bench, VALUES, 'a value')
if (sum === 0) throw new Error('Nothing was done')
