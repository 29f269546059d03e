import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deadLetterJson } from 'millrace'
import type { DeadLetter } from 'millrace'

const letter: DeadLetter = {
  operatorUid: 'views',
  error: { code: 'RECORD_UNDECODABLE', message: 'it is no json', stack: 'at …' },
  value: new Uint8Array(Buffer.from('{"page":')),
  key: new Uint8Array([0xff, 0]),
  headers: new Map([['trace', new Uint8Array([1, 0xfe])]]),
  timestampMs: 17,
  origin: { topic: 'views', partition: 3, offset: 12 },
}

test('a dead letter comes back byte for byte', () => {
  const format = deadLetterJson()
  assert.deepEqual(format.decode(format.encode(letter)), letter)
  const withoutBytes = { ...letter, value: null, key: null, headers: new Map() }
  assert.deepEqual(format.decode(format.encode(withoutBytes)), withoutBytes)
})

test('what is text can be read as text', () => {
  const json: unknown = JSON.parse(Buffer.from(deadLetterJson().encode(letter)).toString())
  assert.deepEqual(json, {
    ...letter,
    value: { text: '{"page":' },
    key: { base64: '/wA=' },
    headers: { trace: { base64: 'Af4=' } },
  })
})
