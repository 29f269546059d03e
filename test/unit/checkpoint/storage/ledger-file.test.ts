import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LedgerFile } from '../../../../src/checkpoint/storage/ledger-file.ts'
import type { FileSystem } from '../../../../src/checkpoint/storage/file-system.ts'

/** One file, and what was synced of it. */
class OneFile {
  bytes: Buffer | undefined
  identity = '1'
  readonly calls: string[] = []

  get files(): FileSystem {
    const never = async (): Promise<never> => assert.fail('not needed')
    return {
      makeDirectory: never,
      list: never,
      write: never,
      link: never,
      copy: never,
      remove: never,
      read: async () => this.bytes ?? Buffer.alloc(0),
      append: async (_path, bytes) => {
        this.calls.push('append')
        this.bytes = Buffer.concat([this.bytes ?? Buffer.alloc(0), bytes])
      },
      sync: async (path) => void this.calls.push(`sync ${path}`),
      size: async () => this.bytes?.length,
      identity: async () => this.identity,
    }
  }
}

function open(disk: OneFile, claim: boolean = false): Promise<LedgerFile> {
  return LedgerFile.open(disk.files, '/c', { claim })
}

test('what was added is there after a restart, in its order, by operator', async () => {
  const disk = new OneFile()
  const first = await open(disk)
  await Promise.all([first.of('a').add({ n: 1 }), first.of('b').add('x'), first.of('a').add(2)])

  const second = await open(disk)

  assert.deepEqual(await second.of('a').entries(), [{ n: 1 }, 2])
  assert.deepEqual(await second.of('b').entries(), ['x'])
})

test('a line is synced, and the name of a new file too, before it counts', async () => {
  const disk = new OneFile()
  const ledger = await open(disk)

  await ledger.take('line')
  await ledger.take('line')

  assert.deepEqual(disk.calls, ['append', 'sync /c/ledger', 'sync /c'])
  assert.equal((await open(disk)).owns('line'), true)
  assert.equal((await open(disk)).owns('other'), false)
})

test('what a crash cut off is passed over, and what comes after it is read', async () => {
  const disk = new OneFile()
  await (await open(disk)).of('a').add('one')
  await (await open(disk)).of('a').add('two')
  disk.bytes = disk.bytes?.subarray(0, -3)

  const ledger = await open(disk)
  await ledger.of('a').add('three')

  assert.deepEqual(await ledger.of('a').entries(), ['one', 'three'])
  assert.deepEqual(await (await open(disk)).of('a').entries(), ['one', 'three'])
})

test('a copy sees nothing of the original, unless it claims it', async () => {
  const disk = new OneFile()
  const original = await open(disk)
  await original.take('line')
  await original.of('a').add('one')

  disk.identity = '2'
  const copy = await open(disk)
  const claimed = await open(disk, true)
  const next = await open(disk)

  assert.equal(copy.owns('line'), false)
  assert.deepEqual(await copy.of('a').entries(), [])
  for (const ledger of [claimed, next]) {
    assert.equal(ledger.owns('line'), true)
    assert.deepEqual(await ledger.of('a').entries(), ['one'])
  }
})
