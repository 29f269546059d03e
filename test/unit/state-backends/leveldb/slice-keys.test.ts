import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hashKey } from '../../../../src/core/key-hash.ts'
import { readLocalKey } from '../../../../state-backends/leveldb/key-layout.ts'
import { SliceState } from '../../../../state-backends/leveldb/slice-keys.ts'
import { MapDisk, TestKey } from './map-disk.ts'

describe('SliceState', () => {
  it('drops a slice in one step, and leaves nothing on disk when it has collected', () => {
    const { disk, slices, put } = open()
    for (let key = 0; key < 5000; key++) put(key, 7)
    disk.flush()
    const cellsBefore = disk.cache.count
    slices.drop(7)
    assert(disk.flush() < 5, 'Dropping writes a few local cells')
    assert(disk.cache.count <= cellsBefore + 1)
    assert(slices.hasGarbage)
    let steps = 0
    for (; slices.hasGarbage; steps++) {
      slices.collect()
      disk.flush()
    }
    assert(steps > 10, 'It collects bit by bit')
    assert.equal(disk.entries.size, 0)
  })

  it('goes on collecting after it was opened again', () => {
    const { disk, slices, put } = open()
    for (let key = 0; key < 1000; key++) put(key, 1)
    put('other', 2)
    slices.drop(1)
    slices.collect()
    disk.flush()
    const again = open(disk.entries)
    assert.deepEqual([...again.slices.slices()], [2])
    again.put('new', 1)
    assert.deepEqual(again.keysOf(1), ['new'])
    while (again.slices.hasGarbage) again.slices.collect()
    again.disk.flush()
    assert.deepEqual(again.keysOf(1), ['new'])
    assert.deepEqual(again.keysOf(2), ['other'])
    again.slices.drop(1)
    again.slices.drop(2)
    while (again.slices.hasGarbage) again.slices.collect()
    again.disk.flush()
    assert.equal(again.disk.entries.size, 0)
  })

  it('forgets a slice with its last cell', () => {
    const { disk, slices, put, at } = open()
    put('a', 3)
    put('b', 3)
    for (const key of ['a', 'b', 'b']) {
      at.useKey(key, hashKey(key))
      slices.remove(3)
    }
    assert.deepEqual([...slices.slices()], [])
    while (slices.hasGarbage) slices.collect()
    disk.flush()
    assert.equal(disk.entries.size, 0)
  })

  it('writes hardly anything for slices that live between two writes', () => {
    const { disk, slices, put } = open()
    for (let slice = 0; slice < 50; slice++) {
      for (let key = 0; key < 100; key++) put(key, slice)
      slices.drop(slice)
      while (slices.hasGarbage) slices.collect()
    }
    assert.equal(disk.flush(), 0)
  })
})

function open(entries?: Map<string, Buffer>): {
  readonly disk: MapDisk
  readonly at: TestKey
  readonly slices: SliceState<unknown>
  readonly put: (key: string | number, slice: number) => void
  readonly keysOf: (slice: number) => readonly unknown[]
} {
  const disk = new MapDisk(1e7, entries)
  const at = new TestKey()
  const options = { cache: disk.cache, at, stateId: 1, maxParallelism: 8, slotId: 0 }
  const slices = new SliceState<unknown>(options)
  for (const key of disk.keys()) {
    if (key.readUInt16BE(0) === 0xfffe) slices.restore(readLocalKey(key))
  }
  return {
    disk,
    at,
    slices,
    put(key, slice) {
      at.useKey(key, hashKey(key))
      slices.put(slice, key)
    },
    keysOf(slice) {
      const keys: unknown[] = []
      const cursor = slices.keys(slice)
      while (cursor.next()) keys.push(at.key)
      return keys
    },
  }
}
