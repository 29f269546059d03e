import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decideService, jobArguments } from '../../../src/cli/service-decisions.ts'
import type { Configuration } from '../../../src/cli/settings.ts'

const TOKEN = '0123456789abcdef'

test('a job runs in the process that was called, unless it is a service', () => {
  assert.equal(decideService({}).supervisor, undefined)
  assert.equal(decideService({ http: { listen: 'off' } }).supervisor, undefined)
  assert.equal(decideService({ supervise: false }).supervisor, undefined)
  assert.ok(decideService({ supervise: true }).supervisor)
  assert.deepEqual(decideService({ http: { listen: 8080 } }).supervisor?.http, {
    host: '127.0.0.1',
    port: 8080,
  })
})

test('addresses, and which of them need a token', () => {
  const table: readonly (readonly [string, string, boolean])[] = [
    ['127.0.0.1:80', '127.0.0.1', false],
    ['127.8.8.8:80', '127.8.8.8', false],
    ['localhost:80', 'localhost', false],
    ['[::1]:80', '::1', false],
    ['80', '127.0.0.1', false],
    ['0.0.0.0:80', '0.0.0.0', true],
    ['[::]:80', '::', true],
    ['10.0.0.7:80', '10.0.0.7', true],
    ['127.0.0.1.example.org:80', '127.0.0.1.example.org', true],
  ]

  for (const [listen, host, needsToken] of table) {
    const { supervisor, mistakes } = decideService({ http: { listen } })
    assert.deepEqual(supervisor?.http, { host, port: 80 })
    assert.equal(mistakes.length, needsToken ? 1 : 0, listen)
    if (needsToken) assert.match(mistakes[0] ?? '', /can be reached from other machines/)
    assert.deepEqual(decideService({ http: { listen, token: TOKEN } }).mistakes, [])
  }
})

test('what makes no sense together is a mistake', () => {
  const table: readonly (readonly [Configuration, RegExp])[] = [
    [{ http: { listen: 80 }, supervise: false }, /leave --no-supervise out/],
    [{ http: { token: TOKEN } }, /--http-token has no meaning without --http/],
    [{ http: { listen: 80, token: 'short' } }, /at least 16 characters/],
    [{ supervisor: { restartsMax: 3 } }, /supervisor\.restartsMax: no meaning without --supervise/],
    [
      { supervise: true, supervisor: { delay: '2min' } },
      /--supervisor-delay is longer than --supervisor-delay-max/,
    ],
  ]

  for (const [configuration, expected] of table) {
    assert.match(decideService(configuration).mistakes.join('; '), expected)
  }
})

test('the process of the job gets the same arguments, without the token and without a supervisor', () => {
  assert.deepEqual(
    jobArguments(['run', 'a.ts', '--http-token', TOKEN, '--threads', '2', `--http-token=${TOKEN}`]),
    ['run', 'a.ts', '--threads', '2', '--no-supervise', '--http', 'off'],
  )
})
