import assert from 'node:assert/strict'
import { appendFile, mkdir, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import type { FileSourceOptions } from '../../../../operators/files/file-source.ts'
import { fileSource } from '../../../../operators/files/file-source.ts'
import { CHUNK_BYTES_MIN, FILES_OPEN_MAX } from '../../../../operators/files/read-budget.ts'
import { bytes } from '../../../../operators/formats/bytes.ts'
import { json } from '../../../../operators/formats/json.ts'
import { text } from '../../../../operators/formats/text.ts'
import type { Format } from '../../../../src/contract/format.ts'
import type { SourceReader, Split, SplitReader } from '../../../../src/contract/source.ts'
import { RecordBatch } from '../../../../src/core/record-batch.ts'
import type { Schema } from '../../../../src/core/schema.ts'
import { checkValue } from '../../../../src/core/value.ts'
import {
  FakeReaderContext,
  enumeratorContext,
  take,
  temporaryDirectory,
} from '../../../support/file-contexts.ts'
import { assertSameValue } from '../../../support/values.ts'

interface Opened {
  readonly split: Split
  readonly context: FakeReaderContext
  readonly reader: SourceReader
  readonly splitReader: SplitReader
}

/** Opens the one file of a path, from a position if there is one. */
async function openFile<T>(
  t: TestContext,
  options: FileSourceOptions<T>,
  position?: unknown,
): Promise<Opened> {
  const source = fileSource(options)
  const [split] = await source.enumerator(enumeratorContext()).discover(new Set())
  assert.ok(split)
  return openSplit(t, options, position === undefined ? split : { ...split, position })
}

async function openSplit<T>(
  t: TestContext,
  options: FileSourceOptions<T>,
  split: Split,
): Promise<Opened> {
  const context = new FakeReaderContext()
  const reader = await fileSource(options).reader(context)
  const splitReader = reader.open(split)
  t.after(() => splitReader.close?.())
  return { split, context, reader, splitReader }
}

async function fileWith(t: TestContext, content: string | Uint8Array): Promise<string> {
  const path = join(await temporaryDirectory(t), 'in.txt')
  await writeFile(path, content)
  return path
}

test('every line of a file is a record, the last one also without a line end', async (t) => {
  const path = await fileWith(t, 'one\r\n\n\r\ntwo\nthree')
  const { splitReader, context } = await openFile(t, { path, format: text() })
  assert.deepEqual(await take(splitReader, context), ['one', 'two', 'three'])
  assert.equal(splitReader.position(), 17)
})

test('reading goes on exactly where it stood, at whatever record it stopped', async (t) => {
  const lines = Array.from({ length: 40 }, (_, i) => `line ${i} ${'é😀'.repeat(i % 7)}`)
  const path = await fileWith(t, `\ufeff${lines.join('\r\n\n')}`)
  for (let stop = 0; stop <= lines.length; stop++) {
    const first = await openFile(t, { path, format: text() })
    assert.deepEqual(await take(first.splitReader, first.context, stop), lines.slice(0, stop))
    const position = first.splitReader.position()
    checkValue(position)

    const second = await openSplit(t, { path, format: text() }, { ...first.split, position })
    assert.equal(second.splitReader.position(), position)
    assert.deepEqual(await take(second.splitReader, second.context), lines.slice(stop))
  }
})

test('lines across the borders of chunks are whole, with characters of several bytes and long lines', async (t) => {
  const anyLines = fc.array(
    fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 30 }),
      fc.integer({ min: 1, max: 3 * CHUNK_BYTES_MIN }).map((length) => 'ü€😀'.repeat(length / 3)),
    ),
    { maxLength: 30 },
  )
  const directory = await temporaryDirectory(t)
  const path = join(directory, 'in.txt')
  await fc.assert(
    fc.asyncProperty(anyLines, async (anyText) => {
      const lines = anyText
        .map((line) => line.replaceAll(/[\r\n\ufeff]/g, '.'))
        .filter((line) => line !== '')
      await writeFile(path, lines.join('\n'))
      if (lines.length === 0) return
      // the least read-ahead there is: chunks are small
      const options = { path, format: text(), readAheadBytes: 1 }
      const { splitReader, context } = await openFile(t, options)
      assert.deepEqual(await take(splitReader, context), lines)
      await splitReader.close?.()
    }),
    { numRuns: 60 },
  )
})

test('what is appended after a file was found belongs to no split', async (t) => {
  const path = await fileWith(t, 'one\ntw')
  const { splitReader, context, split } = await openFile(t, { path, format: text() })
  await appendFile(path, 'o\nthree\n')

  assert.deepEqual(await take(splitReader, context), ['one', 'tw'])
  const again = await openSplit(t, { path, format: text() }, { ...split, position: 4 })
  assert.deepEqual(await take(again.splitReader, again.context), ['tw'])
})

test('an empty file ends at once', async (t) => {
  const path = await fileWith(t, '')
  const { splitReader } = await openFile(t, { path, format: text() })
  assert.equal(splitReader.read(new RecordBatch(1), 1), 'ended')
  assert.equal(splitReader.position(), 0)
})

test('reading never waits: it says that there is nothing yet, and tells when there is', async (t) => {
  const path = await fileWith(t, 'one\n')
  const { splitReader, context } = await openFile(t, { path, format: text() })
  const batch = new RecordBatch(8)

  const available = context.nextAvailable()
  assert.equal(splitReader.read(batch, 8), 'empty')
  assert.equal(batch.count, 0)
  await available
  assert.equal(splitReader.read(batch, 8), 'records')
  assert.equal(context.availableCount, 1)
  assert.deepEqual([batch.values[0], batch.timestamps[0], batch.count], ['one', NaN, 1])
  batch.reset()
  assert.equal(splitReader.read(batch, 8), 'ended')
  assert.equal(splitReader.read(batch, 8), 'ended')
})

test('a batch gets no more records than were asked for', async (t) => {
  const path = await fileWith(t, 'a\nb\nc\n')
  const { splitReader, context } = await openFile(t, { path, format: text() })
  const batch = new RecordBatch(8)
  const available = context.nextAvailable()
  splitReader.read(batch, 2)
  await available
  batch.reset()
  assert.equal(splitReader.read(batch, 2), 'records')
  assert.equal(batch.count, 2)
  assert.equal(splitReader.position(), 4)
})

test('a format that gets bytes can keep them: the next chunk is not written over them', async (t) => {
  const keeping: Format<Uint8Array> = {
    name: 'keeping',
    encode: (value) => value,
    decode: (line) => line,
  }
  const lines = Array.from({ length: 5000 }, (_, i) => `line number ${i}`)
  const path = await fileWith(t, lines.join('\n'))
  const options = { path, format: keeping, readAheadBytes: 1 }
  const { splitReader, context } = await openFile(t, options)
  const kept = (await take(splitReader, context)) as Uint8Array[]
  assert.deepEqual(
    kept.map((line) => Buffer.from(line).toString()),
    lines,
  )
})

test('lines are decoded as JSON or given as bytes', async (t) => {
  const path = await fileWith(t, '{"a":"é"}\r\n[1]\n')
  const asJson = await openFile(t, { path, format: json() })
  assertSameValue(await take(asJson.splitReader, asJson.context), [{ a: 'é' }, [1]])
  const asBytes = await openFile(t, { path, format: bytes() })
  const [, second] = await take(asBytes.splitReader, asBytes.context)
  assertSameValue(second, new Uint8Array([0x5b, 0x31, 0x5d]))
})

test('a line that cannot be decoded is told with file, byte and its beginning, after those before it', async (t) => {
  const path = await fileWith(t, `{"n":1}\n\n{"n":\u001b${'x'.repeat(200)}\n{"n":3}\n`)
  const { splitReader, context } = await openFile(t, { path, format: json() })
  assertSameValue(await take(splitReader, context, 1), [{ n: 1 }])

  assert.throws(
    () => splitReader.read(new RecordBatch(8), 8),
    (error: unknown) => {
      assert.ok(error instanceof Error && 'code' in error)
      assert.equal(error.code, 'RECORD_UNDECODABLE')
      assert.ok(error.message.includes(path), error.message)
      assert.match(error.message, /byte 9 .* is no json: .*begins with "\{\\"n\\":\\u001bxxx/)
      assert.ok(error.message.length < 700, 'no more than the beginning is shown')
      assert.ok(error.cause instanceof SyntaxError)
      return true
    },
  )
})

test('a line that does not fit its schema is undecodable; an asynchronous schema is a mistake of the job', async (t) => {
  const path = await fileWith(t, '{"n":1}\n')
  const schema = (validate: Schema<number>['~standard']['validate']): Format<number> =>
    json({ '~standard': { version: 1, vendor: 'test', validate } })

  const misfit = schema(() => ({ issues: [{ message: 'too small', path: ['n'] }] }))
  const first = await openFile(t, { path, format: misfit })
  await assert.rejects(take(first.splitReader, first.context), {
    code: 'RECORD_UNDECODABLE',
    message: /n: too small/,
  })

  const later = await openFile(t, { path, format: schema(async () => ({ value: 1 })) })
  await assert.rejects(take(later.splitReader, later.context), { code: 'SCHEMA_ASYNC' })
})

test('a line longer than the bound is told with file and byte', async (t) => {
  const path = await fileWith(t, `short\n${'x'.repeat(100_000)}\n`)
  const options = { path, format: text(), lineBytesMax: 1000, readAheadBytes: 1 }
  const { splitReader, context } = await openFile(t, options)
  assert.deepEqual(await take(splitReader, context, 1), ['short'])
  await assert.rejects(take(splitReader, context), {
    code: 'RECORD_UNDECODABLE',
    message: new RegExp(`byte 6 .*${path}.* longer than 1000 bytes; raise lineBytesMax`),
  })
})

test('a file that is gone when it is to be read, or read on, is not found', async (t) => {
  const path = await fileWith(t, 'one\ntwo\n')
  const first = await openFile(t, { path, format: text() })
  await take(first.splitReader, first.context, 1)
  await first.splitReader.close?.()
  await rm(path)

  for (const position of [undefined, 4]) {
    const split = position === undefined ? first.split : { ...first.split, position }
    const { splitReader, context } = await openSplit(t, { path, format: text() }, split)
    await assert.rejects(take(splitReader, context), {
      code: 'FILE_NOT_FOUND',
      message: new RegExp(`${path} is gone`),
      retryable: false,
    })
  }
})

test('a file that was read to its end may be gone', async (t) => {
  const path = await fileWith(t, 'one\ntwo')
  const first = await openFile(t, { path, format: text() })
  await take(first.splitReader, first.context)
  const position = first.splitReader.position()
  await rm(path)

  const again = await openSplit(t, { path, format: text() }, { ...first.split, position })
  assert.deepEqual(await take(again.splitReader, again.context), [])
  assert.equal(again.splitReader.position(), position)
})

test('a file that got shorter was changed, whether below the position or above it', async (t) => {
  for (const sizeBytes of [0, 2, 6]) {
    const path = await fileWith(t, 'one\ntwo\n')
    const { split } = await openFile(t, { path, format: text() })
    await truncate(path, sizeBytes)
    const again = await openSplit(t, { path, format: text() }, { ...split, position: 4 })
    await assert.rejects(take(again.splitReader, again.context), {
      code: 'FILE_CHANGED',
      message: new RegExp(`${path} has ${sizeBytes} bytes, but had 8`),
    })
  }
})

test('a file that has no line end before the position is another one', async (t) => {
  const path = await fileWith(t, 'one\ntwo\nthree\n')
  const { split } = await openFile(t, { path, format: text() })
  await writeFile(path, 'a longer line\nthan there was\n')
  const again = await openSplit(t, { path, format: text() }, { ...split, position: 4 })
  await assert.rejects(take(again.splitReader, again.context), {
    code: 'FILE_CHANGED',
    message: /no line end before byte 4/,
  })
})

test('a file that is cut short while it is read gives what was read, then the error', async (t) => {
  const line = `${'x'.repeat(99)}\n`
  const path = await fileWith(t, line.repeat(5000))
  const { splitReader, context } = await openFile(t, { path, format: text(), readAheadBytes: 1 })
  await take(splitReader, context, 1)
  await truncate(path, 1000)

  await assert.rejects(take(splitReader, context), { code: 'FILE_CHANGED' })
  assert.ok(Number(splitReader.position()) >= CHUNK_BYTES_MIN - line.length)
})

test('a directory in the place of the file is an error with path and cause', async (t) => {
  const path = await fileWith(t, 'one\n')
  const { split } = await openFile(t, { path, format: text() })
  const directory = await temporaryDirectory(t)
  await rm(path)
  await rename(directory, path)
  const again = await openSplit(t, { path, format: text() }, split)
  await assert.rejects(take(again.splitReader, again.context), (error: unknown) => {
    assert.ok(error instanceof Error && 'code' in error)
    assert.match(String(error.code), /SOURCE_FAILED|FILE_CHANGED/)
    return error.message.includes(path)
  })
})

test('a split is found again when its directory was moved with the job', async (t) => {
  const directory = await temporaryDirectory(t)
  const before = join(directory, 'before')
  const after = join(directory, 'after')
  await writeFile(join(directory, 'a.txt'), 'one\ntwo\n')
  await mkdir(before)
  await rename(join(directory, 'a.txt'), join(before, 'a.txt'))
  const { split } = await openFile(t, { path: before, format: text() })
  await rename(before, after)

  const moved = await openSplit(t, { path: after, format: text() }, { ...split, position: 4 })
  assert.deepEqual(await take(moved.splitReader, moved.context), ['two'])
})

test('closing while it reads waits for what is under way, and may be done twice', async (t) => {
  const path = await fileWith(t, 'x\n'.repeat(500_000))
  const { splitReader, context } = await openFile(t, { path, format: text() })
  splitReader.read(new RecordBatch(1), 1)
  await Promise.all([splitReader.close?.(), splitReader.close?.()])
  const count = context.availableCount
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(context.availableCount, count)
})

test('more files than may be open at once are read side by side, each from beginning to end', async (t) => {
  const directory = await temporaryDirectory(t)
  const fileCount = FILES_OPEN_MAX * 2
  const rows = (file: number): string[] =>
    Array.from({ length: 3 }, (_, i) => `${file}-${i}-`.padEnd(8000, 'x'))
  for (let file = 0; file < fileCount; file++) {
    await writeFile(join(directory, String(file)), rows(file).join('\n'))
  }
  const options = { path: directory, format: text(), readAheadBytes: 1 }
  const source = fileSource(options)
  const splits = await source.enumerator(enumeratorContext()).discover(new Set())
  const context = new FakeReaderContext()
  const reader = await source.reader(context)
  const open = new Map(splits.map((split) => [split.id.split('@')[0] ?? '', reader.open(split)]))
  const read = new Map<string, unknown[]>()

  // one record of each in turn, as an engine does that follows event time
  const batch = new RecordBatch(1)
  while (open.size > 0) {
    const available = context.nextAvailable()
    let isIdle = true
    for (const [name, splitReader] of open) {
      batch.reset()
      const answer = splitReader.read(batch, 1)
      if (answer === 'empty') continue
      isIdle = false
      if (answer === 'records') {
        const values = read.get(name) ?? []
        read.set(name, [...values, batch.values[0]])
      } else {
        open.delete(name)
        await splitReader.close?.()
      }
    }
    if (isIdle) await available
  }

  assert.equal(read.size, fileCount)
  for (const [name, values] of read) {
    const expected = rows(Number(name))
    const isSame = values.every((value, i) => value === expected[i])
    assert.ok(isSame && values.length === expected.length, `${values.length} lines of ${name}`)
  }
})

test('among many files, one that is replaced while it is read is told', async (t) => {
  const directory = await temporaryDirectory(t)
  for (let file = 0; file <= FILES_OPEN_MAX; file++) {
    await writeFile(join(directory, String(file)), 'x\n'.repeat(2 * CHUNK_BYTES_MIN))
  }
  const source = fileSource({ path: directory, format: text(), readAheadBytes: 1 })
  const splits = await source.enumerator(enumeratorContext()).discover(new Set())
  const context = new FakeReaderContext()
  const reader = await source.reader(context)
  const readers = splits.map((split) => reader.open(split))
  const [first] = readers
  assert.ok(first)
  await take(first, context, 10)

  await writeFile(join(directory, '.other'), 'y\n'.repeat(2 * CHUNK_BYTES_MIN))
  await rename(join(directory, '.other'), join(directory, '0'))

  await assert.rejects(take(first, context), { code: 'FILE_CHANGED', message: /replaced/ })
  await Promise.all(readers.map(async (other) => other.close?.()))
})
