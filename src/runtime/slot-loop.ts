/**
 * Drives a slot on the thread it is called on, until it is closed: turns while there is work, sleep while there is none.
 *
 * Invariants
 *  - The host (event loop, so kafkajs, LevelDB and user promises) has its turn at least every `HOST_SLICE_MS`.
 *  - Commands are handled and events are sent between turns, never within one.
 *  - A wake-up between looking for work and falling asleep is not lost: the sleeper is given the count it saw before.
 */
import type { Clock } from '../core/time.ts'
import type { Slot } from './slot.ts'
import type { SlotCommand } from './slot-protocol.ts'

const HOST_SLICE_MS = 4
const FIGURES_EVERY_MS = 500
/** No sleep is longer, so that a clock that was set is noticed. */
const SLEEP_MS_MAX = 1000

/** How the thread sleeps. */
export interface Sleeper {
  /** Wake-ups so far. */
  count(): number
  /** Until the next wake-up after `seenCount`, or `timeoutMs`. */
  sleep(seenCount: number, timeoutMs: number): Promise<void>
}

export interface SlotLoopOptions {
  readonly slot: Slot
  readonly clock: Clock
  readonly sleeper: Sleeper
  /** Commands that came since it was asked last. */
  readonly takeCommands: () => readonly SlotCommand[]
  /** Sends what the slot has said since it was called last. */
  readonly flushEvents: () => void
  readonly isClosed: () => boolean
}

export async function runSlotLoop(options: SlotLoopOptions): Promise<void> {
  const { slot, clock, sleeper } = options
  let hostTurnMs = clock.elapsed()
  let figuresMs = hostTurnMs
  while (!options.isClosed()) {
    const seenCount = sleeper.count()
    for (const command of options.takeCommands()) slot.handle(command)
    const isBusy = slot.turn()
    options.flushEvents()
    const elapsedMs = clock.elapsed()
    if (elapsedMs - figuresMs >= FIGURES_EVERY_MS) {
      figuresMs = elapsedMs
      slot.sendFigures()
      options.flushEvents()
    }
    if (isBusy) {
      if (elapsedMs - hostTurnMs < HOST_SLICE_MS) continue
      await hostTurn()
    } else {
      const dueMs = slot.nextWakeMs() - clock.now()
      await sleeper.sleep(seenCount, Math.max(0, Math.min(dueMs, SLEEP_MS_MAX)))
    }
    hostTurnMs = clock.elapsed()
  }
  options.flushEvents()
}

/** Lets everything that waits in the event loop go first. */
function hostTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
