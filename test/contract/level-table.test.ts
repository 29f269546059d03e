/** The real `DiskTable`: that captured files are exact whatever LevelDB does meanwhile, and share what they can. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { DiskTable } from '../../state-backends/leveldb/disk-table.ts'
import { openLevelTable } from '../../state-backends/leveldb/level-table.ts'

const options = { blockCacheBytes: 1 << 20, writeBufferBytes: 65_536, tablesOpenMax: 100 }
const all = { gte: Buffer.of(0), lt: Buffer.of(255) }

describe('The table on LevelDB', () => {
  let directory = ''
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'level-table-'))
  })
  after(() => rm(directory, { recursive: true, force: true }))

  it('captures exactly what was written, while it compacts', async () => {
    const table = await openLevelTable(join(directory, 'live'), options)
    const model = new Map<string, Buffer>()
    for (let round = 0; round < 25; round++) {
      for (let i = 0; i < 8; i++) await writeRandom(table, model, 150)
      const target = join(directory, `capture-${round}`)
      const expected = sortedTexts(model)
      await table.capture(target)
      const writing = writeRandom(table, model, 150)
      const captured = await openLevelTable(target, options)
      assert.deepEqual(await contents(captured), expected)
      // What the captured one does to its files must not be seen by the live one.
      for (let i = 0; i < 5; i++) await writeRandom(captured, new Map(), 300)
      await captured.close()
      await writing
      await rm(target, { recursive: true })
    }
    assert.deepEqual(await contents(table), sortedTexts(model))
    for (const [key, value] of model) {
      assert.deepEqual(table.getSync(Buffer.from(key, 'latin1')), value)
    }
    await table.close()
  })

  it('gives tables as further names and everything else as copies', async () => {
    const live = join(directory, 'linked')
    const table = await openLevelTable(live, options)
    for (let i = 0; i < 30; i++) await writeRandom(table, new Map(), 100)
    const files = await table.capture(join(directory, 'linked-capture'))
    const tables = files.filter(({ isImmutable }) => isImmutable)
    assert(tables.length > 0)
    let linked = 0
    for (const { name, path } of tables) {
      assert.match(name, /\.ldb$/)
      if ((await stat(path)).nlink > 1) linked++
    }
    assert(linked > 0, 'Some tables are further names of those of the database')
    const inodes = await Promise.all(
      (await readdir(live)).map(async (n) => (await stat(join(live, n))).ino),
    )
    for (const { path } of files.filter(({ isImmutable }) => !isImmutable)) {
      assert(!inodes.includes((await stat(path)).ino), `${path} is a file of its own`)
    }
    assert.deepEqual(
      files.map(({ name }) => name).sort(),
      (await readdir(join(directory, 'linked-capture'))).sort(),
    )
    await table.close()
  })

  it('fails rather than leave out a log', async () => {
    const live = join(directory, 'no-log')
    const table = await openLevelTable(live, options)
    await writeRandom(table, new Map(), 10)
    for (const name of await readdir(live)) {
      if (name.endsWith('.log')) await rm(join(live, name))
    }
    await assert.rejects(table.capture(join(directory, 'no-log-capture')), {
      code: 'STATE_STORAGE_FAILED',
    })
    await table.close()
  })

  it('reads a range as it was when the iteration began', async () => {
    const table = await openLevelTable(join(directory, 'iterated'), options)
    const model = new Map<string, Buffer>()
    await writeRandom(table, model, 500)
    const expected = sortedTexts(model)
    const cursor = table.iterate(all, 'entries')
    for (let i = 0; i < 10; i++) await writeRandom(table, model, 200)
    const seen: string[] = []
    for (;;) {
      const entries = await cursor.next(7)
      if (entries.length === 0) break
      for (const { key, value } of entries) seen.push(text(key, value))
    }
    assert.deepEqual(seen, expected)
    await cursor.close()
    await table.close()
  })

  it('waits at its end for iterations that are still open', async () => {
    const table = await openLevelTable(join(directory, 'closed'), options)
    await writeRandom(table, new Map(), 100)
    table.iterate(all, 'keys')
    await table.close()
  })

  it('tells what to look for when it cannot be opened', async () => {
    const table = await openLevelTable(join(directory, 'locked'), options)
    await assert.rejects(openLevelTable(join(directory, 'locked'), options), {
      code: 'STATE_STORAGE_FAILED',
      message: /locked.*another process/s,
    })
    await table.close()
  })
})

/** Writes, overwrites and removes `count` of 2000 keys. */
async function writeRandom(
  table: DiskTable,
  model: Map<string, Buffer>,
  count: number,
): Promise<void> {
  const changes = new Map<string, Buffer | undefined>()
  for (let i = 0; i < count; i++) {
    const key = `key-${Math.floor(Math.random() * 2000)}`
    changes.set(key, Math.random() < 0.2 ? undefined : randomBytes(100))
  }
  const keys = [...changes.keys()].sort()
  for (const key of keys) {
    const value = changes.get(key)
    if (value === undefined) model.delete(key)
    else model.set(key, value)
  }
  await table.write({
    keys: keys.map((key) => Buffer.from(key)),
    values: keys.map((key) => changes.get(key)),
  })
}

async function contents(table: DiskTable): Promise<readonly string[]> {
  const texts: string[] = []
  const cursor = table.iterate(all, 'entries')
  for (;;) {
    const entries = await cursor.next(1000)
    if (entries.length === 0) break
    for (const { key, value } of entries) texts.push(text(key, value))
  }
  await cursor.close()
  return texts
}

function sortedTexts(model: ReadonlyMap<string, Buffer>): readonly string[] {
  return [...model.keys()]
    .sort()
    .map((key) => text(Buffer.from(key), model.get(key) ?? Buffer.of()))
}

function text(key: Buffer, value: Buffer): string {
  return `${key.toString('latin1')} ${value.toString('hex')}`
}
