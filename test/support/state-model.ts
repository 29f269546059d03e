/**
 * Keyed state as plain maps, to compare a state backend with: what a job's state is, without subtasks, caches or disks.
 * Values are copied on the way in and out.
 */
import assert from 'node:assert/strict'
import type { CellState, KeyedStore } from '../../src/contract/state-backend.ts'
import { ByteWriter } from '../../src/core/byte-writer.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { formatKey } from '../../src/core/key.ts'
import { writeKey } from '../../src/core/key-bytes.ts'
import { keyGroupOf } from '../../src/core/key-group.ts'
import type { KeyGroupRange } from '../../src/core/key-group.ts'
import { hashKey } from '../../src/core/key-hash.ts'
import { copyValue } from '../../src/core/value.ts'

interface ModelCell {
  readonly key: AnyKey
  readonly sub: number
  value: unknown
}

interface ModelTimer {
  readonly key: AnyKey
  readonly timestampMs: number
}

/** One text for each key. */
export function keyText(key: AnyKey): string {
  const out = new ByteWriter()
  writeKey(out, key)
  return out.view().toString('hex')
}

function cellText(key: AnyKey, sub: number): string {
  return `${keyText(key)} ${sub}`
}

export class StateModel {
  readonly states: readonly CellState[]
  readonly #cells = new Map<string, Map<string, ModelCell>>()
  readonly #timers = new Map<string, ModelTimer[]>()

  constructor(states: readonly CellState[]) {
    this.states = states
    for (const { name, layout } of states) {
      if (layout === 'timers') this.#timers.set(name, [])
      else this.#cells.set(name, new Map())
    }
  }

  clone(): StateModel {
    const copy = new StateModel(this.states)
    for (const [name, cells] of this.#cells) {
      for (const { key, sub, value } of cells.values()) copy.put(name, key, sub, value)
    }
    for (const [name, timers] of this.#timers) copy.#timers.set(name, [...timers])
    return copy
  }

  get(state: string, key: AnyKey, sub: number): unknown {
    return copyValue(this.#cellsOf(state).get(cellText(key, sub))?.value)
  }

  has(state: string, key: AnyKey, sub: number): boolean {
    return this.#cellsOf(state).has(cellText(key, sub))
  }

  put(state: string, key: AnyKey, sub: number, value: unknown): void {
    this.#cellsOf(state).set(cellText(key, sub), { key, sub, value: copyValue(value) })
  }

  remove(state: string, key: AnyKey, sub: number): void {
    this.#cellsOf(state).delete(cellText(key, sub))
  }

  cells(state: string): readonly ModelCell[] {
    return [...this.#cellsOf(state).values()]
  }

  /** The slices of a state that have cells of some key for which `isOurs` holds. */
  slices(state: string, isOurs: (key: AnyKey) => boolean): readonly number[] {
    const slices = new Set(this.cells(state).flatMap(({ key, sub }) => (isOurs(key) ? [sub] : [])))
    return [...slices].sort((a, b) => a - b)
  }

  drop(state: string, slice: number, isOurs: (key: AnyKey) => boolean): void {
    for (const { key, sub } of this.cells(state)) {
      if (sub === slice && isOurs(key)) this.remove(state, key, sub)
    }
  }

  addTimer(state: string, key: AnyKey, timestampMs: number): void {
    this.#timersOf(state).push({ key, timestampMs })
  }

  /** The earliest time among the keys for which `isOurs` holds. */
  earliest(state: string, isOurs: (key: AnyKey) => boolean): number {
    let earliest = Infinity
    for (const { key, timestampMs } of this.#timersOf(state)) {
      if (timestampMs < earliest && isOurs(key)) earliest = timestampMs
    }
    return earliest
  }

  /** Takes one entry out; whether it was there. */
  takeTimer(state: string, key: AnyKey, timestampMs: number): boolean {
    const timers = this.#timersOf(state)
    const text = keyText(key)
    const at = timers.findIndex(
      (timer) => timer.timestampMs === timestampMs && keyText(timer.key) === text,
    )
    if (at >= 0) timers.splice(at, 1)
    return at >= 0
  }

  timers(state: string): readonly ModelTimer[] {
    return this.#timersOf(state)
  }

  #cellsOf(state: string): Map<string, ModelCell> {
    const cells = this.#cells.get(state)
    assert(cells !== undefined, `The model has cells of ${state}`)
    return cells
  }

  #timersOf(state: string): ModelTimer[] {
    const timers = this.#timers.get(state)
    assert(timers !== undefined, `The model has timers of ${state}`)
    return timers
  }
}

export interface ComparedStore {
  readonly store: KeyedStore
  readonly keyGroups: KeyGroupRange
  readonly maxParallelism: number
  /** Keys to look for that may not be there. */
  readonly otherKeys: readonly AnyKey[]
  /** Called between keys, so that bounds are kept. */
  readonly rest: () => Promise<void>
}

/** Checks that a store holds what the model has in its key groups, and nothing else. Takes out all its timers. */
export async function assertSameState(model: StateModel, compared: ComparedStore): Promise<void> {
  const { keyGroups, maxParallelism } = compared
  const isOurs = (key: AnyKey): boolean => {
    const group = keyGroupOf(hashKey(key), maxParallelism)
    return group >= keyGroups.start && group < keyGroups.end
  }
  for (const { name, layout } of model.states) {
    if (layout === 'timers') await assertSameTimers(model, name, compared, isOurs)
    else await assertSameCells(model, name, compared, isOurs)
    if (layout === 'slice') assertSameSlices(model, name, compared.store, isOurs)
  }
}

async function assertSameCells(
  model: StateModel,
  state: string,
  { store, otherKeys, rest }: ComparedStore,
  isOurs: (key: AnyKey) => boolean,
): Promise<void> {
  const layout = model.states.find(({ name }) => name === state)?.layout
  const cells = layout === 'slice' ? store.slices(state) : store.cells(state)
  const keys = new Map<string, AnyKey>()
  const subs = new Set<number>([0])
  for (const key of otherKeys) keys.set(keyText(key), key)
  for (const { key, sub } of model.cells(state)) {
    keys.set(keyText(key), key)
    subs.add(sub)
  }
  for (const key of keys.values()) {
    if (!isOurs(key)) continue
    store.useKey(key, hashKey(key))
    for (const sub of subs) {
      const place = `${state} of ${formatKey(key)} at ${sub}`
      assert.deepStrictEqual(cells.get(sub), model.get(state, key, sub), place)
    }
    await rest()
  }
}

function assertSameSlices(
  model: StateModel,
  state: string,
  store: KeyedStore,
  isOurs: (key: AnyKey) => boolean,
): void {
  const slices = store.slices(state)
  const expected = model.slices(state, isOurs)
  assert.deepEqual([...slices.slices()], expected, `The slices of ${state}`)
  for (const slice of expected) {
    const wanted = model
      .cells(state)
      .flatMap(({ key, sub }) => (sub === slice && isOurs(key) ? [keyText(key)] : []))
    const seen: string[] = []
    const cursor = slices.keys(slice)
    while (cursor.next()) seen.push(keyText(store.key))
    assert.deepEqual(seen.sort(), wanted.sort(), `The keys of slice ${slice} of ${state}`)
  }
}

async function assertSameTimers(
  model: StateModel,
  state: string,
  { store, rest }: ComparedStore,
  isOurs: (key: AnyKey) => boolean,
): Promise<void> {
  const index = store.timers(state)
  const wanted = model.timers(state).flatMap((timer) => (isOurs(timer.key) ? [timer] : []))
  const seen: string[] = []
  let last = -Infinity
  assert.equal(
    index.peek(),
    wanted.reduce((min, timer) => Math.min(min, timer.timestampMs), Infinity),
  )
  while (index.poll(Infinity)) {
    assert(index.timestampMs >= last, `Timers of ${state} come in the order of time`)
    last = index.timestampMs
    assert.equal(store.hash, hashKey(store.key), 'The key at hand comes with its hash')
    seen.push(`${index.timestampMs} ${keyText(store.key)}`)
    await rest()
  }
  assert.equal(index.peek(), Infinity)
  const texts = wanted.map(({ key, timestampMs }) => `${timestampMs} ${keyText(key)}`)
  assert.deepEqual(seen.sort(), texts.sort(), `The timers of ${state}`)
}
