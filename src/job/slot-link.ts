/** How the coordinator reaches a slot, wherever that runs. */
import type { EngineError } from '../core/errors.ts'
import type { SlotCommand, SlotEvent } from '../runtime/slot-protocol.ts'

export interface SlotLink {
  /** Commands arrive in the order they were sent. What is sent to a slot that is gone is dropped. */
  send(command: SlotCommand): void
  /** Ends the slot; settles when it is gone. */
  close(): Promise<void>
}

/** What a link tells. Called between the coordinator's own actions, never within `send`. */
export interface SlotLinkEvents {
  onEvent(event: SlotEvent): void
  /** The slot is gone without having been asked. */
  onLost(error: EngineError): void
}

/** Makes the slot of a number. Called again when a slot was lost, once it is gone. */
export type OpenSlot = (slotIndex: number, events: SlotLinkEvents) => SlotLink
