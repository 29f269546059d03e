/** Formats with a schema of a library: zod, as a user brings it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { expectTypeOf } from 'expect-type'
import { isEngineError, json, messagePack } from 'millrace'
import type { Format } from 'millrace'
import { avro } from 'millrace/avro'
import { z } from 'zod'

const view = z.object({
  page: z.string(),
  atMs: z.coerce.number().int(),
  tag: z.string().default('none'),
})
type View = z.infer<typeof view>

const formats: readonly (readonly [Format<View>, Format<unknown>])[] = [
  [json(view), json()],
  [messagePack(view), messagePack()],
  [
    avro({ schema: { type: 'map', values: ['string', 'int'] }, validate: view }),
    avro({ schema: { type: 'map', values: ['string', 'int'] } }),
  ],
]

for (const [checked, unchecked] of formats) {
  describe(`${checked.name} with a schema of zod`, () => {
    test('gives what the schema makes of a value, of its type', () => {
      const read = checked.decode(unchecked.encode({ page: '/', atMs: '17', more: 1 }))

      expectTypeOf(read).toEqualTypeOf<View>()
      assert.deepEqual(read, { page: '/', atMs: 17, tag: 'none' })
    })

    test('refuses what does not fit, with each place', () => {
      assert.throws(
        () => checked.decode(unchecked.encode({ page: 1, atMs: 'x' })),
        (error: unknown) => {
          assert.ok(error instanceof Error && !isEngineError(error), 'it is about the record')
          assert.match(error.message, /page: .*atMs: /)
          return true
        },
      )
    })
  })
}

test('a schema that answers with a promise is a mistake of the job, not of the record', () => {
  const later = z.string().refine(async () => true)
  assert.throws(() => json(later).decode(Buffer.from('"a"')), { code: 'SCHEMA_ASYNC' })
})
