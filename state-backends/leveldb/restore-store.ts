/**
 * Fills a fresh store from snapshots of any subtasks, taking only what lies in its key groups.
 *
 *  - Cells of layouts 'key' and 'page' in files of this backend are copied as bytes, with the state's new id, unless packs of the
 *    store must know of them. Packs are taken apart.
 *  - Everything else goes through the store like what an operator does, so that local cells and indexes of slices and timers are
 *    made for this store.
 *  - A snapshot's files are materialized into a directory of their own, opened there, and removed again: the snapshot is not touched.
 *  - States that the job has no longer are left out.
 *
 * Memory: one chunk of entries or one page, and what the store's bounds allow.
 */
import type { SnapshotReader } from '../../src/contract/snapshot-storage.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { intersectRanges } from '../../src/core/key-group.ts'
import { hashKey } from '../../src/core/key-hash.ts'
import { decodeValue } from '../../src/core/value-codec.ts'
import type { DiskCursor, DiskEntry, DiskTable, TableDisk } from './disk-table.ts'
import { isInteger, readCellKey } from './key-cells.ts'
import { CELL_PREFIX_BYTES, isPackKey, rangeOfGroups, readPrefix, statesKey } from './key-layout.ts'
import type { LevelStore } from './level-store.ts'
import { eachOfPack } from './number-pack.ts'
import { decodeSliceCell } from './slice-keys.ts'
import { SliceNames, readSliceKey } from './slice-names.ts'
import { decodeDirectory, matchStates } from './state-directory.ts'
import type { StoredState } from './state-directory.ts'
import { decodeTimers } from './timer-segment.ts'

/** Entries read, and of these copied, at a time. */
const CHUNK_ENTRIES_MAX = 2000

/** Where the files of a snapshot are opened. */
export interface RestorePlace {
  readonly disk: TableDisk
  /** A directory that does not exist yet. */
  readonly newDirectory: (name: string) => string
  readonly maxParallelism: number
}

/** Takes in a snapshot of canonical pages. */
export async function restorePages(store: LevelStore, reader: SnapshotReader): Promise<void> {
  const byName = new Map(store.states.map((state) => [state.name, state]))
  const range = intersectRanges(store.keyGroups, reader.handle.keyGroups)
  if (range.start === range.end) return
  for await (const page of reader.pages(range)) {
    const state = byName.get(page.state)
    if (state === undefined) continue
    for (let i = 0; i < page.keys.length; i++) {
      putEntry(store, state, page.keys[i] as AnyKey, page.subs?.[i] ?? 0, page.values?.[i])
      if (!store.hasRoom()) await store.untilRoom()
    }
  }
}

/** Takes in a snapshot of files of this backend. */
export async function restoreFiles(
  store: LevelStore,
  reader: SnapshotReader,
  place: RestorePlace,
): Promise<void> {
  const directory = place.newDirectory('restore')
  await place.disk.makeDirectory(directory)
  try {
    await reader.materialize(directory)
    const table = await place.disk.open(directory)
    try {
      await copyTable(store, table, reader, place.maxParallelism)
    } finally {
      await table.close()
    }
  } finally {
    await place.disk.remove(directory)
  }
}

async function copyTable(
  store: LevelStore,
  table: DiskTable,
  reader: SnapshotReader,
  maxParallelism: number,
): Promise<void> {
  const stored = decodeDirectory(table.getSync(statesKey), maxParallelism)
  matchStates(stored, store.states)
  const targets = new Map(store.states.map((state) => [state.name, state]))
  const states = new Map(stored.map((state) => [state.id, targets.get(state.name)]))
  const cursors: DiskCursor[] = []
  const slices = await SliceNames.begin(table, stored, cursors)
  const range = intersectRanges(store.keyGroups, reader.handle.keyGroups)
  const cursor = table.iterate(rangeOfGroups(range), 'entries')
  for (;;) {
    const chunk = await cursor.next(CHUNK_ENTRIES_MAX)
    if (chunk.length === 0) return
    await copyEntries(store, chunk, states, slices)
  }
}

async function copyEntries(
  store: LevelStore,
  entries: readonly DiskEntry[],
  states: ReadonlyMap<number, StoredState | undefined>,
  slices: SliceNames,
): Promise<void> {
  const keys: Buffer[] = []
  const values: Buffer[] = []
  for (const { key, value } of entries) {
    const { stateId } = readPrefix(key)
    const state = states.get(stateId)
    if (state === undefined) continue // of a state that the job no longer has
    switch (state.layout) {
      case 'key':
      case 'page':
        if (state.layout === 'key' && isPackKey(key)) {
          eachOfPack(value, (cellKey, cell) => putEntry(store, state, cellKey, 0, cell))
          if (!store.hasRoom()) await store.untilRoom()
          break
        }
        if (state.layout === 'key' && putPacked(store, state, key, value)) {
          if (!store.hasRoom()) await store.untilRoom()
          break
        }
        key.writeUInt16BE(state.id, CELL_PREFIX_BYTES - 2)
        keys.push(key)
        values.push(value)
        break
      case 'slice': {
        const cell = readSliceKey(key)
        const slice = slices.sliceOf(stateId, cell.incarnation)
        if (slice === undefined) break
        putEntry(store, state, cell.key, slice, decodeSliceCell(value).value)
        if (!store.hasRoom()) await store.untilRoom()
        break
      }
      case 'timers':
        decodeTimers(value, (timestampMs, timerKey) => {
          putEntry(store, state, timerKey, timestampMs, undefined)
        })
        if (!store.hasRoom()) await store.untilRoom()
    }
  }
  if (keys.length > 0) await store.copy({ keys, values })
}

/** Puts a cell of an integer key where packs must know of it; false if it may be copied. */
function putPacked(store: LevelStore, state: StoredState, key: Buffer, value: Buffer): boolean {
  const target = store.keyState(state.name)
  const { key: cellKey } = readCellKey(key, 'key')
  if (!isInteger(cellKey)) return false
  if (target.isPacked) putEntry(store, state, cellKey, 0, decodeValue(value))
  else target.keepUnpacked()
  return target.isPacked
}

function putEntry(
  store: LevelStore,
  state: StoredState,
  key: AnyKey,
  sub: number,
  value: unknown,
): void {
  store.useKey(key, hashKey(key))
  switch (state.layout) {
    case 'key':
    case 'page':
      return store.cells(state.name).put(sub, value)
    case 'slice':
      return store.slices(state.name).put(sub, value)
    case 'timers':
      return store.timers(state.name).add(sub)
  }
}
