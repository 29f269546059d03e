import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Schema } from '../../../src/core/schema.ts'
import { isUnchecked, issueText, type, validate } from '../../../src/core/schema.ts'

const positive: Schema<number> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) =>
      typeof value === 'string' && Number(value) > 0
        ? { value: Number(value) }
        : { issues: [{ message: 'is not positive', path: ['a', { key: 0 }] }] },
  },
}

test('type() lets everything pass, as it is', () => {
  const value = { any: 'thing' }
  assert.equal(isUnchecked(type<string>()), true)
  assert.equal(isUnchecked(positive), false)
  assert.deepEqual(validate(type<unknown>(), value), { value })
})

test('a schema answers with its own output, or with what is wrong', () => {
  assert.deepEqual(validate(positive, '5'), { value: 5 })
  assert.deepEqual(validate(positive, '-5').issues, [
    { message: 'is not positive', path: ['a', { key: 0 }] },
  ])
})

test('a schema that answers with a promise is refused, also when the promise rejects', async () => {
  for (const answer of [
    () => Promise.resolve({ value: 1 }),
    () => Promise.reject(new Error('nobody waits for this')),
  ]) {
    const later: Schema<number> = {
      '~standard': { version: 1, vendor: 'slow', validate: answer },
    }
    assert.throws(() => validate(later, 1), { code: 'SCHEMA_ASYNC', message: /slow/ })
  }
  // a rejection that nobody handles fails this test
  await new Promise((resolve) => setImmediate(resolve))
})

test('an issue says where in the value it is', () => {
  assert.equal(issueText({ message: 'is missing' }), 'is missing')
  assert.equal(
    issueText({ message: 'is not positive', path: ['a', { key: 0 }] }),
    'a[0]: is not positive',
  )
})
