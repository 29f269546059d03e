import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ByteWriter } from '../../../../src/core/byte-writer.ts'
import type { DiskRange } from '../../../../state-backends/leveldb/disk-table.ts'
import {
  localKind,
  rangeOfGroups,
  rangeOfLocal,
  rangeOfLocalKind,
  rangeOfLocalState,
  rangeOfState,
  readLocalKey,
  readPrefix,
  readTimersKey,
  statesKey,
  writeDouble,
  writeLocalKey,
  writePrefix,
  writeTimersKey,
} from '../../../../state-backends/leveldb/key-layout.ts'

const groups = fc.integer({ min: 0, max: 32_767 })
const stateIds = fc.integer({ min: 0, max: 60_000 })

describe('The layout of keys', () => {
  it('has all of a key group, and all of a state in it, in one range', () => {
    fc.assert(
      fc.property(
        groups,
        groups,
        stateIds,
        stateIds,
        fc.uint8Array(),
        (a, b, state, other, rest) => {
          const start = Math.min(a, b)
          const end = Math.max(a, b) + 1
          for (const group of [0, start - 1, start, end - 1, end, 32_767]) {
            if (group < 0 || group > 32_767) continue
            const key = cellKey(group, state, rest)
            const range = rangeOfGroups({ start, end })
            assert.equal(isIn(range, key), group >= start && group < end)
            assert.equal(isIn(rangeOfState({ group, stateId: state }), key), true)
            assert.equal(isIn(rangeOfState({ group, stateId: other }), key), state === other)
            assert.equal(isIn(rangeOfLocal(), key), false)
            assert.deepEqual(readPrefix(key), { group, stateId: state })
          }
        },
      ),
    )
  })

  it('keeps local cells and the names of states out of every group', () => {
    const all = rangeOfGroups({ start: 0, end: 32_768 })
    assert(!isIn(all, statesKey))
    assert(!isIn(rangeOfLocal(), statesKey))
    for (const kind of Object.values(localKind)) {
      for (const number of [0, -1.5, 1e300, Infinity]) {
        const local = { stateId: 7, kind, number }
        const key = written((out) => writeLocalKey(out, local, 2 ** 32 - 1))
        assert(!isIn(all, key) && isIn(rangeOfLocal(), key))
        assert(isIn(rangeOfLocalState(7), key) && !isIn(rangeOfLocalState(8), key))
        for (const other of Object.values(localKind)) {
          assert.equal(isIn(rangeOfLocalKind(7, other), key), other === kind)
        }
        assert.deepEqual(readLocalKey(key), local)
      }
    }
  })

  it('reads segments of timers back', () => {
    for (const start of [0, -8, 2 ** 50, -Infinity, Infinity]) {
      const timers = { start, exponent: 9, segment: 2 ** 20 - 1 }
      const key = written((out) => writeTimersKey(out, { group: 127, stateId: 3 }, timers))
      assert.deepEqual(readTimersKey(key), timers)
      assert.deepEqual(readPrefix(key), { group: 127, stateId: 3 })
    }
  })

  it('refuses keys of another length', () => {
    assert.throws(() => readTimersKey(Buffer.alloc(16)), { code: 'INVARIANT_BROKEN' })
    assert.throws(() => readLocalKey(Buffer.alloc(18)), { code: 'INVARIANT_BROKEN' })
  })

  it('writes numbers so that they come back', () => {
    const bytes = written((out) => writeDouble(out, -12.75))
    assert.equal(bytes.readDoubleBE(0), -12.75)
  })
})

function cellKey(group: number, stateId: number, rest: Uint8Array): Buffer {
  return written((out) => {
    writePrefix(out, group, stateId)
    out.bytes(rest)
  })
}

function written(write: (out: ByteWriter) => void): Buffer {
  const out = new ByteWriter()
  write(out)
  return out.copy()
}

function isIn(range: DiskRange, key: Buffer): boolean {
  return Buffer.compare(key, range.gte) >= 0 && Buffer.compare(key, range.lt) < 0
}
