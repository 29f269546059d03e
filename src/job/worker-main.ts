/**
 * The thread of a task slot. Builds the job from its module, tells its fingerprint, and drives the slot until it is closed.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { Doorbell } from '../channel/doorbell.ts'
import { assert, toErrorData } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import { fingerprintOf } from '../plan/fingerprint.ts'
import { planExecution } from '../plan/execution-plan.ts'
import { runSlotLoop } from '../runtime/slot-loop.ts'
import { Slot } from '../runtime/slot.ts'
import type { SlotCommand, SlotEvent } from '../runtime/slot-protocol.ts'
import { loadJobModule } from './job-module.ts'
import { slotParts } from './slot-setup.ts'
import { systemClock } from './system-clock.ts'
import { WorkerSleeper } from './worker-sleeper.ts'
import type { ToWorker, WorkerStart, FromWorker } from './worker-slot.ts'

const port = parentPort
assert(port !== null, 'A slot runs in a worker thread')
const start = workerData as WorkerStart
const commands: SlotCommand[] = []
const events: SlotEvent[] = []
let isClosed = false

const bells = start.bells.map((memory) => new Doorbell(memory))
const bell = bells[start.slotIndex]
assert(bell !== undefined, `Slot ${start.slotIndex} has a bell`)

const say = (message: FromWorker): void => port.postMessage(message)
const logger: Logger = {
  info: (text, fields) => say({ kind: 'log', level: 'info', text, fields }),
  warn: (text, fields) => say({ kind: 'log', level: 'warn', text, fields }),
  error: (text, fields) => say({ kind: 'log', level: 'error', text, fields }),
}

port.on('message', (message: ToWorker) => {
  if (message.kind === 'close') isClosed = true
  else commands.push(message.command)
  bell.ring()
})

try {
  await main()
} catch (error) {
  say({ kind: 'event', event: { kind: 'unusable', error: toErrorData(error) } })
}

async function main(): Promise<void> {
  const job = await loadJobModule(new URL(start.module))
  const graph = job.build(start.params)
  const plan = planExecution(graph, start.scale)
  const slot = new Slot({
    plan,
    slotIndex: start.slotIndex,
    slotCount: start.bells.length,
    ...(await slotParts(start.setup, start.slotIndex)),
    exactlyOnce: start.setup.exactlyOnce,
    isCheckpointed: start.setup.checkpoints !== undefined,
    bounds: start.setup.bounds,
    bells,
    clock: systemClock,
    logger,
    send: (event) => {
      events.push(event)
      bell?.ring()
    },
    wake: () => bell?.ring(),
  })
  const flushEvents = (): void => {
    for (const event of events.splice(0)) say({ kind: 'event', event })
  }
  events.push({ kind: 'ready', fingerprint: fingerprintOf(graph) })
  await runSlotLoop({
    slot,
    clock: systemClock,
    sleeper: new WorkerSleeper(bell as Doorbell),
    takeCommands: () => commands.splice(0),
    flushEvents,
    isClosed: () => isClosed,
  })
  await slot.close()
  flushEvents()
  port?.close()
}
