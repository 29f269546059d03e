import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  decodeItems,
  decodeManifest,
  encodeItems,
  encodeManifest,
} from '../../../src/checkpoint/manifest.ts'
import { manifestOf, operatorOf, subtaskOf } from '../../support/manifests.ts'

const manifest = manifestOf({
  operators: [
    operatorOf('counts', {
      subtasks: [
        subtaskOf(0, {
          watermarkMs: -Infinity,
          items: Uint8Array.from(encodeItems([1n, new Map([['a', NaN]])])),
        }),
        subtaskOf(1, { watermarkMs: Infinity }),
      ],
    }),
    operatorOf('source', { knownSplits: ['a', 'b'] }),
  ],
})

describe('a manifest', () => {
  test('is read as it was written, with infinite watermarks and items of every kind', () => {
    const read = decodeManifest(encodeManifest(manifest), 'here')

    assert.deepEqual(read, manifest)
    assert.deepEqual(decodeItems(read.operators[0]?.subtasks[0]?.items), [
      1n,
      new Map([['a', NaN]]),
    ])
  })

  test('that is cut off anywhere is none', () => {
    const bytes = encodeManifest(manifest)
    for (let length = 0; length < bytes.length; length++) {
      assert.throws(() => decodeManifest(bytes.subarray(0, length), 'here'), {
        code: 'CHECKPOINT_CORRUPT',
        message: /^The manifest here cannot be used: /,
      })
    }
  })

  test('with any bit flipped is none, or says the same', () => {
    const bytes = encodeManifest(manifest)
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Uint8Array.from(bytes)
      flipped[at] = (flipped[at] as number) ^ 1
      try {
        assert.deepEqual(decodeManifest(flipped, 'here'), manifest)
      } catch (error) {
        assert.equal((error as { code?: unknown }).code, 'CHECKPOINT_CORRUPT')
      }
    }
  })

  test('of a later format is refused by name', () => {
    const later = Buffer.from(encodeManifest(manifest))
      .toString()
      .replace('"format":1', '"format":2')
    assert.throws(() => decodeManifest(Buffer.from(later), 'here'), {
      message: /it is of format 2, this version reads format 1/,
    })
  })
})

test('a subtask without items has none', () => {
  assert.deepEqual(decodeItems(undefined), [])
})
