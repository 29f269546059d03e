/** A slot of a simulated process: the engine's own slot, with messages that arrive when the world says so. */
import { Doorbell } from '../../src/channel/doorbell.ts'
import type { ChannelBounds } from '../../src/channel/channel.ts'
import type { SnapshotStorage } from '../../src/contract/snapshot-storage.ts'
import type { StateBackend } from '../../src/contract/state-backend.ts'
import { EngineError } from '../../src/core/errors.ts'
import { silentLogger } from '../../src/core/log.ts'
import type { SlotLink, SlotLinkEvents } from '../../src/job/slot-link.ts'
import { fingerprintOf } from '../../src/plan/fingerprint.ts'
import type { ExecutionPlan } from '../../src/plan/execution-plan.ts'
import { Slot } from '../../src/runtime/slot.ts'
import type { SlotCommand, SlotEvent } from '../../src/runtime/slot-protocol.ts'
import type { Owner, World } from './world.ts'

type Mutable<T> = { -readonly [P in keyof T]: T[P] }

export interface SimulatedSlotOptions {
  readonly world: World
  readonly process: Owner
  /** The slot's own plan: what it opens belongs to this owner. */
  readonly plan: (owner: Owner) => ExecutionPlan
  readonly slotIndex: number
  readonly slotCount: number
  readonly bells: readonly Doorbell[]
  readonly backend: StateBackend
  readonly storage: SnapshotStorage
  readonly bounds: ChannelBounds
  readonly exactlyOnce: boolean
  /** Less than would be held back if `emit` were not stopped in time. */
  readonly overflowBytesMax: number
  readonly snapshotEntriesPerStep: number
  /** Sees the memory of an attempt's rings. */
  readonly watchRings: (rings: ReadonlyMap<string, SharedArrayBuffer>) => void
  /** Sees the kind of every message, for the table of faults and phases. */
  readonly observe: (kind: string) => void
}

export class SimulatedSlot implements SlotLink {
  readonly owner: Mutable<Owner> = { isGone: false, isFrozen: false }
  readonly #both: Owner
  readonly slot: Slot
  isLost = false
  readonly #options: SimulatedSlotOptions
  readonly #link: SlotLinkEvents
  readonly #commands: SlotCommand[] = []
  readonly #events: SlotEvent[] = []

  constructor(options: SimulatedSlotOptions, link: SlotLinkEvents) {
    this.#options = options
    this.#link = link
    this.#both = both(options.process, this.owner)
    const { world } = options
    const plan = options.plan(this.#both)
    this.slot = new Slot({
      plan,
      slotIndex: options.slotIndex,
      slotCount: options.slotCount,
      backend: options.backend,
      storage: options.storage,
      workDirectory: (attempt, uid, subtask) => `/work/${attempt}/${uid}-${subtask}`,
      exactlyOnce: options.exactlyOnce,
      isCheckpointed: true,
      snapshotEntriesPerStep: options.snapshotEntriesPerStep,
      bounds: options.bounds,
      overflowBytesMax: options.overflowBytesMax,
      bells: options.slotCount > 1 ? options.bells : undefined,
      clock: world.clock,
      logger: silentLogger,
      send: (event) => this.#post(event),
      wake: () => {},
    })
    this.#post({ kind: 'ready', fingerprint: fingerprintOf(plan.graph) })
  }

  send(command: SlotCommand): void {
    if (this.owner.isGone) return
    this.#options.observe(command.kind)
    if (command.kind === 'deploy') this.#options.watchRings(command.rings)
    this.#commands.push(command)
    this.#later(`command ${command.kind}`, () => {
      const next = this.#commands.shift()
      if (next !== undefined) this.slot.handle(next)
    })
  }

  async close(): Promise<void> {
    await this.slot.close()
    this.owner.isGone = true
  }

  /** The thread dies. */
  lose(): void {
    this.isLost = true
    this.owner.isGone = true
    const { world, process, slotIndex } = this.#options
    world.later(process, `slot ${slotIndex} lost`, () =>
      this.#link.onLost(new EngineError('WORKER_LOST', `Slot ${slotIndex} was lost`)),
    )
  }

  #post(event: SlotEvent): void {
    if (event.kind === 'figures') return
    this.#options.observe(event.kind)
    this.#events.push(event)
    this.#later(`event ${event.kind}`, () => {
      const next = this.#events.shift()
      if (next !== undefined) this.#link.onEvent(next)
    })
  }

  /** Belongs to the slot and to its process: either's end ends it. */
  #later(what: string, run: () => void): void {
    const { world, slotIndex } = this.#options
    world.later(this.#both, `slot ${slotIndex} ${what}`, run)
  }
}

function both(a: Owner, b: Owner): Owner {
  return {
    get isGone() {
      return a.isGone || b.isGone
    },
    get isFrozen() {
      return a.isFrozen || b.isFrozen
    },
  }
}
