/**
 * The world of a simulated run: one thread, a virtual clock, and a seeded scheduler that decides what happens next: which
 * subtask takes a step, which message arrives, which disk operation ends, when time passes.
 *
 * Invariants
 *  - Everything that happens is an action in this schedule, so a seed gives the same run again.
 *  - Messages between the coordinator and one slot keep their order; nothing else does.
 *  - What belongs to a process that has crashed never happens: its operations never end, its messages never arrive.
 */
import { Deferred } from '../../src/core/deferred.ts'
import type { Clock, Scheduler } from '../../src/core/time.ts'
import { Random } from './random.ts'
import { SimulatedDisk, systemError } from './simulated-disk.ts'

/** Something that can happen now. */
interface Action {
  readonly owner: Owner
  readonly what: string
  readonly run: () => void
}

interface Timer {
  readonly owner: Owner
  readonly atMs: number
  readonly run: () => void
}

/** A process, or something outside of all. Nothing of an owner that is gone happens any more. */
export interface Owner {
  readonly isGone: boolean
  /** Its timers are nothing that anybody waits for. */
  readonly isBackground?: boolean
  /** Frozen: nothing of it happens for now. */
  readonly isFrozen: boolean
}

const START_MS = 1_700_000_000_000

export class World {
  readonly seed: number
  readonly random: Random
  readonly disk: SimulatedDisk
  nowMs = 0
  steps = 0
  /** Disk operations left that fail, with the system's code. */
  failingOperations = 0
  failureCode = 'EIO'
  /** Told of each operation that failed so. */
  onFailedOperation: () => void = () => {}
  readonly trace: string[] = []
  /** Of everything that happened, in order: two runs of a seed have the same. */
  traceHash = 0
  readonly #actions: Action[] = []
  #timers: Timer[] = []
  readonly #isTraced: boolean

  constructor(seed: number, options: { readonly isTraced?: boolean } = {}) {
    this.seed = seed
    this.random = new Random(seed)
    this.disk = new SimulatedDisk(this.random)
    this.#isTraced = options.isTraced ?? false
  }

  get clock(): Clock {
    return { now: () => START_MS + this.nowMs, elapsed: () => this.nowMs }
  }

  scheduler(owner: Owner): Scheduler {
    return {
      after: (delayMs, run) => {
        const timer = { owner, atMs: this.nowMs + Math.max(0, delayMs), run }
        this.#timers.push(timer)
        return () => {
          this.#timers = this.#timers.filter((other) => other !== timer)
        }
      },
    }
  }

  /** Makes something happen later, at a time of the scheduler's choice. */
  later(owner: Owner, what: string, run: () => void): void {
    this.#actions.push({ owner, what, run })
  }

  /** A disk operation of `owner`: it is carried out when its turn comes, and then it may fail. */
  operation<T>(owner: Owner, what: string, run: () => T): Promise<T> {
    const result = new Deferred<T>()
    this.later(owner, what, () => {
      if (this.failingOperations > 0 && !what.startsWith('size') && !what.startsWith('list')) {
        this.failingOperations -= 1
        this.onFailedOperation()
        result.reject(systemError(this.failureCode, what))
        return
      }
      try {
        result.resolve(run())
      } catch (error) {
        result.reject(error)
      }
    })
    return result.promise
  }

  /** What could happen now, but for steps of subtasks. */
  get pendingCount(): number {
    this.#forgetGone()
    return this.#actions.filter(({ owner }) => !owner.isFrozen).length
  }

  /** Lets one pending action happen. */
  async happen(): Promise<void> {
    this.#forgetGone()
    const able = this.#actions.filter(({ owner }) => !owner.isFrozen)
    if (able.length === 0) return
    const action = this.random.pick(able)
    this.#actions.splice(this.#actions.indexOf(action), 1)
    this.note(action.what)
    action.run()
    await this.settle()
  }

  /** When the next timer is due that somebody waits for; Infinity if there is none. */
  nextTimerMs(): number {
    return this.#nextMs(({ isBackground = false }) => !isBackground)
  }

  #nextMs(counts: (owner: Owner) => boolean): number {
    this.#forgetGone()
    let next = Infinity
    for (const { atMs, owner } of this.#timers) {
      if (!owner.isFrozen && atMs < next && counts(owner)) next = atMs
    }
    return next
  }

  /** Moves the clock, and runs the timers that come due, in order. */
  async passTime(toMs: number): Promise<void> {
    for (;;) {
      const dueMs = this.#nextMs(() => true)
      if (dueMs > toMs) break
      const timer = this.#timers.find(({ atMs, owner }) => atMs === dueMs && !owner.isFrozen)
      if (timer === undefined) break
      this.#timers = this.#timers.filter((other) => other !== timer)
      this.nowMs = Math.max(this.nowMs, dueMs)
      this.note('timer')
      timer.run()
      await this.settle()
    }
    this.nowMs = Math.max(this.nowMs, toMs)
  }

  /** Lets promises that can go on do so. */
  settle(): Promise<void> {
    return new Promise((resolve) => {
      setImmediate(resolve)
    })
  }

  note(what: string): void {
    let hash = Math.imul(this.traceHash ^ this.steps ^ this.nowMs, 0x01000193)
    for (let i = 0; i < what.length; i++) hash = Math.imul(hash ^ what.charCodeAt(i), 0x01000193)
    this.traceHash = hash >>> 0
    if (this.#isTraced) this.trace.push(`${this.steps} ${this.nowMs}ms ${what}`)
  }

  #forgetGone(): void {
    for (let i = this.#actions.length - 1; i >= 0; i--) {
      if (this.#actions[i]?.owner.isGone === true) this.#actions.splice(i, 1)
    }
    if (this.#timers.some(({ owner }) => owner.isGone)) {
      this.#timers = this.#timers.filter(({ owner }) => !owner.isGone)
    }
  }
}
