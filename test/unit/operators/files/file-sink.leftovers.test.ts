import assert from 'node:assert/strict'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileSink } from '../../../../operators/files/file-sink.ts'
import { text } from '../../../../operators/formats/text.ts'
import type { Committable, SinkWriter } from '../../../../src/contract/sink.ts'
import { FakeSinkContext, temporaryDirectory } from '../../../support/file-contexts.ts'

type Whose = ConstructorParameters<typeof FakeSinkContext>[0]

function open(directory: string, whose: Whose): Promise<SinkWriter> {
  return Promise.resolve(
    fileSink<string>({ directory, format: text() }).open(new FakeSinkContext(whose)),
  )
}

async function prepared(writer: SinkWriter, checkpointId: number): Promise<Committable> {
  const epoch = writer.prepare?.(checkpointId, 'checkpoint')
  await epoch?.durable
  return { checkpointId, data: epoch?.committable }
}

/** A run that prepared an epoch and crashed: its staged file is left, and its committable may be in a checkpoint. */
async function crashAfterPrepare(
  directory: string,
  whose: Whose,
  checkpointId = 1,
): Promise<Committable> {
  const writer = await open(directory, whose)
  writer.write(`${whose.attempt}-${whose.subtaskIndex ?? 0}`, NaN)
  return prepared(writer, checkpointId)
}

/** A run that crashed while it wrote: what is left is half a file. */
async function crashWhileWriting(directory: string, name: string): Promise<void> {
  await writeFile(join(directory, `${name}.open`), 'half a rec')
}

async function hiddenFiles(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => name.startsWith('.')).sort()
}

test('what former runs left is removed where no checkpoint names it', async (t) => {
  const directory = await temporaryDirectory(t)
  await crashAfterPrepare(directory, { attempt: 'r1' })
  await crashWhileWriting(directory, '.part-job.out.r2.0.5')

  const writer = await open(directory, { attempt: 'r3' })
  await writer.discardUnnamed?.()

  assert.deepEqual(await readdir(directory), [])
})

test('what a restored committable names stays, even before it is committed', async (t) => {
  const directory = await temporaryDirectory(t)
  const named = await crashAfterPrepare(directory, { attempt: 'r1' }, 1)
  await crashAfterPrepare(directory, { attempt: 'r2' }, 2)

  const writer = await open(directory, { attempt: 'r3', restored: [named] })
  await writer.discardUnnamed?.()

  assert.deepEqual(await hiddenFiles(directory), ['.part-job.out.r1.0.0'])
  await writer.commit?.(named)
  assert.deepEqual(await hiddenFiles(directory), [])
})

test('files of other sinks, other jobs and of nobody stay, however alike their names', async (t) => {
  const directory = await temporaryDirectory(t)
  const others: readonly Whose[] = [
    { attempt: 'r1', operatorUid: 'out-2' },
    { attempt: 'r1', operatorUid: 'ou' },
    { attempt: 'r1', operatorUid: 'out.r1' },
    { attempt: 'r1', operatorUid: 'other' },
    { attempt: 'r1', jobName: 'job2' },
    { attempt: 'r1', jobName: 'job.out', operatorUid: 'x' },
  ]
  for (const other of others) await crashAfterPrepare(directory, other)
  await crashWhileWriting(directory, '.part-job.other.r1.0.3')
  await writeFile(join(directory, '.part-job.out.r1.0.0.gz'), '')
  await writeFile(join(directory, '.part-job.out'), '')
  await writeFile(join(directory, '.keep'), '')
  await writeFile(join(directory, 'part-out-visible'), '')
  const before = await readdir(directory)
  await crashAfterPrepare(directory, { attempt: 'r1' })

  const writer = await open(directory, { attempt: 'r2' })
  await writer.discardUnnamed?.()

  assert.deepEqual((await readdir(directory)).sort(), before.sort())
})

test('files of the own run stay, those of other subtasks too', async (t) => {
  const directory = await temporaryDirectory(t)
  const parallelism = 2
  const one = await open(directory, { attempt: 'r2', subtaskIndex: 0, parallelism })
  const other = await open(directory, { attempt: 'r2', subtaskIndex: 1, parallelism })
  other.write('a', NaN)
  const staged = await prepared(other, 1)
  other.write('b'.repeat(300_000), NaN)

  await one.discardUnnamed?.()
  one.write('c', NaN)
  await one.commit?.(await prepared(one, 1))
  await other.commit?.(staged)
  await other.commit?.(await prepared(other, 2))

  assert.equal((await readdir(directory)).length, 3)
  assert.deepEqual(await hiddenFiles(directory), [])
})

test('a subtask does not remove what another one is about to commit, in whatever order they start', async (t) => {
  const directory = await temporaryDirectory(t)
  const named = await Promise.all(
    [0, 1, 2].map((subtaskIndex) =>
      crashAfterPrepare(directory, { attempt: 'r1', subtaskIndex, parallelism: 3 }),
    ),
  )
  await crashWhileWriting(directory, '.part-job.out.r1.1.1')
  await crashAfterPrepare(directory, { attempt: 'r2', subtaskIndex: 1, parallelism: 3 }, 2)
  const parallelism = 2

  // subtask 0 gets none of them, and is through before subtask 1 begins
  const first = await open(directory, { attempt: 'r3', subtaskIndex: 0, parallelism })
  await first.discardUnnamed?.()
  const second = await open(directory, {
    attempt: 'r3',
    subtaskIndex: 1,
    parallelism,
    restored: named,
  })
  for (const committable of named) await second.commit?.(committable)
  await second.discardUnnamed?.()

  assert.deepEqual((await readdir(directory)).sort(), [
    '.part-job.out.r2.1.0',
    'part-out-0000000000000001-00000-00000-r1.txt',
    'part-out-0000000000000001-00001-00000-r1.txt',
    'part-out-0000000000000001-00002-00000-r1.txt',
  ])

  // the first checkpoint of this run: all have committed what they were restored with
  first.write('x', NaN)
  await first.commit?.(await prepared(first, 3))
  assert.deepEqual(await hiddenFiles(directory), [])
})

test('committing what was restored again is no sign that all have committed theirs', async (t) => {
  const directory = await temporaryDirectory(t)
  const [zero, one] = await Promise.all(
    [0, 1].map((subtaskIndex) =>
      crashAfterPrepare(directory, { attempt: 'r1', subtaskIndex, parallelism: 2 }),
    ),
  )
  assert.ok(zero && one)
  const whose = { attempt: 'r2', parallelism: 2 }
  const first = await open(directory, { ...whose, subtaskIndex: 0, restored: [zero] })
  await first.commit?.(zero)
  await first.discardUnnamed?.()
  await first.commit?.(zero)

  const second = await open(directory, { ...whose, subtaskIndex: 1, restored: [one] })
  await second.commit?.(one)
  assert.equal((await readdir(directory)).length, 2)
})

test('many subtasks that remove the same leftovers at once do not disturb each other', async (t) => {
  const directory = await temporaryDirectory(t)
  for (let n = 0; n < 50; n++) await crashWhileWriting(directory, `.part-job.out.r1.0.${n}`)
  const parallelism = 8
  const writers = await Promise.all(
    Array.from({ length: parallelism }, (_, subtaskIndex) =>
      open(directory, { attempt: 'r2', subtaskIndex, parallelism }),
    ),
  )
  await Promise.all(writers.map(async (writer) => writer.discardUnnamed?.()))
  assert.deepEqual(await readdir(directory), [])
})

test('a job that starts anew under the name of a former run neither meets nor keeps what that one left', async (t) => {
  const directory = await temporaryDirectory(t)
  // without a checkpoint directory every start is attempt 0-1, and its last checkpoint number 1
  const whose: Whose = { attempt: '0-1' }
  const first = await open(directory, whose)
  first.write('first', NaN)
  await first.commit?.(await prepared(first, 1))
  await crashAfterPrepare(directory, whose)
  await crashWhileWriting(directory, '.part-job.out.0-1.0.7')

  const second = await open(directory, whose)
  await second.discardUnnamed?.()
  second.write('second', NaN)
  await second.commit?.(await prepared(second, 1))
  const third = await open(directory, whose)
  third.write('third', NaN)
  await third.commit?.(await prepared(third, 1))

  const name = 'part-out-0000000000000001-00000-00000-0-1'
  assert.deepEqual((await readdir(directory)).sort(), [
    `${name}.txt`,
    `${name}~2.txt`,
    `${name}~3.txt`,
  ])
})

test('subtasks of a run that bears the name of a former one leave each other alone', async (t) => {
  const directory = await temporaryDirectory(t)
  const parallelism = 2
  await crashWhileWriting(directory, '.part-job.out.0-1.0.0')
  await crashWhileWriting(directory, '.part-job.out.0-1.1.0')
  const one = await open(directory, { attempt: '0-1', subtaskIndex: 1, parallelism })
  one.write('a', NaN)
  const staged = await prepared(one, 1)

  const zero = await open(directory, { attempt: '0-1', subtaskIndex: 0, parallelism })
  await zero.discardUnnamed?.()
  assert.deepEqual(await hiddenFiles(directory), [
    '.part-job.out.0-1.1.0.open',
    '.part-job.out.0-1.1.1',
  ])
  await one.discardUnnamed?.()
  await one.commit?.(staged)
  assert.deepEqual(await readdir(directory), ['part-out-0000000000000001-00001-00000-0-1.txt'])
})

// A process that stood still while another took over wakes up, and goes on where it was: about to remove leftovers.
test('what another run stages after this one opened is none of its leftovers', async (t) => {
  const directory = await temporaryDirectory(t)
  const stopped = await open(directory, { attempt: 'r1' })
  const epoch = await crashAfterPrepare(directory, { attempt: 'r2' })
  await crashWhileWriting(directory, '.part-job.out.r2.0.1')

  await stopped.discardUnnamed?.()

  assert.equal((await hiddenFiles(directory)).length, 2)
  const resumed = await open(directory, { attempt: 'r3', restored: [epoch] })
  await resumed.commit?.(epoch)
  assert.equal((await readdir(directory)).filter((name) => !name.startsWith('.')).length, 1)
})
