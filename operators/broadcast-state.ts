/**
 * State that every subtask of an operator holds whole: small maps and values, filled by a broadcast input.
 *
 * Invariants
 *  - Only while a broadcast record is handled can it be written; every subtask handles each such record once, in one order, so
 *    all hold the same. Subtask 0 writes it into snapshots, every subtask restores it from there.
 *  - It lives in memory: rules and limits, not data.
 */
import type { KeyedContext } from '../src/contract/operator.ts'
import type { KeyedCells } from '../src/contract/state-backend.ts'
import { EngineError, InvariantError } from '../src/core/errors.ts'
import { stateHandles } from '../src/state/handles.ts'
import type { StateHandles, States } from '../src/state/handles.ts'

type SavedState = readonly [
  name: string,
  cells: readonly (readonly [sub: number, value: unknown])[],
]

export class BroadcastState {
  readonly handles: StateHandles<States>
  readonly #cells = new Map<string, MapCells>()
  #isWritable = false

  constructor(states: States, restored: readonly unknown[]) {
    for (const name of Object.keys(states))
      this.#cells.set(name, new MapCells(() => this.#isWritable))
    for (const [name, cells] of restored as readonly SavedState[]) {
      for (const [sub, value] of cells) this.#cells.get(name)?.restore(sub, value)
    }
    this.handles = stateHandles(states, this.#context())
  }

  /** Runs a broadcast handler, the only one that may write. */
  write(handle: () => void): void {
    this.#isWritable = true
    try {
      handle()
    } finally {
      this.#isWritable = false
    }
  }

  /** The items of a snapshot. */
  save(): SavedState[] {
    return [...this.#cells].map(([name, cells]) => [name, [...cells.entries()]])
  }

  #context(): KeyedContext {
    return {
      key: () => null,
      cells: <V>(name: string) => this.#cells.get(name) as unknown as KeyedCells<V>,
      slices: () => {
        throw new InvariantError('Broadcast state has no slices')
      },
      timers: () => {
        throw new InvariantError('Broadcast state has no timers')
      },
    }
  }
}

class MapCells implements KeyedCells<unknown> {
  readonly #map = new Map<number, unknown>()
  readonly #isWritable: () => boolean

  constructor(isWritable: () => boolean) {
    this.#isWritable = isWritable
  }

  entries(): IterableIterator<[number, unknown]> {
    return this.#map.entries()
  }

  restore(sub: number, value: unknown): void {
    this.#map.set(sub, value)
  }

  get(sub: number): unknown {
    return this.#map.get(sub)
  }

  edit(sub: number): unknown {
    this.#checkWritable()
    return this.#map.get(sub)
  }

  put(sub: number, value: unknown): void {
    this.#checkWritable()
    this.#map.set(sub, value)
  }

  remove(sub: number): void {
    this.#checkWritable()
    this.#map.delete(sub)
  }

  #checkWritable(): void {
    if (this.#isWritable()) return
    throw new EngineError(
      'STATE_READ_ONLY',
      'Broadcast state was written outside of the handler of a broadcast input; the subtasks would come to hold different values',
    )
  }
}
