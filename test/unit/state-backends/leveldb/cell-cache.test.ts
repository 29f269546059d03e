import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, it } from 'node:test'
import { hashKey } from '../../../../src/core/key-hash.ts'
import { writeKey } from '../../../../src/core/key-bytes.ts'
import { decodeValue, encodeValue } from '../../../../src/core/value-codec.ts'
import { ABSENT } from '../../../../state-backends/leveldb/cell-cache.ts'
import type { CellEntry, CellSlot } from '../../../../state-backends/leveldb/cell-cache.ts'
import { MapDisk } from './map-disk.ts'

interface Count {
  n: number
}

const slot: CellSlot<Count> = {
  id: 0,
  writeKey: (out, entry) => writeKey(out, entry.key),
  encode: (value) => encodeValue(value),
  decode: (bytes) => decodeValue(bytes) as Count,
}
const bounds = { entriesMax: 10, bytesMax: 1e6 }

describe('CellCache', () => {
  it('writes batches in key order, bounded in entries and bytes', () => {
    const disk = new MapDisk(1e9)
    for (const key of [5, -3, 100, 2, 77]) set(disk, key, key)
    const first = disk.cache.takeBatch({ entriesMax: 3, bytesMax: 1e6 })
    assert(first !== undefined)
    assert.equal(first.keys.length, 3)
    assert.deepEqual(
      [...first.keys].sort((a, b) => Buffer.compare(a, b)),
      first.keys,
    )
    assert.deepEqual(
      first.values.map((value) => value && (decodeValue(value) as Count).n),
      [-3, 5, 100],
    )
    disk.write(first)
    const second = disk.cache.takeBatch({ entriesMax: 3, bytesMax: 1 })
    assert.equal(second?.keys.length, 1)
  })

  it('writes the sealed generation as it was, and nothing newer before', () => {
    const disk = new MapDisk(1e9)
    for (let key = 0; key < 30; key++) set(disk, key, key)
    disk.cache.seal()
    edit(disk, 3)
    set(disk, 4, 400)
    disk.cache.remove(load(disk, 5))
    set(disk, 100, 100)
    let written = 0
    while (disk.cache.hasSealed) {
      const batch = disk.cache.takeBatch(bounds)
      assert(batch !== undefined)
      disk.write(batch)
      written += batch.keys.length
      edit(disk, written)
    }
    assert.equal(written, 30)
    assert.deepEqual(
      numbersOn(disk),
      Array.from({ length: 30 }, (_, key) => key),
    )
    disk.flush()
    const numbers = numbersOn(disk)
    assert(numbers.includes(1003) && numbers.includes(400) && numbers.includes(100))
    assert(!numbers.includes(5))
  })

  it('seals again what an abandoned generation has left, in its newest version', () => {
    const disk = new MapDisk(1e9)
    for (let key = 0; key < 30; key++) set(disk, key, key)
    disk.cache.seal()
    const batch = disk.cache.takeBatch(bounds)
    assert(batch !== undefined)
    disk.write(batch)
    for (let key = 0; key < 30; key += 2) edit(disk, key)
    disk.cache.unseal()
    disk.cache.seal()
    for (let key = 0; key < 30; key++) edit(disk, key)
    while (disk.cache.hasSealed) disk.write(disk.cache.takeBatch(bounds) ?? assert.fail())
    assert.deepEqual(
      numbersOn(disk),
      Array.from({ length: 30 }, (_, key) => (key % 2 === 0 ? key + 1000 : key)).sort(
        (a, b) => a - b,
      ),
    )
  })

  it('keeps what is changed while its batch is in flight for the next one', () => {
    const disk = new MapDisk(1)
    set(disk, 1, 1)
    const batch = disk.cache.takeBatch(bounds)
    assert(batch !== undefined)
    disk.cache.trim()
    assert.equal(valueOf(disk, 1), 1)
    edit(disk, 1)
    disk.write(batch)
    assert.deepEqual(numbersOn(disk), [1])
    disk.flush()
    assert.deepEqual(numbersOn(disk), [1001])
    assert.equal(disk.cache.dirtyBytes, 0)
  })

  it('writes nothing for a cell that came and went', () => {
    const disk = new MapDisk(1e9)
    load(disk, 1)
    set(disk, 1, 1)
    disk.cache.remove(load(disk, 1))
    assert.equal(disk.flush(), 0)
    assert.equal(disk.cache.dirtyBytes, 0)
    set(disk, 1, 1)
    assert.equal(disk.flush(), 1)
    disk.cache.remove(load(disk, 1))
    assert.equal(disk.flush(), 1)
    assert.equal(disk.entries.size, 0)
  })

  it('reads a cell once, also one that is not there', () => {
    const disk = new MapDisk(1e9)
    for (let i = 0; i < 3; i++) assert.equal(load(disk, 1).value, ABSENT)
    assert.equal(disk.reads, 1)
  })

  it('evicts clean cells down to its bound, those asked for lately last', () => {
    const disk = new MapDisk(20_000)
    for (let key = 0; key < 1000; key++) set(disk, key, key)
    disk.cache.trim()
    assert.equal(disk.cache.count, 1000)
    disk.flush()
    for (let i = 0; i < 10; i++) disk.cache.trim()
    assert(disk.cache.count < 80, `${disk.cache.count} cells are left`)
    for (let key = 2000; key < 2200; key++) {
      load(disk, 1)
      load(disk, key)
      disk.cache.trim()
    }
    const { reads } = disk
    load(disk, 1)
    assert.equal(disk.reads, reads)
  })

  it('lets go of what was written and evicted, though there are always changes', async () => {
    setFlagsFromString('--expose-gc')
    const collectGarbage = runInNewContext('gc') as () => void
    const disk = new MapDisk(20_000)
    const values: WeakRef<Count>[] = []
    for (let key = 0; key < 20_000; key++) {
      const value = { n: key }
      values.push(new WeakRef(value))
      disk.cache.put(load(disk, key), value)
      if (key > 50)
        disk.write(disk.cache.takeBatch({ entriesMax: 1, bytesMax: 1 }) ?? assert.fail())
      disk.cache.trim()
    }
    // A weak reference that was made in this turn of the event loop keeps its target.
    await new Promise((resolve) => setImmediate(resolve))
    collectGarbage()
    const held = values.filter((value) => value.deref() !== undefined).length
    assert(held < 1000, `${held} of 20000 values are held`)
    assert(disk.cache.count > 10, 'The cache is still there, and not empty')
  })

  it('counts what waits to be written, and nothing when all is', () => {
    const disk = new MapDisk(1e9)
    for (let key = 0; key < 50; key++) set(disk, key, key)
    const dirtyBytes = disk.cache.dirtyBytes
    assert(dirtyBytes > 0)
    disk.cache.seal()
    for (let key = 0; key < 50; key++) edit(disk, key)
    assert(disk.cache.dirtyBytes > dirtyBytes)
    disk.cache.unseal()
    for (let key = 0; key < 50; key += 2) disk.cache.remove(load(disk, key))
    disk.cache.seal()
    for (let key = 0; key < 50; key += 3) edit(disk, key)
    disk.flush()
    assert.equal(disk.cache.dirtyBytes, 0)
  })
})

function load(disk: MapDisk, key: number): CellEntry<Count> {
  return disk.cache.load(slot, key, hashKey(key), 0)
}

function set(disk: MapDisk, key: number, n: number): void {
  disk.cache.put(load(disk, key), { n })
}

/** Adds 1000 in place. */
function edit(disk: MapDisk, key: number): void {
  const entry = load(disk, key)
  if (entry.value === ABSENT) return
  disk.cache.change(entry)
  entry.value.n += 1000
  disk.cache.put(entry, entry.value)
}

function valueOf(disk: MapDisk, key: number): number | undefined {
  const { value } = load(disk, key)
  return value === ABSENT ? undefined : value.n
}

function numbersOn(disk: MapDisk): readonly number[] {
  return [...disk.entries.values()]
    .map((bytes) => (decodeValue(bytes) as Count).n)
    .sort((a, b) => a - b)
}
