import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  liveLogs,
  logName,
  readManifest,
  tableName,
} from '../../../../state-backends/leveldb/manifest-files.ts'

interface Edit {
  readonly comparator?: string
  readonly logNumber?: number
  readonly previousLogNumber?: number
  readonly nextFileNumber?: number
  readonly lastSequence?: number
  readonly compactPointer?: string
  readonly deleted?: readonly number[]
  readonly added?: readonly number[]
}

describe('readManifest', () => {
  it('counts tables that were added and not removed', () => {
    const manifest = manifestOf([
      {
        comparator: 'leveldb.BytewiseComparator',
        logNumber: 3,
        nextFileNumber: 4,
        lastSequence: 0,
      },
      { added: [5, 7, 9], compactPointer: 'key', lastSequence: 2 ** 40 },
      { deleted: [7], added: [300], logNumber: 11, previousLogNumber: 8 },
    ])
    assert.deepEqual(readManifest(manifest), {
      bytes: manifest.length,
      tables: [5, 9, 300],
      logNumber: 11,
      previousLogNumber: 8,
    })
  })

  it('leaves out an edit that is being appended, wherever it is cut', () => {
    const whole = manifestOf([{ added: [1] }, { added: [2], logNumber: 6 }])
    const next = manifestOf([
      { added: [1] },
      { added: [2], logNumber: 6 },
      { deleted: [1], added: [3] },
    ])
    for (let length = whole.length; length < next.length; length++) {
      const { bytes, tables, logNumber } = readManifest(next.subarray(0, length))
      assert.deepEqual(
        { bytes, tables, logNumber },
        { bytes: whole.length, tables: [1, 2], logNumber: 6 },
      )
    }
    assert.deepEqual(readManifest(next).tables, [2, 3])
  })

  it('reads edits that lie across blocks', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 90_000 }), { minLength: 1, maxLength: 6 }),
        (lengths) => {
          const edits = lengths.map((length, index) => ({
            compactPointer: 'k'.repeat(length),
            added: [index + 1],
          }))
          const manifest = manifestOf(edits)
          const { bytes, tables } = readManifest(manifest)
          assert.equal(bytes, manifest.length)
          assert.deepEqual(
            tables,
            lengths.map((_, index) => index + 1),
          )
        },
      ),
      { numRuns: 50 },
    )
  })

  it('refuses fields it does not know, since it would miss tables', () => {
    const manifest = recordsOf([Buffer.of(8, 1)])
    assert.throws(() => readManifest(manifest), { code: 'STATE_STORAGE_FAILED' })
  })

  it('refuses an edit that ends in the midst of a field', () => {
    assert.throws(() => readManifest(recordsOf([Buffer.of(1, 20, 65)])), {
      code: 'STATE_STORAGE_FAILED',
    })
  })
})

describe('liveLogs', () => {
  it('keeps logs from the number in the MANIFEST on and the one before, in the order they were written', () => {
    const manifest = { bytes: 0, tables: [], logNumber: 12, previousLogNumber: 4 }
    const names = [
      '000100.log',
      '000012.log',
      '000011.log',
      '000004.log',
      '000012.ldb',
      'LOG',
      'x.log',
    ]
    assert.deepEqual(liveLogs(names, manifest), ['000004.log', '000012.log', '000100.log'])
  })

  it('names files as LevelDB does', () => {
    assert.deepEqual([logName(7), tableName(1_234_567)], ['000007.log', '1234567.ldb'])
  })
})

function manifestOf(edits: readonly Edit[]): Buffer {
  return recordsOf(edits.map(encodeEdit))
}

function encodeEdit(edit: Edit): Buffer {
  const parts: Buffer[] = []
  const number = (tag: number, value: number | undefined): void => {
    if (value !== undefined) parts.push(varint(tag), varint(value))
  }
  if (edit.comparator !== undefined) parts.push(varint(1), slice(edit.comparator))
  number(2, edit.logNumber)
  number(9, edit.previousLogNumber)
  number(3, edit.nextFileNumber)
  number(4, edit.lastSequence)
  if (edit.compactPointer !== undefined)
    parts.push(varint(5), varint(1), slice(edit.compactPointer))
  for (const file of edit.deleted ?? []) parts.push(varint(6), varint(0), varint(file))
  for (const file of edit.added ?? []) {
    parts.push(varint(7), varint(2), varint(file), varint(2_000_000), slice('a'), slice('z'))
  }
  return Buffer.concat(parts)
}

/** The log format of LevelDB: records cut into fragments so that none lies across a block. */
function recordsOf(records: readonly Buffer[]): Buffer {
  const parts: Buffer[] = []
  let position = 0
  const push = (part: Buffer): void => {
    parts.push(part)
    position += part.length
  }
  for (const record of records) {
    let at = 0
    for (let isFirst = true; ; isFirst = false) {
      const left = 32_768 - (position % 32_768)
      if (left < 7) {
        push(Buffer.alloc(left))
        continue
      }
      const fragment = record.subarray(at, at + left - 7)
      at += fragment.length
      const isLast = at === record.length
      const header = Buffer.alloc(7)
      header.writeUInt16LE(fragment.length, 4)
      header.writeUInt8(isFirst ? (isLast ? 1 : 2) : isLast ? 4 : 3, 6)
      push(header)
      push(fragment)
      if (isLast) break
    }
  }
  return Buffer.concat(parts)
}

function slice(text: string): Buffer {
  return Buffer.concat([varint(text.length), Buffer.from(text, 'latin1')])
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  while (rest >= 128) {
    bytes.push((rest % 128) + 128)
    rest = Math.floor(rest / 128)
  }
  return Buffer.of(...bytes, rest)
}
