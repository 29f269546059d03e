import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ByteWriter } from '../../../src/core/byte-writer.ts'

test('what is written stands one behind the other, however small the buffer was', () => {
  const anyWrite = fc.oneof(
    fc.nat(0xff).map((n) => ({ n, bytes: 1 })),
    fc.nat(0xffff).map((n) => ({ n, bytes: 2 })),
    fc.nat(0xffff_ffff).map((n) => ({ n, bytes: 4 })),
    fc.uint8Array({ maxLength: 200 }),
  )
  fc.assert(
    fc.property(fc.array(anyWrite), fc.integer({ min: 0, max: 16 }), (writes, capacity) => {
      const out = new ByteWriter(capacity)
      const expected: Buffer[] = []
      for (const write of writes) {
        if (write instanceof Uint8Array) {
          out.bytes(write)
          expected.push(Buffer.from(write))
          continue
        }
        const integer = Buffer.alloc(write.bytes)
        integer.writeUIntBE(write.n, 0, write.bytes)
        expected.push(integer)
        if (write.bytes === 1) out.uint8(write.n)
        else if (write.bytes === 2) out.uint16(write.n)
        else out.uint32(write.n)
      }
      assert.deepEqual(out.view(), Buffer.concat(expected))
      assert.equal(out.length, out.view().length)
    }),
  )
})

test('a copy outlives the next reset, a view does not', () => {
  const out = new ByteWriter(4)
  out.uint8(1)
  const copy = out.copy()
  const view = out.view()

  out.reset()
  out.uint8(2)

  assert.deepEqual([...copy], [1])
  assert.deepEqual([...view], [2])
  assert.deepEqual([...out.view()], [2])
})
