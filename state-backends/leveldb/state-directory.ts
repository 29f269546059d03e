/**
 * Which number each state has in the keys of a database. Kept in the database itself, since the job's states and their order may
 * be others when it is read again.
 *
 * Invariants
 *  - A state keeps its id for the life of a database; the id of a state that was dropped is used again only after its cells
 *    have been removed.
 *  - The format is checked before anything else is read.
 */
import type { CellState } from '../../src/contract/state-backend.ts'
import { EngineError } from '../../src/core/errors.ts'
import { KEY_HASH_NAME } from '../../src/core/key-hash.ts'
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts'
import type { CellLayout } from '../../src/contract/state-backend.ts'

/** Grows when the bytes in the database change their meaning. */
const FORMAT_VERSION = 1

/** A state with the id it has in one database. */
export interface StoredState {
  readonly name: string
  readonly kind: string
  readonly layout: CellLayout
  readonly id: number
}

/** What a database that was made elsewhere has to do with the states of the job. */
export interface StateMatch {
  /** Every state of the job, new ones with new ids. */
  readonly states: readonly StoredState[]
  /** States that the job has no longer. */
  readonly dropped: readonly StoredState[]
}

interface Directory {
  readonly version: number
  readonly keyHash: string
  readonly maxParallelism: number
  readonly states: readonly StoredState[]
}

export function encodeDirectory(states: readonly StoredState[], maxParallelism: number): Buffer {
  const directory: Directory = {
    version: FORMAT_VERSION,
    keyHash: KEY_HASH_NAME,
    maxParallelism,
    states,
  }
  return encodeValue(directory)
}

/** The states of a database. Throws `CHECKPOINT_CORRUPT` where it is none of this backend's. */
export function decodeDirectory(
  bytes: Buffer | undefined,
  maxParallelism: number,
): readonly StoredState[] {
  const directory = bytes === undefined ? undefined : (decodeValue(bytes) as Directory)
  if (directory?.version !== FORMAT_VERSION) {
    throw new EngineError(
      'CHECKPOINT_CORRUPT',
      `The database of the snapshot has the format ${directory?.version ?? 'of something else'}, but ${FORMAT_VERSION} is ` +
        `read; restore it with the version of the engine that wrote it and take a savepoint there`,
    )
  }
  if (directory.keyHash !== KEY_HASH_NAME || directory.maxParallelism !== maxParallelism) {
    throw new EngineError(
      'MAX_PARALLELISM_CHANGED',
      `The snapshot has ${directory.maxParallelism} key groups by ${directory.keyHash}, the job ${maxParallelism} by ` +
        `${KEY_HASH_NAME}; set maxParallelism to what it was, or start without the snapshot`,
    )
  }
  return directory.states
}

/** Finds the job's states among those of a database. Throws `SAVEPOINT_MISMATCH` where one has become another kind. */
export function matchStates(
  stored: readonly StoredState[],
  wanted: readonly CellState[],
): StateMatch {
  const byName = new Map(stored.map((state) => [state.name, state]))
  let idNext = Math.max(0, ...stored.map((state) => state.id + 1))
  const states = wanted.map((state) => {
    const known = byName.get(state.name)
    if (known === undefined) return { ...cellState(state), id: idNext++ }
    checkSame(known, state)
    return { ...cellState(state), id: known.id }
  })
  const names = new Set(wanted.map((state) => state.name))
  return { states, dropped: stored.filter((state) => !names.has(state.name)) }
}

function cellState({ name, kind, layout }: CellState): CellState {
  return { name, kind, layout }
}

function checkSame(stored: StoredState, wanted: CellState): void {
  if (stored.kind === wanted.kind && stored.layout === wanted.layout) return
  throw new EngineError(
    'SAVEPOINT_MISMATCH',
    `The state '${wanted.name}' is a ${stored.kind} (${stored.layout}) in the snapshot, but a ${wanted.kind} ` +
      `(${wanted.layout}) in the job; give the new one another name`,
  )
}
