import assert from 'node:assert/strict'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { openFileSinkWriter } from '../../../../operators/files/file-sink-writer.ts'
import type { FileSinkWriter } from '../../../../operators/files/file-sink-writer.ts'
import { text } from '../../../../operators/formats/text.ts'
import type { Committable } from '../../../../src/contract/sink.ts'
import { EngineError } from '../../../../src/core/errors.ts'
import { FakeSinkContext, temporaryDirectory } from '../../../support/file-contexts.ts'
import type { DiskHook, DiskOperation } from '../../../support/watched-directory.ts'
import { diskError, watchedDirectory } from '../../../support/watched-directory.ts'

interface Opened {
  readonly writer: FileSinkWriter<string>
  readonly context: FakeSinkContext
  readonly directory: string
}

async function open(
  t: TestContext,
  hook: DiskHook,
  options: { readonly bytesMax?: number; readonly writeBehindBytesMax?: number } = {},
): Promise<Opened> {
  const directory = await temporaryDirectory(t)
  const context = new FakeSinkContext({ attempt: 'r1' })
  const writer = await openFileSinkWriter(
    { directory, format: text(), bytesMax: 1 << 30, writeBehindBytesMax: 1 << 20, ...options },
    context,
    (path) => watchedDirectory(path, hook),
  )
  return { writer, context, directory }
}

/** A place where operations wait until they are let go. */
class Barrier {
  readonly #waiting: (() => void)[] = []
  isOpen = false

  pass(): void | Promise<void> {
    if (!this.isOpen) return new Promise((resolve) => this.#waiting.push(resolve))
  }

  open(): void {
    this.isOpen = true
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

async function settledSoon(promise: Promise<unknown> | undefined): Promise<boolean> {
  let isSettled = false
  promise?.then(
    () => (isSettled = true),
    () => (isSettled = true),
  )
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  return isSettled
}

const record = 'x'.repeat(64 * 1024 - 1)

test('a slow disk closes the sink at its bound, and the mailbox says when it takes records again', async (t) => {
  const disk = new Barrier()
  const { writer, context } = await open(t, (operation) =>
    operation === 'write' ? disk.pass() : undefined,
  )
  let records = 0
  while (writer.hasRoom()) {
    writer.write(record)
    records += 1
    assert.ok(records < 100, 'the bound is never reached')
  }
  // what waits for the disk, and the block that is being filled
  assert.ok(records * 64 >= 1024 && records * 64 <= 1024 + 512, `${records} records`)
  assert.equal(context.wakeCount, 0)

  const woken = context.nextWake()
  disk.open()
  await woken
  assert.equal(writer.hasRoom(), true)
  await writer.close()
})

test('a sink that always has room wakes nobody', async (t) => {
  const { writer, context } = await open(t, () => undefined)
  writer.write(record)
  assert.equal(writer.hasRoom(), true)
  await writer.prepare(1).durable
  assert.equal(context.wakeCount, 0)
})

test('too many files that wait to be synced close the sink too', async (t) => {
  const disk = new Barrier()
  const hook: DiskHook = (operation) => (operation === 'sync file' ? disk.pass() : undefined)
  const { writer, context } = await open(t, hook, { bytesMax: 10 })
  let records = 0
  while (writer.hasRoom()) {
    writer.write('a record')
    records += 1
    assert.ok(records < 100, 'the bound is never reached')
  }

  const woken = context.nextWake()
  disk.open()
  await woken
  assert.equal(writer.hasRoom(), true)
  await writer.close()
})

test('an epoch is durable only when file, name and directory are synced, in this order', async (t) => {
  const operations: DiskOperation[] = []
  const { writer } = await open(t, (operation) => void operations.push(operation))
  writer.write('a')
  const { durable } = writer.prepare(1)
  operations.length = 0
  await durable
  assert.deepEqual(operations, ['create', 'write', 'sync file', 'close', 'rename', 'sync'])
})

test('a commit renames, then syncs the directory', async (t) => {
  const operations: DiskOperation[] = []
  const { writer } = await open(t, (operation) => void operations.push(operation), { bytesMax: 4 })
  for (const value of ['a', 'b', 'c']) writer.write(value)
  const { committable, durable } = writer.prepare(1)
  await durable
  operations.length = 0
  await writer.commit({ checkpointId: 1, data: committable })
  assert.deepEqual(operations, ['rename', 'rename', 'sync'])
  operations.length = 0
  await writer.commit({ checkpointId: 1, data: committable })
  assert.deepEqual(operations, ['sync'], 'the crash may have come before the sync')
})

test('an epoch waits for those before it: a checkpoint commits the ones that were aborted as well', async (t) => {
  const disk = new Barrier()
  const operations: DiskOperation[] = []
  const { writer, directory } = await open(t, (operation, name) => {
    operations.push(operation)
    return operation === 'sync file' && name.endsWith('.0.open') ? disk.pass() : undefined
  })
  writer.write('slow')
  const first = writer.prepare(1)
  writer.write('quick')
  const second = writer.prepare(2)
  const empty = writer.prepare(3)

  // the second file is staged: all it waits for is the first
  while (!(await readdir(directory)).includes('.part-job.out.r1.0.1')) continue
  assert.equal(await settledSoon(Promise.race([second.durable, empty.durable])), false)
  assert.equal(operations.includes('sync'), false)
  disk.open()
  await Promise.all([first.durable, second.durable, empty.durable])
})

const failures: readonly (readonly [DiskOperation, string])[] = [
  ['create', 'EACCES'],
  ['write', 'ENOSPC'],
  ['sync file', 'EIO'],
  ['close', 'EIO'],
  ['rename', 'EACCES'],
  ['sync', 'EIO'],
]
for (const [failing, code] of failures) {
  test(`when ${failing} fails with ${code}, the epoch is not durable, the subtask fails, and no more is taken`, async (t) => {
    let isFailing = true
    const hook: DiskHook = (operation) => {
      if (isFailing && operation === failing) throw diskError(code)
    }
    const { writer, context, directory } = await open(t, hook)
    writer.write('a')
    const { durable } = writer.prepare(1)

    await assert.rejects(
      async () => durable,
      (error: unknown) => {
        assert.ok(error instanceof EngineError)
        assert.equal(error.code, 'SINK_FAILED')
        assert.equal(error.retryable, true)
        assert.ok(error.message.includes(directory), error.message)
        assert.ok(error.message.includes(code), error.message)
        assert.ok(error.cause instanceof Error)
        return true
      },
    )
    assert.equal(context.failures.length, 1)

    // a disk that says yes the second time has not written what it lost the first time
    isFailing = false
    assert.throws(() => writer.write('b'), { code: 'SINK_FAILED' })
    assert.throws(() => writer.prepare(2), { code: 'SINK_FAILED' })
    await writer.close()
    const visible = (await readdir(directory)).filter((name) => !name.startsWith('.'))
    assert.deepEqual(visible, [])
  })
}

test('a failure in the background is told before the next barrier, once', async (t) => {
  const { writer, context } = await open(t, (operation) => {
    if (operation === 'write') throw diskError('ENOSPC')
  })
  const told = context.nextWake()
  while (writer.hasRoom()) writer.write(record)
  await told
  assert.throws(() => writer.write(record), { code: 'SINK_FAILED', message: /ENOSPC/ })
  await writer.close()
  assert.equal(context.failures.length, 1)
})

test('a commit that fails can be repeated: nothing is lost, nothing is there twice', async (t) => {
  let renames = 0
  const { writer, directory, context } = await open(
    t,
    (operation, name) => {
      if (operation !== 'rename' || name.endsWith('.open')) return
      renames += 1
      if (renames === 2) throw diskError('EACCES')
    },
    { bytesMax: 4 },
  )
  for (const value of ['a', 'b', 'c', 'd', 'e']) writer.write(value)
  const { committable: data, durable } = writer.prepare(1)
  await durable
  const committable: Committable = { checkpointId: 1, data }

  await assert.rejects(writer.commit(committable), {
    code: 'SINK_FAILED',
    retryable: true,
    message: /EACCES/,
  })
  assert.deepEqual(context.failures, [])
  await writer.commit(committable)

  const names = await readdir(directory)
  assert.equal(names.length, 3)
  assert.ok(names.every((name) => name.startsWith('part-')))
})

test('leftovers that cannot be removed fail where they were to be, and no commit', async (t) => {
  let isFailing = false
  const hook: DiskHook = (operation) => {
    if (isFailing && operation === 'remove') throw diskError('EIO')
  }
  const directory = await temporaryDirectory(t)
  await writeFile(join(directory, '.part-job.out.r0.0.0.open'), 'half a rec')
  await writeFile(join(directory, '.part-job.out.r0.0.1'), 'whole\n')
  const context = new FakeSinkContext({ attempt: 'r1', parallelism: 2 })
  const writer = await openFileSinkWriter(
    { directory, format: text(), bytesMax: 100, writeBehindBytesMax: 100 },
    context,
    (path) => watchedDirectory(path, hook),
  )
  isFailing = true
  await assert.rejects(writer.discardUnnamed(), { code: 'SINK_FAILED', message: /Leftovers.*EIO/ })

  isFailing = false
  await writer.discardUnnamed()
  writer.write('a')
  const { committable, durable } = writer.prepare(1)
  await durable
  isFailing = true
  await writer.commit({ checkpointId: 1, data: committable })
  assert.match(context.logger.warnings.join(), /Leftovers/)
})

test('closing waits for what is under way, and leaves nothing that was not prepared', async (t) => {
  const disk = new Barrier()
  const { writer, directory } = await open(t, (operation) =>
    operation === 'write' ? disk.pass() : undefined,
  )
  while (writer.hasRoom()) writer.write(record)
  const closed = writer.close()
  assert.equal(await settledSoon(closed), false)
  disk.open()
  await closed
  assert.deepEqual(await readdir(directory), [])
})
