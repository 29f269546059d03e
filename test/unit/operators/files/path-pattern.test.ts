import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { parsePathPattern } from '../../../../operators/files/path-pattern.ts'

function matches(pattern: string, name: string): boolean {
  const { levels } = parsePathPattern(`/in/${pattern}`)
  assert.equal(levels.length, 1)
  return levels[0]?.matches(name) ?? false
}

test('a path without wildcards is its own base', () => {
  assert.deepEqual(parsePathPattern('/in/a-[1].jsonl'), {
    base: resolve('/in/a-[1].jsonl'),
    levels: [],
  })
  assert.deepEqual(parsePathPattern('in/./x/../a.jsonl'), {
    base: resolve('in/a.jsonl'),
    levels: [],
  })
})

test('the base ends before the first name with a wildcard', () => {
  const { base, levels } = parsePathPattern('/data/in/2026-*/part/?.jsonl')
  assert.equal(base, resolve('/data/in'))
  assert.deepEqual(
    levels.map(({ literal }) => literal),
    [undefined, 'part', undefined],
  )
  assert.equal(parsePathPattern('/*').base, resolve('/'))
})

const table: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['*', ['a', 'a.jsonl', 'a b', 'ä', 'a\nb'], ['.a', '_a']],
  ['*.jsonl', ['a.jsonl', 'a.b.jsonl'], ['a.json', 'a.jsonl.gz', '.jsonl', 'ajsonl']],
  ['orders-*-x.*', ['orders-1-x.a', 'orders--x.'], ['orders-1-x', 'xorders-1-x.a']],
  ['a?c', ['abc', 'a?c', 'a😀c'], ['ac', 'abbc']],
  ['?bc', ['abc'], ['.bc', '_bc']],
  ['.*', ['.a'], ['a', '_a']],
  ['_*', ['_a'], ['a', '.a']],
  ['a.b*', ['a.b', 'a.bc'], ['axb']],
  ['(a|b)[c]+^$*', ['(a|b)[c]+^$x'], ['ac']],
  ['{a,b}-*', ['{a,b}-1'], ['a-1']],
]
for (const [pattern, fits, doesNot] of table) {
  test(`'${pattern}' matches what it should`, () => {
    for (const name of fits) assert.equal(matches(pattern, name), true, name)
    for (const name of doesNot) assert.equal(matches(pattern, name), false, name)
  })
}

test('an empty path and ** are refused', () => {
  assert.throws(() => parsePathPattern(''), { code: 'OPTION_INVALID' })
  assert.throws(() => parsePathPattern('in/**/*.jsonl'), {
    code: 'OPTION_INVALID',
    message: /\*\*/,
  })
})
