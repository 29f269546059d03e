/**
 * Opens stores of the leveldb backend, whatever they are restored from:
 *
 *  - one snapshot of files of this backend with exactly the same key groups: its files become the store's (linked where they
 *    are immutable), and only the indexes of slices and timers are read;
 *  - no snapshot, or others: a fresh database, filled by restore-store.ts.
 *
 * Below the work directory, `db` is the store's own database; other names are used once each and removed again.
 */
import { join } from 'node:path'
import type { SnapshotReader } from '../../src/contract/snapshot-storage.ts'
import type {
  KeyedStore,
  KeyedStoreOptions,
  StateBackend,
} from '../../src/contract/state-backend.ts'
import { EngineError, isEngineError } from '../../src/core/errors.ts'
import { sameRange } from '../../src/core/key-group.ts'
import type { DiskCursor, DiskEntry, DiskRange, DiskTable, TableDisk } from './disk-table.ts'
import { LEVEL_FORMAT } from './file-snapshot.ts'
import {
  rangeOfLocal,
  rangeOfLocalState,
  rangeOfPacks,
  rangeOfState,
  readLocalKey,
  readPackKey,
  readPrefix,
  readTimersKey,
  statesKey,
} from './key-layout.ts'
import { LevelStore } from './level-store.ts'
import type { StoreBounds } from './level-store.ts'
import { restoreFiles, restorePages } from './restore-store.ts'
import { decodeDirectory, encodeDirectory, matchStates } from './state-directory.ts'
import type { StoredState } from './state-directory.ts'

/** Entries of the database looked at, or removed, at a time. */
const CHUNK_ENTRIES_MAX = 2000

export interface LevelBackendOptions {
  readonly bounds: StoreBounds
  readonly disk: TableDisk
}

export function levelBackend({ bounds, disk }: LevelBackendOptions): StateBackend {
  return {
    name: LEVEL_FORMAT,
    async open(options) {
      try {
        return await openStore(options, bounds, disk)
      } catch (error) {
        const { operatorUid, subtaskIndex } = options
        throw (isEngineError(error) ? error : openFailed(error)).at({ operatorUid, subtaskIndex })
      }
    },
  }
}

function openFailed(cause: unknown): EngineError {
  const text = cause instanceof Error ? cause.message : String(cause)
  return new EngineError('STATE_STORAGE_FAILED', `The state on disk can't be opened: ${text}`, {
    cause,
  })
}

async function openStore(
  options: KeyedStoreOptions,
  bounds: StoreBounds,
  disk: TableDisk,
): Promise<KeyedStore> {
  const workDirectory = options.workDirectory()
  let directoryCount = 0
  const newDirectory = (name: string) => join(workDirectory, `${name}-${directoryCount++}`)
  const directory = join(workDirectory, 'db')
  await disk.makeDirectory(directory)

  const { restore, maxParallelism } = options
  restore.forEach(checkFormat)
  const whole = restore.find((reader) => isWhole(reader, options))
  await whole?.materialize(directory)
  const table = await disk.open(directory)
  try {
    const stored =
      whole === undefined ? [] : decodeDirectory(table.getSync(statesKey), maxParallelism)
    const { states, dropped } = matchStates(stored, options.states)
    for (const state of dropped) await removeState(table, state, options)
    await table.write({ keys: [statesKey], values: [encodeDirectory(states, maxParallelism)] })

    let isOpen = false
    const store = new LevelStore({
      ...options,
      table,
      states,
      bounds,
      disk,
      newDirectory,
      wake: () => {
        if (isOpen) options.wake()
      },
    })
    if (whole !== undefined) {
      await readIndexes(store, table, stored)
    } else {
      for (const reader of restore) {
        if (reader.handle.format === 'pages') await restorePages(store, reader)
        else await restoreFiles(store, reader, { disk, newDirectory, maxParallelism })
      }
    }
    isOpen = true
    return store
  } catch (error) {
    await table.close()
    throw error
  }
}

/** Whether the store can go on with the very files of a snapshot. */
function isWhole(reader: SnapshotReader, options: KeyedStoreOptions): boolean {
  const { format, keyGroups } = reader.handle
  return (
    options.restore.length === 1 &&
    format === LEVEL_FORMAT &&
    sameRange(keyGroups, options.keyGroups)
  )
}

function checkFormat({ handle }: SnapshotReader): void {
  if (handle.format === 'pages' || handle.format === LEVEL_FORMAT) return
  throw new EngineError(
    'SAVEPOINT_MISMATCH',
    `The snapshot has the format '${handle.format}', which the ${LEVEL_FORMAT} backend does not read; take a savepoint ` +
      `with the backend that wrote it and start from that`,
  )
}

/** Removes what is stored of a state. */
async function removeState(
  table: DiskTable,
  state: StoredState,
  { keyGroups }: KeyedStoreOptions,
): Promise<void> {
  await removeRange(table, rangeOfLocalState(state.id))
  for (let group = keyGroups.start; group < keyGroups.end; group++) {
    await removeRange(table, rangeOfState({ group, stateId: state.id }))
  }
}

async function removeRange(table: DiskTable, range: DiskRange): Promise<void> {
  await eachChunk(table.iterate(range, 'keys'), (entries) =>
    table.write({ keys: entries.map(({ key }) => key), values: entries.map(() => undefined) }),
  )
}

/** Reads which slices there are, and the keys of segments of timers. */
async function readIndexes(
  store: LevelStore,
  table: DiskTable,
  stored: readonly StoredState[],
): Promise<void> {
  const known = new Set(stored.map(({ id }) => id))
  const states = store.states.filter(({ id }) => known.has(id))
  const names = new Map(states.map(({ id, name }) => [id, name]))
  await eachChunk(table.iterate(rangeOfLocal(), 'keys'), (entries) => {
    for (const { key } of entries) {
      const local = readLocalKey(key)
      const name = names.get(local.stateId)
      if (name !== undefined) store.sliceState(name).restore(local)
    }
  })
  for (const state of states) if (state.layout === 'key') await readPacks(store, table, state)
  for (const { id: stateId, name, layout } of states) {
    if (layout !== 'timers') continue
    const timers = store.timerBuckets(name)
    for (let group = store.keyGroups.start; group < store.keyGroups.end; group++) {
      await eachChunk(table.iterate(rangeOfState({ group, stateId }), 'keys'), (entries) => {
        for (const { key } of entries) timers.restore(readPrefix(key), readTimersKey(key))
      })
    }
  }
}

/** Reads which packs a state has. One that has cells and no packs goes on without. */
async function readPacks(
  store: LevelStore,
  table: DiskTable,
  { id: stateId, name }: StoredState,
): Promise<void> {
  const state = store.keyState(name)
  let isEmpty = true
  for (let group = store.keyGroups.start; group < store.keyGroups.end; group++) {
    const packs = new Set<number>()
    await eachChunk(table.iterate(rangeOfPacks({ group, stateId }), 'keys'), (entries) => {
      for (const { key } of entries) packs.add(readPackKey(key))
    })
    if (packs.size > 0) state.restorePacks(group, packs)
    if (isEmpty) {
      const cursor = table.iterate(rangeOfState({ group, stateId }), 'keys')
      isEmpty = (await cursor.next(1)).length === 0
      await cursor.close()
    }
  }
  if (!isEmpty && !state.isPacked) state.keepUnpacked()
}

async function eachChunk(
  cursor: DiskCursor,
  each: (entries: readonly DiskEntry[]) => Promise<void> | void,
): Promise<void> {
  try {
    for (;;) {
      const entries = await cursor.next(CHUNK_ENTRIES_MAX)
      if (entries.length === 0) return
      await each(entries)
    }
  } finally {
    await cursor.close()
  }
}
