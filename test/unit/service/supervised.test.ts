import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resumedFrom } from '../../../src/service/supervised.ts'

test('a restarted process goes on from a checkpoint of its own run, and from none that it was to leave behind', () => {
  const table: readonly (readonly [
    string,
    string | undefined,
    number | undefined,
    number,
    unknown,
  ])[] = [
    ['first start', '/sp', undefined, 100, '/sp'],
    ['no checkpoint taken since it was rewound', '/sp', 100, 100, '/sp'],
    ['one taken since', '/sp', 100, 101, 'latest'],
    ['the first of the directory', '/sp', 0, 1, 'latest'],
    ['old ones forgotten, none taken', 'none', 100, 0, 'none'],
    ['begun anew, one taken', 'none', 0, 1, 'latest'],
    ['nothing said', undefined, 0, 0, undefined],
  ]

  for (const [name, from, newestBefore, newestNow, expected] of table) {
    assert.equal(resumedFrom(from, { newestBefore, newestNow }), expected, name)
  }
})
