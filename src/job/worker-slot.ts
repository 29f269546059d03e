/**
 * A slot in a worker thread, seen from the coordinator. Workers come from `worker-threads-pool`, whose rule is a slot's: a place is
 * taken until its worker has exited, so a lost worker is replaced only when it is gone.
 */
import { extname } from 'node:path'
import type { Worker } from 'node:worker_threads'
import Pool from 'worker-threads-pool'
import { Doorbell } from '../channel/doorbell.ts'
import { Deferred } from '../core/deferred.ts'
import { EngineError } from '../core/errors.ts'
import type { LogFields, Logger } from '../core/log.ts'
import type { GraphScale } from '../plan/validate.ts'
import type { SlotCommand, SlotEvent } from '../runtime/slot-protocol.ts'
import type { SlotLink, SlotLinkEvents } from './slot-link.ts'
import type { SlotSetup } from './slot-setup.ts'

/** What a worker begins with. Plain data. */
export interface WorkerStart {
  readonly module: string
  readonly params: unknown
  readonly scale: GraphScale
  readonly slotIndex: number
  /** Of each slot. */
  readonly bells: readonly SharedArrayBuffer[]
  readonly setup: SlotSetup
}

/** From the coordinator's thread to a worker. */
export type ToWorker =
  { readonly kind: 'command'; readonly command: SlotCommand } | { readonly kind: 'close' }

/** From a worker to the coordinator's thread. */
export type FromWorker =
  | { readonly kind: 'event'; readonly event: SlotEvent }
  | {
      readonly kind: 'log'
      readonly level: keyof Logger
      readonly text: string
      readonly fields: LogFields | undefined
    }

/** How long a worker that was asked to close may take before it is ended. */
const CLOSE_MS_MAX = 10_000

/** Makes the workers of one job. */
export class WorkerSlots {
  readonly #pool: Pool
  readonly #bells: readonly SharedArrayBuffer[]
  readonly #start: Omit<WorkerStart, 'slotIndex' | 'bells'>
  readonly #logger: Logger

  constructor(count: number, start: Omit<WorkerStart, 'slotIndex' | 'bells'>, logger: Logger) {
    this.#pool = new Pool({ max: count })
    this.#bells = Array.from({ length: count }, () => Doorbell.allocate())
    this.#start = start
    this.#logger = logger
  }

  open(slotIndex: number, events: SlotLinkEvents): SlotLink {
    const bell = this.#bells[slotIndex] as SharedArrayBuffer
    return new WorkerSlot(
      this.#pool,
      { ...this.#start, slotIndex, bells: this.#bells },
      new Doorbell(bell),
      events,
      this.#logger,
    )
  }
}

class WorkerSlot implements SlotLink {
  readonly #bell: Doorbell
  readonly #waiting: ToWorker[] = []
  readonly #exited = new Deferred<void>()
  #worker: Worker | undefined
  #isClosing = false
  #error: Error | undefined

  constructor(
    pool: Pool,
    start: WorkerStart,
    bell: Doorbell,
    events: SlotLinkEvents,
    logger: Logger,
  ) {
    this.#bell = bell
    const entry = new URL(`./worker-main${extname(import.meta.url)}`, import.meta.url)
    pool.acquire(entry as unknown as string, { workerData: start }, (error, worker) => {
      if (error !== null) {
        this.#exited.resolve()
        events.onLost(lost(start.slotIndex, error.message))
        return
      }
      this.#worker = worker
      worker.on('message', (message: FromWorker) => {
        if (message.kind === 'event') events.onEvent(message.event)
        else if (message.kind === 'log') logger[message.level](message.text, message.fields)
      })
      worker.on('error', (cause) => {
        this.#error = cause
      })
      worker.on('exit', (code) => {
        this.#worker = undefined
        this.#exited.resolve()
        if (this.#isClosing) return
        events.onLost(lost(start.slotIndex, this.#error?.message ?? `it exited with code ${code}`))
      })
      for (const message of this.#waiting.splice(0)) this.#post(message)
    })
  }

  send(command: SlotCommand): void {
    this.#post({ kind: 'command', command })
  }

  async close(): Promise<void> {
    if (!this.#isClosing) {
      this.#isClosing = true
      this.#post({ kind: 'close' })
    }
    const timer = setTimeout(() => void this.#worker?.terminate(), CLOSE_MS_MAX)
    await this.#exited.promise
    clearTimeout(timer)
  }

  #post(message: ToWorker): void {
    if (this.#worker === undefined) {
      this.#waiting.push(message)
      return
    }
    this.#worker.postMessage(message)
    this.#bell.ring()
  }
}

function lost(slotIndex: number, why: string): EngineError {
  return new EngineError('WORKER_LOST', `The worker thread of slot ${slotIndex} ended: ${why}`)
}
