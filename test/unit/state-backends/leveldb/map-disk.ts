/** A disk for tests of single parts: a map of bytes, and what writes a cache's batches to it. */
import type { AnyKey } from '../../../../src/core/key.ts'
import { CellCache } from '../../../../state-backends/leveldb/cell-cache.ts'
import type { CellBatch } from '../../../../state-backends/leveldb/cell-cache.ts'
import type { KeyAtHand } from '../../../../state-backends/leveldb/slice-keys.ts'

export class MapDisk {
  readonly entries: Map<string, Buffer>
  readonly cache: CellCache
  reads = 0

  constructor(cacheBytesMax: number, entries: Map<string, Buffer> = new Map<string, Buffer>()) {
    this.entries = entries
    this.cache = new CellCache({
      cacheBytesMax,
      read: (key) => {
        this.reads++
        return entries.get(key.toString('latin1'))
      },
    })
  }

  /** In key order. */
  keys(): readonly Buffer[] {
    return [...this.entries.keys()].sort().map((key) => Buffer.from(key, 'latin1'))
  }

  write(batch: CellBatch): void {
    for (const [index, key] of batch.keys.entries()) {
      const value = batch.values[index]
      if (value === undefined) this.entries.delete(key.toString('latin1'))
      else this.entries.set(key.toString('latin1'), value)
    }
    this.cache.confirm(batch)
  }

  /** Writes all there is to write; how many entries that were. */
  flush(): number {
    let count = 0
    for (;;) {
      const batch = this.cache.takeBatch({ entriesMax: 1000, bytesMax: 1e6 })
      if (batch === undefined) return count
      count += batch.keys.length
      this.write(batch)
    }
  }
}

export class TestKey implements KeyAtHand {
  key: AnyKey = null
  hash = 0

  useKey(key: AnyKey, hash: number): void {
    this.key = key
    this.hash = hash
  }
}
