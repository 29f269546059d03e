/**
 * A slot in the calling thread: the same slot as in a worker, driven between the turns of the host. For tests, debugging and
 * embedding, where functions may close over the caller's variables.
 */
import { toErrorData } from '../core/errors.ts'
import type { Clock } from '../core/time.ts'
import { fingerprintOf } from '../plan/fingerprint.ts'
import { runSlotLoop } from '../runtime/slot-loop.ts'
import type { Sleeper } from '../runtime/slot-loop.ts'
import { Slot } from '../runtime/slot.ts'
import type { SlotOptions } from '../runtime/slot.ts'
import type { SlotCommand, SlotEvent } from '../runtime/slot-protocol.ts'
import type { SlotLink, SlotLinkEvents } from './slot-link.ts'

export class LocalSlot implements SlotLink {
  readonly #commands: SlotCommand[] = []
  readonly #events: SlotEvent[] = []
  readonly #sleeper = new LocalSleeper()
  readonly #slot: Slot
  readonly #loop: Promise<void>
  readonly #link: SlotLinkEvents
  #isClosed = false

  constructor(
    options: Omit<SlotOptions, 'send' | 'wake' | 'bells' | 'slotIndex' | 'slotCount'>,
    link: SlotLinkEvents,
    clock: Clock,
  ) {
    this.#link = link
    this.#slot = new Slot({
      ...options,
      slotIndex: 0,
      slotCount: 1,
      bells: undefined,
      send: (event) => {
        this.#events.push(event)
        this.#sleeper.wake()
      },
      wake: () => this.#sleeper.wake(),
    })
    this.#events.push({ kind: 'ready', fingerprint: fingerprintOf(options.plan.graph) })
    // not within the constructor: whoever makes the slot hears of it only when it has it
    this.#loop = Promise.resolve().then(() =>
      runSlotLoop({
        slot: this.#slot,
        clock,
        sleeper: this.#sleeper,
        takeCommands: () => this.#commands.splice(0),
        flushEvents: () => this.#flushEvents(),
        isClosed: () => this.#isClosed,
      }),
    )
    this.#loop.catch((error: unknown) => {
      this.#events.push({ kind: 'unusable', error: toErrorData(error) })
      this.#flushEvents()
    })
  }

  send(command: SlotCommand): void {
    if (this.#isClosed) return
    this.#commands.push(command)
    this.#sleeper.wake()
  }

  async close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true
      this.#sleeper.wake()
    }
    await this.#slot.close()
    this.#flushEvents()
  }

  #flushEvents(): void {
    for (const event of this.#events.splice(0)) this.#link.onEvent(event)
  }
}

/** Sleeps by timers of the host. A wake-up of which nobody was waiting is remembered by its count. */
class LocalSleeper implements Sleeper {
  #count = 0
  #wakeUp: (() => void) | undefined

  count(): number {
    return this.#count
  }

  wake(): void {
    this.#count += 1
    this.#wakeUp?.()
  }

  async sleep(seenCount: number, timeoutMs: number): Promise<void> {
    // the host has its turn in any case
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
    if (this.#count !== seenCount || timeoutMs <= 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs)
      this.#wakeUp = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wakeUp = undefined
  }
}
