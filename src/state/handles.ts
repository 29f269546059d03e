/** From declared states to the handles that user functions hold. */
import type { Aggregator } from '../contract/aggregator.ts'
import type { KeyedContext } from '../contract/operator.ts'
import type { CellState, KeyedCells } from '../contract/state-backend.ts'
import type { Key } from '../core/key.ts'
import { EngineError } from '../core/errors.ts'
import { CellListState } from './list-state.ts'
import { CellMapState } from './map-state.ts'
import type { StateSpec } from './state-spec.ts'
import { layoutOf } from './state-spec.ts'
import { CellAggregatingState, CellValueState } from './value-state.ts'

/** Declared states, by name. */
export type States = { readonly [name: string]: StateSpec<unknown> }

/** The handles of declared states. */
export type StateHandles<S extends States> = {
  readonly [N in keyof S]: S[N] extends StateSpec<infer H> ? H : never
}

/** What the store is told of declared states. Names beginning with `#` are the engine's own. */
export function cellStates(states: States): CellState[] {
  return Object.entries(states).map(([name, spec]) => {
    if (name.startsWith('#') || name === '') {
      throw new EngineError(
        'OPTION_INVALID',
        `A state is named '${name}'; names must not be empty or begin with #`,
      )
    }
    return { name, kind: spec.kind, layout: layoutOf(spec.kind) }
  })
}

/** A handle for each declared state. Made once per subtask; each shows the state of the key at hand. */
export function stateHandles<S extends States>(states: S, keyed: KeyedContext): StateHandles<S> {
  const handles = Object.entries(states).map(([name, spec]) => [name, handleOf(name, spec, keyed)])
  return Object.fromEntries(handles) as StateHandles<S>
}

function handleOf(name: string, spec: StateSpec<unknown>, keyed: KeyedContext): unknown {
  switch (spec.kind) {
    case 'value':
      return new CellValueState<unknown>(new CellsOfKey(keyed, name), spec.defaultValue)
    case 'list':
      return new CellListState<unknown>(new CellsOfKey(keyed, name))
    case 'map':
      return new CellMapState<Key, unknown>(new CellsOfKey(keyed, name))
    case 'reducing':
    case 'aggregating':
      return new CellAggregatingState<unknown, unknown, unknown>(
        new CellsOfKey(keyed, name),
        spec.aggregator as unknown as Aggregator<unknown, unknown, unknown>,
      )
  }
}

/** Cells that refuse to be used where no key is at hand: there they would show the state of the last one. */
class CellsOfKey<V> implements KeyedCells<V> {
  readonly #keyed: KeyedContext
  readonly #cells: KeyedCells<V>

  constructor(keyed: KeyedContext, name: string) {
    this.#keyed = keyed
    this.#cells = keyed.cells(name)
  }

  get(sub: number): V | undefined {
    this.#keyed.key()
    return this.#cells.get(sub)
  }

  edit(sub: number): V | undefined {
    this.#keyed.key()
    return this.#cells.edit(sub)
  }

  put(sub: number, value: V): void {
    this.#keyed.key()
    this.#cells.put(sub, value)
  }

  remove(sub: number): void {
    this.#keyed.key()
    this.#cells.remove(sub)
  }
}
