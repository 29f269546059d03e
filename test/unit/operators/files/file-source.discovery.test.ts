import assert from 'node:assert/strict'
import { mkdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { FileSourceOptions } from '../../../../operators/files/file-source.ts'
import { fileSource } from '../../../../operators/files/file-source.ts'
import { text } from '../../../../operators/formats/text.ts'
import type { Split, SplitEnumerator } from '../../../../src/contract/source.ts'
import { checkValue } from '../../../../src/core/value.ts'
import {
  ListLogger,
  enumeratorContext,
  temporaryDirectory,
} from '../../../support/file-contexts.ts'

function enumerator(
  path: string,
  options: Partial<FileSourceOptions<string>> = {},
  logger = new ListLogger(),
): SplitEnumerator {
  return fileSource({ path, format: text(), ...options }).enumerator(enumeratorContext(logger))
}

function names(splits: readonly Split[]): string[] {
  return splits.map(({ id }) => id.slice(0, id.lastIndexOf('@')))
}

const nothingKnown: ReadonlySet<string> = new Set()

function knownOf(...splits: readonly Split[]): ReadonlySet<string> {
  return new Set(splits.map(({ id }) => id))
}

test('a directory is its files, in the order of their names, without hidden ones and what is below', async (t) => {
  const directory = await temporaryDirectory(t)
  for (const name of ['b', 'a.jsonl', 'B', 'ä', '10', '9', '.part-x', '_SUCCESS']) {
    await writeFile(join(directory, name), 'x')
  }
  await mkdir(join(directory, 'below'))
  await writeFile(join(directory, 'below', 'c'), 'x')

  const splits = await enumerator(directory).discover(nothingKnown)

  assert.deepEqual(names(splits), ['10', '9', 'B', 'a.jsonl', 'b', 'ä'])
  splits.forEach(checkValue)
})

test('a file is one split, also one with a hidden name, as it was asked for', async (t) => {
  const directory = await temporaryDirectory(t)
  await writeFile(join(directory, '.hidden'), 'abc')

  const splits = await enumerator(join(directory, '.hidden')).discover(nothingKnown)

  assert.deepEqual(names(splits), ['.hidden'])
  assert.deepEqual(splits[0]?.data, { path: '', sizeBytes: 3 })
})

test('wildcards are looked for in every name of the path', async (t) => {
  const directory = await temporaryDirectory(t)
  for (const day of ['2026-01', '2026-02', 'other', '.2026-03']) {
    await mkdir(join(directory, day, 'in'), { recursive: true })
    await writeFile(join(directory, day, 'in', 'b.jsonl'), 'x')
    await writeFile(join(directory, day, 'in', 'a.jsonl'), 'x')
    await writeFile(join(directory, day, 'in', 'a.txt'), 'x')
    await writeFile(join(directory, day, 'in', '.a.jsonl'), 'x')
  }
  await writeFile(join(directory, '2026-file'), 'no directory')

  const splits = await enumerator(join(directory, '2026-*/in/?.jsonl')).discover(nothingKnown)

  assert.deepEqual(names(splits), [
    '2026-01/in/a.jsonl',
    '2026-01/in/b.jsonl',
    '2026-02/in/a.jsonl',
    '2026-02/in/b.jsonl',
  ])
  assert.deepEqual(splits[0]?.data, { path: '2026-01/in/a.jsonl', sizeBytes: 1 })
})

test('links are followed, and those that lead nowhere passed over', async (t) => {
  const directory = await temporaryDirectory(t)
  await mkdir(join(directory, 'in'))
  await writeFile(join(directory, 'elsewhere'), 'abc')
  await symlink(join(directory, 'elsewhere'), join(directory, 'in', 'linked'))
  await symlink(join(directory, 'nowhere'), join(directory, 'in', 'broken'))

  const splits = await enumerator(join(directory, 'in')).discover(nothingKnown)

  assert.deepEqual(names(splits), ['linked'])
  assert.deepEqual(splits[0]?.data, { path: 'linked', sizeBytes: 3 })
})

test('a path that names nothing is an error that says so', async (t) => {
  const directory = await temporaryDirectory(t)
  await writeFile(join(directory, 'file'), 'x')
  for (const path of ['missing', 'missing/*', 'missing/a.jsonl', 'file/below', '*.jsonl']) {
    await assert.rejects(
      enumerator(join(directory, path)).discover(nothingKnown),
      { code: 'FILE_NOT_FOUND', message: new RegExp(directory) },
      path,
    )
  }
})

test('an empty directory has nothing to read, which is worth a warning', async (t) => {
  const logger = new ListLogger()
  const directory = await temporaryDirectory(t)
  assert.deepEqual(await enumerator(directory, {}, logger).discover(nothingKnown), [])
  assert.match(logger.warnings.join(), /no files/)
})

test('wildcards that match nothing any more after a restore are no error: files may be archived', async (t) => {
  const directory = await temporaryDirectory(t)
  await writeFile(join(directory, 'a.jsonl'), 'x')
  const [split] = await enumerator(join(directory, '*.jsonl')).discover(nothingKnown)
  assert.ok(split)
  await rm(join(directory, 'a.jsonl'))

  assert.deepEqual(await enumerator(join(directory, '*.jsonl')).discover(knownOf(split)), [])
})

test('a file that is known is not given out again, by this enumerator or the next', async (t) => {
  const directory = await temporaryDirectory(t)
  await writeFile(join(directory, 'a@1-2'), 'x')
  const first = enumerator(directory, { watchEvery: '1s' })
  const [a, ...others] = await first.discover(nothingKnown)
  assert.ok(a)
  assert.deepEqual(others, [])

  assert.deepEqual(await first.discover(knownOf(a)), [])
  await writeFile(join(directory, 'b'), 'x')
  const next = enumerator(directory, { watchEvery: '1s' })
  assert.deepEqual(names(await next.discover(knownOf(a))), ['b'])
})

test('while watching, a file put in the place of another is read, with a warning', async (t) => {
  const logger = new ListLogger()
  const directory = await temporaryDirectory(t)
  await writeFile(join(directory, 'a'), 'one')
  await utimes(join(directory, 'a'), 1000, 1000)
  const watching = enumerator(directory, { watchEvery: '1s' }, logger)
  const [a] = await watching.discover(nothingKnown)
  assert.ok(a)
  assert.deepEqual(logger.warnings, [])

  await writeFile(join(directory, '.new'), 'two')
  await rename(join(directory, '.new'), join(directory, 'a'))
  const [replaced, ...others] = await watching.discover(knownOf(a))

  assert.ok(replaced)
  assert.deepEqual(others, [])
  assert.notEqual(replaced.id, a.id)
  assert.match(logger.warnings.join(), /changed or replaced/)
})

test('a file moved to a place of its own with its time is the same file', async (t) => {
  const directory = await temporaryDirectory(t)
  await mkdir(join(directory, 'before'))
  await mkdir(join(directory, 'after'))
  for (const place of ['before', 'after']) {
    await writeFile(join(directory, place, 'a'), 'one')
    await utimes(join(directory, place, 'a'), 1000, 1000)
  }
  const before = await enumerator(join(directory, 'before')).discover(nothingKnown)
  const after = await enumerator(join(directory, 'after')).discover(nothingKnown)
  assert.deepEqual(after, before)
})

test('where every file is read once, a file that grew between two runs is not given out again', async (t) => {
  const directory = await temporaryDirectory(t)
  await writeFile(join(directory, 'a'), 'one')
  const [a] = await enumerator(directory).discover(nothingKnown)
  assert.ok(a)
  await writeFile(join(directory, 'a'), 'one\ntwo')

  assert.deepEqual(await enumerator(directory).discover(knownOf(a)), [])
})

test('the source says whether it ends, how often it looks, and what it reads', () => {
  const bounded = fileSource({ path: 'in/*.txt', format: text() })
  assert.equal(bounded.type, 'files')
  assert.equal(bounded.isBounded, true)
  assert.deepEqual(bounded.details, { path: 'in/*.txt', format: 'text' })
  assert.equal(bounded.enumerator(enumeratorContext()).discoverEveryMs, undefined)

  const watching = fileSource({ path: 'in', format: text(), watchEvery: '10s' })
  assert.equal(watching.isBounded, false)
  assert.deepEqual(watching.details, { path: 'in', format: 'text', watchEvery: '10s' })
  assert.equal(watching.enumerator(enumeratorContext()).discoverEveryMs, 10_000)
})

test('options that make no sense are refused when the job is built', () => {
  const make = (options: Partial<FileSourceOptions<string>>) => () =>
    fileSource({ path: 'in', format: text(), ...options })
  assert.throws(make({ path: '' }), { code: 'OPTION_INVALID', message: /path/ })
  assert.throws(make({ watchEvery: '0s' }), { code: 'OPTION_INVALID', message: /watchEvery/ })
  assert.throws(make({ lineBytesMax: 0 }), { code: 'OPTION_INVALID', message: /lineBytesMax/ })
  assert.throws(make({ readAheadBytes: 1.5 }), { code: 'OPTION_INVALID', message: /readAhead/ })
})

test('a discovery that is cancelled ends', async (t) => {
  const directory = await temporaryDirectory(t)
  await writeFile(join(directory, 'a'), 'x')
  const cancelled = { ...enumeratorContext(), signal: AbortSignal.abort() }
  const source = fileSource({ path: directory, format: text() })
  await assert.rejects(source.enumerator(cancelled).discover(nothingKnown), { name: 'AbortError' })
})
