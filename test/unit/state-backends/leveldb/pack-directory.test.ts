import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { fmix32 } from '../../../../src/core/key-hash.ts'
import { DEPTH_MAX, PackDirectory } from '../../../../state-backends/leveldb/pack-directory.ts'

const hashes = Array.from({ length: 500 }, (_, index) => fmix32(index))

describe('PackDirectory', () => {
  it('moves hashes only from a pack that is split to the new one, by the next bit', () => {
    fc.assert(
      fc.property(splits(), (chosen) => {
        const directory = begun()
        for (const hash of chosen) {
          const pack = directory.packOf(3, hash)
          const depth = directory.depthOf(3, hash)
          const before = hashes.map((other) => directory.packOf(3, other))
          const half = directory.split(3, pack)
          hashes.forEach((other, index) => {
            const moves = before[index] === pack && ((other >>> depth) & 1) === 1
            assert.equal(directory.packOf(3, other), moves ? half : before[index])
          })
        }
      }),
      { numRuns: 30 },
    )
  })

  it('follows from the names of its packs', () => {
    fc.assert(
      fc.property(splits(), (chosen) => {
        const directory = begun()
        const packs = new Set([0])
        for (const hash of chosen) packs.add(directory.split(3, directory.packOf(3, hash)))
        const again = new PackDirectory()
        again.restore(3, packs)
        for (const hash of hashes) {
          assert.equal(again.packOf(3, hash), directory.packOf(3, hash))
          assert.equal(again.depthOf(3, hash), directory.depthOf(3, hash))
        }
      }),
    )
  })

  it('knows of no pack in a group that has none', () => {
    const directory = begun()
    assert.equal(directory.packOf(2, 0), -1)
    assert.equal(directory.packOf(4, 0), -1)
    assert.equal(directory.packOf(3, -1), 0)
  })

  it('ends at its greatest depth', () => {
    const directory = begun()
    for (let depth = 0; depth < DEPTH_MAX; depth++) directory.split(3, 0)
    assert.equal(directory.depthOf(3, 0), DEPTH_MAX)
    assert.throws(() => directory.split(3, 0))
  })
})

/** Hashes whose packs are split one after the other, at most as often as the greatest depth allows. */
function splits(): fc.Arbitrary<readonly number[]> {
  return fc.array(fc.constantFrom(...hashes), { maxLength: DEPTH_MAX })
}

function begun(): PackDirectory {
  const directory = new PackDirectory()
  directory.begin(3)
  return directory
}
