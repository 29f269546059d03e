/**
 * Looking keys up, nanoseconds a key: the engine's index with integer keys, with and without warming a batch before, with other
 * keys, and JavaScript's Map.
 *
 *   node dist/bench/state/key-index.bench.js [keys=1000000] [ms=1000]
 */
import { fmix32, hashKey } from '../../src/core/key-hash.ts'
import { KeyIndex } from '../../src/core/key-index.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { newBench, options, report } from '../micro/tasks.ts'

const keyCount = Number(options.get('keys') ?? 1_000_000)
const BATCH_RECORDS = 512
const BATCHES = 1024

interface Table {
  readonly index: KeyIndex
  readonly values: number[]
  readonly keys: readonly AnyKey[]
  readonly hashes: Int32Array
}

/** An index of all keys, and keys to look up in random order. */
function tableOf(keyOf: (n: number) => AnyKey): Table {
  const index = new KeyIndex(false)
  const values: number[] = []
  for (let n = 0; n < keyCount; n++) {
    const key = keyOf(n)
    values[index.insert(key, hashKey(key), 0)] = n
  }
  const keys = Array.from({ length: BATCHES * BATCH_RECORDS }, (_, n) =>
    keyOf((fmix32(n) >>> 0) % keyCount),
  )
  return { index, values, keys, hashes: Int32Array.from(keys, hashKey) }
}

let sum = 0

function lookUp({ index, values, keys, hashes }: Table, isWarmed: boolean): void {
  for (let from = 0; from < keys.length; from += BATCH_RECORDS) {
    const to = from + BATCH_RECORDS
    if (isWarmed) sum += index.warm(hashes, from, to, values)
    for (let i = from; i < to; i++) {
      const entry = index.find(keys[i] as AnyKey, hashes[i] as number, 0)
      values[entry] = ((values[entry] as number) + 1) | 0
    }
  }
}

const ints = tableOf((n) => n * 7)
const texts = tableOf((n) => `key-${n}`)
const map = new Map(ints.keys.map((key) => [key, 0]))
for (let n = 0; n < keyCount; n++) map.set(n * 7, n)

const bench = newBench()
bench
  .add('index/update int keys', () => lookUp(ints, false))
  .add('index/update int keys, warmed', () => lookUp(ints, true))
  .add('index/update string keys', () => lookUp(texts, false))
  .add('index/update string keys, warmed', () => lookUp(texts, true))
  .add('map/update int keys', () => {
    for (const key of ints.keys) map.set(key, ((map.get(key) as number) + 1) | 0)
  })
await report(bench, BATCHES * BATCH_RECORDS, `a key of ${keyCount}`)
if (sum < 0) console.log(sum)
