import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encodeValue } from '../../../../src/core/value-codec.ts'
import { estimateBytes } from '../../../../state-backends/leveldb/value-size.ts'

describe('estimateBytes', () => {
  it('is within a factor of five of the encoded size for values of some size', () => {
    const values = [
      'x'.repeat(1000),
      new Uint8Array(5000),
      Array.from({ length: 1000 }, (_, index) => index * 1e9),
      Array.from({ length: 300 }, (_, index) => ({ id: index, name: `name ${index}` })),
      new Map(Array.from({ length: 500 }, (_, index) => [`key ${index}`, [index]])),
      new Set(Array.from({ length: 500 }, (_, index) => `item ${index}`)),
      Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`field${index}`, index])),
    ]
    for (const value of values) {
      const ratio = estimateBytes(value) / encodeValue(value).length
      assert(ratio > 0.2 && ratio < 5, `${ratio} for ${encodeValue(value).length} bytes`)
    }
  })

  it('is positive for small things, and does not care what they are', () => {
    for (const value of [undefined, null, 0, -0, true, 1n, '', [], {}, new Map(), new Date(0)]) {
      assert(estimateBytes(value) > 0)
    }
  })

  it('looks at a bounded part of what is nested', () => {
    let nested: unknown = []
    for (let depth = 0; depth < 10; depth++) nested = Array.from({ length: 100 }, () => nested)
    assert(estimateBytes(nested) > 1000)
  })
})
