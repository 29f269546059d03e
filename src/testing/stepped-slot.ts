/**
 * A slot that does something only when it is told to: the engine's own slot in the calling thread, without a loop of its own.
 * What it says is handed to the coordinator after its turn, never within.
 */
import { fingerprintOf } from '../plan/fingerprint.ts'
import { Slot } from '../runtime/slot.ts'
import type { SlotOptions } from '../runtime/slot.ts'
import type { SlotCommand, SlotEvent } from '../runtime/slot-protocol.ts'
import type { SlotLink, SlotLinkEvents } from '../job/slot-link.ts'

export type SteppedSlotOptions = Omit<
  SlotOptions,
  'send' | 'wake' | 'bells' | 'slotIndex' | 'slotCount'
>

export class SteppedSlot implements SlotLink {
  readonly #commands: SlotCommand[] = []
  readonly #events: SlotEvent[] = []
  readonly #slot: Slot
  readonly #link: SlotLinkEvents

  constructor(options: SteppedSlotOptions, link: SlotLinkEvents) {
    this.#link = link
    this.#slot = new Slot({
      ...options,
      slotIndex: 0,
      slotCount: 1,
      bells: undefined,
      send: (event) => this.#events.push(event),
      // whoever steps the slot looks at it again until nothing is left to do
      wake: () => {},
    })
    this.#events.push({ kind: 'ready', fingerprint: fingerprintOf(options.plan.graph) })
  }

  send(command: SlotCommand): void {
    this.#commands.push(command)
  }

  /** Does everything that can be done without waiting; whether there was anything. */
  step(): boolean {
    let isBusy = false
    for (;;) {
      const commands = this.#commands.splice(0)
      for (const command of commands) this.#slot.handle(command)
      const wasBusy = this.#slot.turn()
      const events = this.#events.splice(0)
      for (const event of events) this.#link.onEvent(event)
      if (commands.length === 0 && !wasBusy && events.length === 0) return isBusy
      isBusy = true
    }
  }

  /** When it wants a turn although nothing happens, in processing time. */
  nextWakeMs(): number {
    return this.#slot.nextWakeMs()
  }

  async close(): Promise<void> {
    await this.#slot.close()
    for (const event of this.#events.splice(0)) this.#link.onEvent(event)
  }
}
