import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { KeyedStore } from '../../../../src/contract/state-backend.ts'
import { EngineError } from '../../../../src/core/errors.ts'
import { hashKey } from '../../../../src/core/key-hash.ts'
import type { DiskBatch } from '../../../../state-backends/leveldb/disk-table.ts'
import { leveldb } from '../../../../state-backends/leveldb/index.ts'
import { levelBackend } from '../../../../state-backends/leveldb/level-backend.ts'
import { TestSnapshotStorage } from '../../../support/snapshot-storage.ts'
import { SimulatedTable, simulatedTables } from './simulated-table.ts'

const keyGroups = { start: 0, end: 8 }

describe('LevelStore', () => {
  let directory = ''
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'level-store-'))
  })
  after(() => rm(directory, { recursive: true, force: true }))

  it('writes in the background once half of what may be dirty is, and not before', async () => {
    const { store, table, work } = await open()
    const { writes } = table
    put(store, 0, 10)
    work()
    assert.equal(table.writes, writes)
    assert(store.hasRoom())
    for (let key = 1; store.hasRoom(); key++) put(store, key, 10)
    while (!store.hasRoom()) {
      work()
      await turn()
    }
    assert(table.writes > writes)
    await store.close()
  })

  it('writes without anything but hasRoom being asked', async () => {
    const { store, wakes } = await open()
    for (let key = 0; store.hasRoom(); key++) put(store, key, 10)
    while (!store.hasRoom()) {
      const seen = wakes()
      while (wakes() === seen) await turn()
    }
    await store.close()
  })

  it('keeps single writes bounded', async () => {
    const { store, table, work } = await open({ dirtyBytesMax: 1e9 })
    for (let key = 0; key < 20_000; key++) put(store, key, 1)
    const storage = new TestSnapshotStorage({
      directory: await mkdtemp(join(directory, 'snapshots-')),
    })
    const snapshot = store.snapshot({
      checkpointId: 1,
      kind: 'checkpoint',
      writer: writer(storage),
    })
    while (snapshot.step(1e9) !== 'written') {
      work()
      await turn()
    }
    await snapshot.finished
    assert(table.entriesPerWriteMax <= 512, `${table.entriesPerWriteMax} entries in a write`)
    assert(table.writes >= 10)
    await store.close()
  })

  it('fails once, with STATE_STORAGE_FAILED, when a write fails, and its snapshot with it', async () => {
    let isBroken = false
    const failures: unknown[] = []
    const { store, work } = await open({
      beforeWrite: () => {
        if (isBroken) throw new Error('no space left')
      },
      fail: (error) => failures.push(error),
    })
    for (let key = 0; key < 2000; key++) put(store, key, 10)
    isBroken = true
    const storage = new TestSnapshotStorage({
      directory: await mkdtemp(join(directory, 'snapshots-')),
    })
    const snapshot = store.snapshot({
      checkpointId: 1,
      kind: 'checkpoint',
      writer: writer(storage),
    })
    const rejected = assert.rejects(snapshot.finished, { code: 'STATE_STORAGE_FAILED' })
    while (failures.length === 0) {
      snapshot.step(100)
      work()
      await turn()
    }
    await rejected
    for (let i = 0; i < 20; i++) {
      store.hasRoom()
      work()
      await turn()
    }
    assert.equal(failures.length, 1)
    const [failure] = failures
    assert(failure instanceof EngineError)
    assert.equal(failure.code, 'STATE_STORAGE_FAILED')
    assert.match(failure.message, /operator 'sums', subtask 3: .*no space left/)
    await store.close()
    assert.equal(storage.openWriters, 0)
  })

  it('goes on when the storage of snapshots refuses a file', async () => {
    const { store, work } = await open()
    put(store, 1, 10)
    for (const kind of ['checkpoint', 'savepoint'] as const) {
      const storage = new TestSnapshotStorage({
        directory: await mkdtemp(join(directory, 'snapshots-')),
      })
      const refusing = writer(storage)
      const refuse = (): never => {
        throw new Error('refused')
      }
      refusing.file = () => Promise.reject(new Error('refused'))
      refusing.page = refuse
      const snapshot = store.snapshot({ checkpointId: 1, kind, writer: refusing })
      const rejected = assert.rejects(snapshot.finished, /refused/)
      while (snapshot.step(100) !== 'written') {
        work()
        await turn()
      }
      await rejected
      put(store, 2, 10)
      store.useKey(1, hashKey(1))
      assert.notEqual(store.cells('value').get(0), undefined)
    }
    await store.close()
  })

  it('leaves only its database in the work directory', async () => {
    const { store, workDirectory } = await open()
    put(store, 1, 10)
    const storage = new TestSnapshotStorage({
      directory: await mkdtemp(join(directory, 'snapshots-')),
    })
    const first = store.snapshot({ checkpointId: 1, kind: 'checkpoint', writer: writer(storage) })
    while (first.step(100) !== 'written') await turn()
    await first.finished
    const second = store.snapshot({ checkpointId: 2, kind: 'checkpoint', writer: writer(storage) })
    second.step(100)
    second.abandon()
    await assert.rejects(second.finished, { code: 'CHECKPOINT_FAILED' })
    await store.close()
    assert.deepEqual(await readdir(workDirectory), ['db'])
  })

  it('refuses options that are no whole numbers above zero', () => {
    for (const options of [{ cacheBytesMax: 0 }, { dirtyBytesMax: 1.5 }, { tablesOpenMax: -1 }]) {
      assert.throws(() => leveldb(options), { code: 'OPTION_INVALID' })
    }
    assert.equal(leveldb().name, 'leveldb')
  })

  it('refuses snapshots of formats it does not know', async () => {
    await assert.rejects(
      leveldb().open({
        ...contract(),
        workDirectory: () => join(directory, 'unknown'),
        restore: [
          {
            handle: { format: 'rocks', keyGroups, files: [] },
            pages: () => assert.fail('Not read'),
            materialize: () => Promise.reject(new Error('Not read')),
            close: () => Promise.resolve(),
          },
        ],
      }),
      { code: 'SAVEPOINT_MISMATCH' },
    )
  })

  interface OpenOptions {
    readonly dirtyBytesMax?: number
    readonly beforeWrite?: (batch: DiskBatch) => void
    readonly fail?: (error: unknown) => void
  }

  async function open(options: OpenOptions = {}): Promise<{
    readonly store: KeyedStore
    readonly table: SimulatedTable
    readonly work: () => void
    readonly wakes: () => number
    readonly workDirectory: string
  }> {
    const tables: SimulatedTable[] = []
    let wakeCount = 0
    const workDirectory = await mkdtemp(join(directory, 'work-'))
    const backend = levelBackend({
      bounds: { cacheBytesMax: 1e6, dirtyBytesMax: options.dirtyBytesMax ?? 100_000 },
      disk: {
        ...simulatedTables({ turns: () => 2 }),
        async open(path) {
          const { beforeWrite } = options
          const disk = { turns: () => 2, ...(beforeWrite === undefined ? {} : { beforeWrite }) }
          const table = await SimulatedTable.open(path, disk)
          tables.push(table)
          return table
        },
      },
    })
    const store = await backend.open({
      ...contract(),
      workDirectory: () => workDirectory,
      wake: () => {
        wakeCount++
      },
      fail: options.fail ?? ((error) => assert.fail(String(error))),
    })
    const [table] = tables
    assert(table !== undefined)
    return { store, table, work: () => store.work(), wakes: () => wakeCount, workDirectory }
  }
})

function contract(): Omit<Parameters<ReturnType<typeof leveldb>['open']>[0], 'workDirectory'> {
  return {
    operatorUid: 'sums',
    subtaskIndex: 3,
    keyGroups,
    maxParallelism: 8,
    states: [{ name: 'value', kind: 'value', layout: 'key' }],
    restore: [],
    wake: () => {},
    fail: () => {},
  }
}

function writer(storage: TestSnapshotStorage): ReturnType<TestSnapshotStorage['writer']> {
  return storage.writer({
    checkpointId: 1,
    attempt: 'a',
    kind: 'checkpoint',
    isSelfContained: false,
    operatorUid: 'sums',
    subtaskIndex: 3,
    keyGroups,
    wake: () => {},
  })
}

function put(store: KeyedStore, key: number, size: number): void {
  store.useKey(key, hashKey(key))
  store.cells('value').put(0, 'x'.repeat(size))
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
