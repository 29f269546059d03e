import assert from 'node:assert/strict'
import { mkdir, readFile, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { FileSinkOptions } from '../../../../operators/files/file-sink.ts'
import { fileSink } from '../../../../operators/files/file-sink.ts'
import { fileSource } from '../../../../operators/files/file-source.ts'
import { bytes } from '../../../../operators/formats/bytes.ts'
import { json } from '../../../../operators/formats/json.ts'
import { text } from '../../../../operators/formats/text.ts'
import type { Committable, SinkContext, SinkWriter } from '../../../../src/contract/sink.ts'
import { checkValue, copyValue } from '../../../../src/core/value.ts'
import {
  FakeReaderContext,
  FakeSinkContext,
  enumeratorContext,
  take,
  temporaryDirectory,
} from '../../../support/file-contexts.ts'

async function open(
  directory: string,
  context: SinkContext,
  options: Partial<FileSinkOptions<string>> = {},
): Promise<SinkWriter> {
  return fileSink<string>({ directory, format: text(), ...options }).open(context)
}

function write(writer: SinkWriter, ...values: readonly string[]): void {
  for (const value of values) writer.write(value, NaN)
}

/** Prepares an epoch, waits until it would survive a crash, and answers its committable as a checkpoint would hold it. */
async function prepared(writer: SinkWriter, checkpointId: number): Promise<Committable> {
  const epoch = writer.prepare?.(checkpointId, 'checkpoint')
  await epoch?.durable
  assert.ok(epoch?.committable)
  checkValue(epoch.committable)
  return { checkpointId, data: copyValue(epoch.committable) }
}

async function finalFiles(directory: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {}
  for (const name of (await readdir(directory)).sort()) {
    if (!name.startsWith('.')) files[name] = await readFile(join(directory, name), 'utf8')
  }
  return files
}

async function hiddenFiles(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => name.startsWith('.')).sort()
}

test('records become visible when their checkpoint is committed, and not before', async (t) => {
  const directory = join(await temporaryDirectory(t), 'made', 'here')
  const writer = await open(directory, new FakeSinkContext({ attempt: 'r1' }))

  write(writer, 'one', 'two')
  const first = await prepared(writer, 7)
  write(writer, 'three')
  assert.deepEqual(await finalFiles(directory), {})

  await writer.commit?.(first)
  assert.deepEqual(await finalFiles(directory), {
    'part-out-0000000000000007-00000-00000-r1.txt': 'one\ntwo\n',
  })

  await writer.commit?.(await prepared(writer, 8))
  assert.deepEqual(Object.values(await finalFiles(directory)), ['one\ntwo\n', 'three\n'])
  assert.deepEqual(await hiddenFiles(directory), [])
})

test('an epoch without records makes no file and nothing to commit', async (t) => {
  const directory = await temporaryDirectory(t)
  const writer = await open(directory, new FakeSinkContext({ attempt: 'r1' }))
  const epoch = writer.prepare?.(1, 'checkpoint')
  await epoch?.durable
  assert.equal(epoch?.committable, undefined)

  write(writer, 'a')
  await writer.commit?.(await prepared(writer, 2))
  assert.equal(writer.prepare?.(3, 'checkpoint').committable, undefined)
  assert.deepEqual(await readdir(directory), ['part-out-0000000000000002-00000-00000-r1.txt'])
})

test('what the sink wrote, the source reads as it was', async (t) => {
  const directory = await temporaryDirectory(t)
  const sink = fileSink<object>({ directory, format: json() })
  const writer = await sink.open(new FakeSinkContext({ attempt: 'r1' }))
  const rows = Array.from({ length: 20_000 }, (_, n) => ({ n, text: 'line\nend 😀'.repeat(n % 9) }))
  for (const row of rows) writer.write(row, NaN)
  await writer.commit?.(await prepared(writer, 1))
  // one that is still being written must not be seen
  writer.write({ n: -1 }, NaN)
  await prepared(writer, 2)

  const source = fileSource({ path: directory, format: json() })
  const splits = await source.enumerator(enumeratorContext()).discover(new Set())
  assert.equal(splits.length, 1)
  const context = new FakeReaderContext()
  const reader = await source.reader(context)
  const [split] = splits
  assert.ok(split)
  const splitReader = reader.open(split)
  assert.deepEqual(await take(splitReader, context), rows)
  await splitReader.close?.()
})

test('a file that would grow beyond its bound is ended, and the epoch goes on in the next', async (t) => {
  const directory = await temporaryDirectory(t)
  const context = new FakeSinkContext({ attempt: 'r1' })
  const writer = await open(directory, context, { bytesMax: 8 })

  write(writer, 'abc', 'def', 'g', 'longer than the bound', 'h')
  await writer.commit?.(await prepared(writer, 1))
  write(writer, 'i')
  await writer.commit?.(await prepared(writer, 2))

  assert.deepEqual(await finalFiles(directory), {
    'part-out-0000000000000001-00000-00000-r1.txt': 'abc\ndef\n',
    'part-out-0000000000000001-00000-00001-r1.txt': 'g\n',
    'part-out-0000000000000001-00000-00002-r1.txt': 'longer than the bound\n',
    'part-out-0000000000000001-00000-00003-r1.txt': 'h\n',
    'part-out-0000000000000002-00000-00000-r1.txt': 'i\n',
  })
})

test('records of any length come whole, in their order', async (t) => {
  const directory = await temporaryDirectory(t)
  const writer = await open(directory, new FakeSinkContext({ attempt: 'r1' }))
  const block = 256 * 1024
  const lengths = [1, block - 3, 1, block - 1, block, block + 1, 3 * block, 5, block - 2, 0, 7]
  const values = lengths.map((length, i) => String.fromCharCode(97 + i).repeat(length))
  write(writer, ...values)
  await writer.commit?.(await prepared(writer, 1))
  assert.equal(Object.values(await finalFiles(directory)).join(), `${values.join('\n')}\n`)
})

test('committing again changes nothing, also after a crash between two files', async (t) => {
  const directory = await temporaryDirectory(t)
  const first = await open(directory, new FakeSinkContext({ attempt: 'r1' }), { bytesMax: 4 })
  write(first, 'a', 'b', 'c', 'd', 'e')
  const committable = await prepared(first, 1)
  await first.commit?.(committable)
  const committed = await finalFiles(directory)
  await first.commit?.(committable)
  assert.deepEqual(await finalFiles(directory), committed)

  // as if the crash had come before the last file was renamed
  const { files } = committable.data as { files: { staged: string; final: string }[] }
  const last = files.at(-1)
  assert.ok(last && files.length === 3)
  await rename(join(directory, last.final), join(directory, last.staged))
  const context = new FakeSinkContext({ attempt: 'r2', restored: [committable] })
  const second = await open(directory, context)
  await second.commit?.(committable)
  await second.discardUnnamed?.()
  assert.deepEqual(await finalFiles(directory), committed)
})

test('a crash after the checkpoint loses nothing: the next run commits, whichever subtask it falls to', async (t) => {
  const directory = await temporaryDirectory(t)
  const crashed = await open(
    directory,
    new FakeSinkContext({ attempt: 'r1', subtaskIndex: 3, parallelism: 4 }),
  )
  write(crashed, 'a')
  const one = await prepared(crashed, 1)
  write(crashed, 'b')
  const two = await prepared(crashed, 2)
  write(crashed, 'lost with the crash, and replayed')

  const next = await open(directory, new FakeSinkContext({ attempt: 'r2', restored: [one, two] }))
  for (const committable of [one, two]) await next.commit?.(committable)
  await next.discardUnnamed?.()
  write(next, 'replayed')
  await next.commit?.(await prepared(next, 3))

  assert.deepEqual(await finalFiles(directory), {
    'part-out-0000000000000001-00003-00000-r1.txt': 'a\n',
    'part-out-0000000000000002-00003-00000-r1.txt': 'b\n',
    'part-out-0000000000000003-00000-00000-r2.txt': 'replayed\n',
  })
  assert.deepEqual(await hiddenFiles(directory), [])
})

test('a prepared file that is in neither place is missed, by name', async (t) => {
  const directory = await temporaryDirectory(t)
  const writer = await open(directory, new FakeSinkContext({ attempt: 'r1' }))
  write(writer, 'a')
  const committable = await prepared(writer, 1)
  for (const name of await hiddenFiles(directory)) await rm(join(directory, name))

  await assert.rejects(async () => writer.commit?.(committable), {
    code: 'SINK_FAILED',
    retryable: false,
    message: new RegExp(
      `\\.part-job\\.out\\.r1\\.0\\.0 of 2 bytes.*${directory}.*part-out-0{15}1-00000-00000-r1\\.txt`,
    ),
  })
})

test('a prepared file that is not what it was is never made visible', async (t) => {
  const directory = await temporaryDirectory(t)
  const writer = await open(directory, new FakeSinkContext({ attempt: 'r1' }))
  write(writer, 'a', 'b')
  const committable = await prepared(writer, 1)
  const [staged = ''] = await hiddenFiles(directory)
  await truncate(join(directory, staged), 1)

  await assert.rejects(async () => writer.commit?.(committable), {
    code: 'SINK_FAILED',
    message: /has 1 bytes, but had 4/,
  })
  assert.deepEqual(await finalFiles(directory), {})
})

test('a file that is there already under a final name is not written over', async (t) => {
  const directory = await temporaryDirectory(t)
  const writer = await open(directory, new FakeSinkContext({ attempt: 'r1' }))
  write(writer, 'a')
  const committable = await prepared(writer, 1)
  const name = 'part-out-0000000000000001-00000-00000-r1.txt'
  await writeFile(join(directory, name), 'of somebody else')

  await assert.rejects(async () => writer.commit?.(committable), {
    code: 'SINK_FAILED',
    message: /is there already/,
  })
  assert.deepEqual(await finalFiles(directory), { [name]: 'of somebody else' })
})

test('what a checkpoint holds that is not of this sink is refused', async (t) => {
  const directory = await temporaryDirectory(t)
  const writer = await open(directory, new FakeSinkContext({ attempt: 'r1' }))
  for (const data of [undefined, null, 5, {}, { directory: 'x', files: [{}] }, { files: [] }]) {
    await assert.rejects(async () => writer.commit?.({ checkpointId: 4, data }), {
      code: 'CHECKPOINT_CORRUPT',
      message: /checkpoint 4/,
    })
  }
})

test('an epoch that was prepared in another directory becomes visible there', async (t) => {
  const former = await temporaryDirectory(t)
  const present = await temporaryDirectory(t)
  const first = await open(former, new FakeSinkContext({ attempt: 'r1' }))
  write(first, 'a')
  const committable = await prepared(first, 1)

  const context = new FakeSinkContext({ attempt: 'r2', restored: [committable] })
  const second = await open(present, context)
  await second.commit?.(committable)
  await second.commit?.(committable)

  assert.deepEqual(Object.values(await finalFiles(former)), ['a\n'])
  assert.deepEqual(await finalFiles(present), {})
})

test('a directory that was moved with its job is found again', async (t) => {
  const parent = await temporaryDirectory(t)
  const first = await open(join(parent, 'before'), new FakeSinkContext({ attempt: 'r1' }))
  write(first, 'a')
  const committable = await prepared(first, 1)
  await rename(join(parent, 'before'), join(parent, 'after'))

  const context = new FakeSinkContext({ attempt: 'r2', restored: [committable] })
  const second = await open(join(parent, 'after'), context)
  await second.commit?.(committable)
  assert.deepEqual(Object.values(await finalFiles(join(parent, 'after'))), ['a\n'])
})

test('a record with a line end in it is refused, not written as two', async (t) => {
  const directory = await temporaryDirectory(t)
  const writer = await open(directory, new FakeSinkContext({ attempt: 'r1' }))
  assert.throws(() => write(writer, 'a\nb'), { code: 'VALUE_UNSUPPORTED', message: /line end/ })
  const binary = fileSink({ directory, format: bytes() })
  const other = await binary.open(new FakeSinkContext({ attempt: 'r2' }))
  assert.throws(() => other.write(new Uint8Array([1, 10]), NaN), { code: 'VALUE_UNSUPPORTED' })
})

test('closing leaves what is prepared and removes what is not; it may be done twice', async (t) => {
  const directory = await temporaryDirectory(t)
  const writer = await open(directory, new FakeSinkContext({ attempt: 'r1' }), { bytesMax: 4 })
  write(writer, 'a')
  const committable = await prepared(writer, 1)
  write(writer, ...'unprepared'.split(''))

  await Promise.all([writer.close?.(), writer.close?.()])

  assert.deepEqual(await hiddenFiles(directory), ['.part-job.out.r1.0.0'])
  const next = await open(
    directory,
    new FakeSinkContext({ attempt: 'r2', restored: [committable] }),
  )
  await next.commit?.(committable)
  assert.deepEqual(Object.values(await finalFiles(directory)), ['a\n'])
})

test('the sink says what it writes and where', () => {
  const sink = fileSink({ directory: 'out', format: json(), bytesMax: 1000 })
  assert.equal(sink.type, 'files')
  assert.deepEqual(sink.details, { directory: 'out', format: 'json', bytesMax: 1000 })
})

test('options that make no sense are refused when the job is built', () => {
  const make = (options: Partial<FileSinkOptions<string>>) => () =>
    fileSink({ directory: 'out', format: text(), ...options })
  assert.throws(make({ directory: '' }), { code: 'OPTION_INVALID', message: /directory/ })
  for (const bytesMax of [0, -1, 1.5, NaN]) {
    assert.throws(make({ bytesMax }), { code: 'OPTION_INVALID', message: /bytesMax/ })
  }
  assert.throws(make({ writeBehindBytesMax: 0 }), {
    code: 'OPTION_INVALID',
    message: /writeBehind/,
  })
})

test('a directory that cannot be made is an error with its path', async (t) => {
  const parent = await temporaryDirectory(t)
  await writeFile(join(parent, 'file'), '')
  for (const path of [join(parent, 'file'), join(parent, 'file', 'below')]) {
    await assert.rejects(open(path, new FakeSinkContext({ attempt: 'r1' })), {
      code: 'SINK_FAILED',
      message: new RegExp(`${path} of the file sink cannot be written to: `),
    })
  }
})

test('a directory that is removed under the sink is an error, and nothing is said to be durable', async (t) => {
  const parent = await temporaryDirectory(t)
  const directory = join(parent, 'out')
  const context = new FakeSinkContext({ attempt: 'r1' })
  const writer = await open(directory, context)
  await rm(directory, { recursive: true })
  await mkdir(join(parent, 'elsewhere'))

  write(writer, 'a')
  await assert.rejects(async () => writer.prepare?.(1, 'checkpoint').durable, {
    code: 'SINK_FAILED',
    message: new RegExp(`${directory}/\\.part-job\\.out\\.r1\\.0\\.0: ENOENT`),
  })
  assert.equal(context.failures.length, 1)
  assert.throws(() => write(writer, 'b'), { code: 'SINK_FAILED' })
})
