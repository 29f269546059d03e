/**
 * Random read-modify-write of keys with incompressible values, or with counts, through the KeyedStore interface, on several stores of one thread, with
 * a checkpoint in the midst of it. Prints figures and asserts nothing but that values are there.
 *
 *   node dist/bench/state/leveldb.bench.js keys=1000000 stores=2 updates=500000
 *
 * Options: `keys` over all stores, `stores`, `updates` of each measured round, `valueBytes` (0: counts), `cacheMb` per store, and
 * those of the backend by name: `tablesOpenMax`, `blockCacheMb`, `writeBufferMb`. `hot=0.9` sends that share of updates to a thousandth of the keys.
 * The loop is like the engine's: batches of records, `hasRoom`, `work`, a turn of the event loop every few milliseconds.
 */
import { randomFillSync } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { copyFile, link, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type {
  SnapshotFile,
  SnapshotHandle,
  SnapshotReader,
  SnapshotSourceFile,
  SnapshotWriter,
} from '../../src/contract/snapshot-storage.ts'
import type { KeyedSnapshot, KeyedStore } from '../../src/contract/state-backend.ts'
import { keyGroupOf, keyGroupsOf, subtaskOf } from '../../src/core/key-group.ts'
import { hashKey } from '../../src/core/key-hash.ts'
import { leveldb } from '../../state-backends/leveldb/index.ts'

const options = new Map(
  process.argv.slice(2).map((argument) => argument.split('=') as [string, string]),
)
const keyCount = option('keys', 1_000_000)
const storeCount = option('stores', 2)
const updateCount = option('updates', 500_000)
const valueBytes = option('valueBytes', 200)
const hotShare = option('hot', 0)
const maxParallelism = 128
const batchRecords = 256
const sliceMs = 5
const mebibyte = 1024 * 1024

const backend = leveldb({
  cacheBytesMax: option('cacheMb', 64) * mebibyte,
  ...(options.has('tablesOpenMax') ? { tablesOpenMax: option('tablesOpenMax', 0) } : {}),
  blockCacheBytes: option('blockCacheMb', 8) * mebibyte,
  writeBufferBytes: option('writeBufferMb', 4) * mebibyte,
})
const directory = mkdtempSync(join(tmpdir(), 'leveldb-bench-'))
const noise = randomFillSync(new Uint8Array(mebibyte))
let onWake: (() => void) | undefined
let attempts = 0

async function main(): Promise<void> {
  let stores = await openAll([])
  print(`node ${process.version}, ${keyCount} keys of ${valueBytes} bytes in ${storeCount} stores`)
  let next = 0
  await measure(
    'load',
    stores,
    keyCount,
    (store) => put(store, next++),
    () => next,
  )
  await measure('update', stores, updateCount, update, randomKey)
  await measure('update', stores, updateCount, update, randomKey)
  await measure('read', stores, updateCount, read, randomKey)
  await checkpoint(stores, 'update, first checkpoint')
  const handles = await checkpoint(stores, 'update, second checkpoint')
  await measure('update', stores, updateCount, update, randomKey)
  for (const store of stores) await store.close()
  const start = performance.now()
  stores = await openAll(handles)
  print(`restored from linked files in ${Math.round(performance.now() - start)} ms`)
  await measure('update', stores, updateCount, update, randomKey)
  for (const store of stores) await store.close()
}

type Work = (store: KeyedStore, key: number) => void

/** Runs `work` for `count` keys, as the engine's loop would. */
async function measure(
  name: string,
  stores: readonly KeyedStore[],
  count: number,
  work: Work,
  nextKey: () => number,
  between?: () => boolean,
): Promise<void> {
  const start = performance.now()
  let sliceStart = start
  const cpuBefore = process.cpuUsage()
  let longestTurn = 0
  let done = 0
  for (let isLast = false; done < count && !isLast;) {
    while (!stores.every((store) => store.hasRoom())) {
      for (const store of stores) store.work()
      isLast = between?.() === false || isLast
      longestTurn = Math.max(longestTurn, performance.now() - sliceStart)
      await wakened()
      sliceStart = performance.now()
    }
    for (let i = 0; i < batchRecords && done < count; i++, done++) {
      const key = nextKey()
      const hash = hashKey(key)
      const scale = { parallelism: storeCount, maxParallelism }
      const store = stores[subtaskOf(keyGroupOf(hash, maxParallelism), scale)]
      if (store === undefined) throw new Error('A key belongs to a store')
      store.useKey(key, hash)
      work(store, key)
    }
    for (const store of stores) store.work()
    isLast = between?.() === false || isLast
    if (performance.now() - sliceStart > sliceMs) {
      longestTurn = Math.max(longestTurn, performance.now() - sliceStart)
      await new Promise((resolve) => setImmediate(resolve))
      sliceStart = performance.now()
    }
  }
  const seconds = (performance.now() - start) / 1000
  const cpu = process.cpuUsage(cpuBefore)
  const cpuUs = (cpu.user + cpu.system) / done
  print(
    `${name}: ${cpuUs.toFixed(2)} us of processor time each, ${Math.round(done / seconds)}/s (${seconds.toFixed(1)} s), longest turn ${Math.round(longestTurn)} ms; ${memory()}`,
  )
}

/** Takes a checkpoint of all stores while updates go on. */
async function checkpoint(
  stores: readonly KeyedStore[],
  name: string,
): Promise<readonly SnapshotHandle[]> {
  const start = performance.now()
  const snapshots: KeyedSnapshot[] = []
  const attempt = attempts++
  for (const [index, store] of stores.entries()) {
    const writer = new LinkWriter(join(directory, `checkpoint-${attempt}-${index}`), index)
    snapshots.push(store.snapshot({ checkpointId: attempt + 1, kind: 'checkpoint', writer }))
  }
  const barrierMs = performance.now() - start
  let finishedMs = 0
  const finished = Promise.all(snapshots.map((snapshot) => snapshot.finished)).then((handles) => {
    finishedMs = performance.now() - start
    onWake?.()
    return handles
  })
  await measure(name, stores, Infinity, update, randomKey, () => {
    for (const snapshot of snapshots) snapshot.step(1000)
    return finishedMs === 0
  })
  const handles = await finished
  const files = handles.flatMap((handle) => handle.files)
  print(
    `  barrier ${barrierMs.toFixed(2)} ms, finished after ${Math.round(finishedMs)} ms, ${files.length} files`,
  )
  return handles
}

async function openAll(handles: readonly SnapshotHandle[]): Promise<readonly KeyedStore[]> {
  const stores: KeyedStore[] = []
  for (let subtaskIndex = 0; subtaskIndex < storeCount; subtaskIndex++) {
    const handle = handles[subtaskIndex]
    const work = join(directory, `work-${attempts++}`)
    stores.push(
      await backend.open({
        operatorUid: 'bench',
        subtaskIndex,
        keyGroups: keyGroupsOf(subtaskIndex, { parallelism: storeCount, maxParallelism }),
        maxParallelism,
        states: [{ name: 'value', kind: 'value', layout: 'key' }],
        restore: handle === undefined ? [] : [readerOf(handle)],
        workDirectory: () => {
          if (!existsSync(work)) mkdirSync(work)
          return work
        },
        wake: () => onWake?.(),
        fail: (error) => {
          throw error
        },
      }),
    )
  }
  return stores
}

function put(store: KeyedStore, key: number): void {
  if (valueBytes === 0) store.cells<number>('value').put(0, 1)
  else store.cells<Uint8Array>('value').put(0, noiseAt(key * 37))
}

function update(store: KeyedStore): void {
  if (valueBytes === 0) {
    const counts = store.cells<number>('value')
    return counts.put(0, (counts.edit(0) ?? NaN) + 1)
  }
  const cells = store.cells<Uint8Array>('value')
  const value = cells.edit(0)
  if (value === undefined) throw new Error(`The key ${String(store.key)} has a value`)
  value[0] = ((value[0] ?? 0) + 1) & 255
  cells.put(0, value)
}

function read(store: KeyedStore): void {
  const value = store.cells('value').get(0)
  if (value === undefined) throw new Error(`The key ${String(store.key)} has a value`)
}

function randomKey(): number {
  const isHot = Math.random() < hotShare
  return Math.floor(Math.random() * (isHot ? Math.ceil(keyCount / 1000) : keyCount))
}

function noiseAt(offset: number): Uint8Array {
  const start = offset % (noise.length - valueBytes)
  return noise.slice(start, start + valueBytes)
}

function wakened(): Promise<void> {
  return new Promise((resolve) => {
    onWake = () => {
      onWake = undefined
      resolve()
    }
  })
}

/** Keeps the files of a snapshot in a directory. */
class LinkWriter implements SnapshotWriter {
  readonly isFull = false
  readonly #directory: string
  readonly #index: number
  readonly #files: SnapshotFile[] = []

  constructor(path: string, index: number) {
    this.#directory = path
    this.#index = index
  }

  page(): void {
    throw new Error('This storage keeps files only')
  }

  async file({ name, path, isImmutable }: SnapshotSourceFile): Promise<void> {
    await mkdir(this.#directory, { recursive: true })
    const location = join(this.#directory, name)
    await (isImmutable ? link(path, location) : copyFile(path, location))
    this.#files.push({ name, location, bytes: 0, crc32: 0, isImmutable })
  }

  close(format: string): Promise<SnapshotHandle> {
    const keyGroups = keyGroupsOf(this.#index, { parallelism: storeCount, maxParallelism })
    return Promise.resolve({ format, keyGroups, files: this.#files })
  }

  abort(): Promise<void> {
    return Promise.resolve()
  }
}

function readerOf(handle: SnapshotHandle): SnapshotReader {
  return {
    handle,
    pages: () => {
      throw new Error('This storage keeps files only')
    },
    materialize: async (target) => {
      for (const { name, location } of handle.files) {
        const to = join(target, name)
        await (name.endsWith('.ldb') ? link(location, to) : copyFile(location, to))
      }
    },
    close: () => Promise.resolve(),
  }
}

/** What the process takes: of its own, of mapped files, and the most of both so far. */
function memory(): string {
  const peak = Math.round(process.resourceUsage().maxRSS / 1024)
  const heap = Math.round(process.memoryUsage().heapUsed / mebibyte)
  if (!existsSync('/proc/self/status')) return `peak RSS ${peak} MB, heap ${heap} MB`
  const status = readFileSync('/proc/self/status', 'utf8')
  const part = (name: string): number =>
    Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1024)
  return `RSS ${part('VmRSS')} MB (own ${part('RssAnon')}, mapped files ${part('RssFile')}), peak ${peak} MB, heap ${heap} MB`
}

function option(name: string, otherwise: number): number {
  const text = options.get(name)
  return text === undefined ? otherwise : Number(text)
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

await main().finally(() => rmSync(directory, { recursive: true, force: true }))
