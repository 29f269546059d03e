/** The faults of a simulated run, and what the job was doing when they struck. */
import type { Random } from './random.ts'

export const FAULTS = [
  'user error',
  'slot lost',
  'process crash',
  'power loss',
  'disk error',
  'frozen slot',
  'zombie',
  'savepoint',
  'savepoint restored',
  'commit error',
] as const

/** What befalls brokers and transactions, beside all else. */
const FAULTS_OF_KAFKA = ['broker lost', 'coordinators move', 'transactions time out'] as const

/** They need no occasion. */
const AT_ONCE: readonly Fault[] = [
  'process crash',
  'power loss',
  'zombie',
  'slot lost',
  'frozen slot',
]

export type Fault = (typeof FAULTS)[number] | (typeof FAULTS_OF_KAFKA)[number]

/** Those of a job that writes to Kafka. */
export const KAFKA_FAULTS: readonly Fault[] = [...FAULTS, ...FAULTS_OF_KAFKA]

/** What the job was doing when a fault hit it. */
export const PHASES = [
  'restoring',
  'running',
  'aligning',
  'snapshotting',
  'publishing',
  'committing',
  'ending',
] as const

export type Phase = (typeof PHASES)[number]

/** A fault that struck, and when. */
export type StruckFault = readonly [fault: Fault, phase: Phase]

interface PlannedFault {
  readonly fault: Fault
  readonly phase: Phase
  /** Not before so many steps after the former. */
  readonly waitSteps: number
}

export interface FaultPlanOptions {
  readonly faults: readonly Fault[]
  readonly countMax: number
  /** Between two faults. */
  readonly waitStepsMax: number
  /** Steps after which the next fault no longer waits for its phase. */
  readonly patienceSteps: number
}

const usualFaults: FaultPlanOptions = {
  faults: FAULTS,
  countMax: 4,
  waitStepsMax: 1500,
  patienceSteps: 2500,
}

/** More of them, closer together. */
export const kafkaFaults: FaultPlanOptions = {
  faults: KAFKA_FAULTS,
  countMax: 8,
  waitStepsMax: 500,
  patienceSteps: 1200,
}

/**
 * Which faults strike when. Drawn beforehand, so that the short phases get as many as the long ones; a phase that does not come
 * is not waited for without end.
 */
export class FaultPlan {
  readonly #random: Random
  readonly #faults: readonly Fault[]
  readonly #patienceSteps: number
  readonly #planned: PlannedFault[]
  #sinceSteps = 0

  constructor(
    random: Random,
    { faults, countMax, waitStepsMax, patienceSteps }: FaultPlanOptions = usualFaults,
  ) {
    this.#random = random
    this.#faults = faults
    this.#patienceSteps = patienceSteps
    let former: Fault | undefined
    this.#planned = Array.from({ length: random.between(1, countMax) }, (_, index) => {
      // the first start restores nothing; a later one is best hit while it does
      const hitsRestore = index > 0 && random.chance(0.35)
      const phase = hitsRestore ? 'restoring' : random.pick(PHASES.slice(1))
      const isBack = former === 'savepoint restored'
      const fault = random.pick(faults)
      former = fault
      if (faults === KAFKA_FAULTS && isBack && random.chance(0.6)) {
        // the first checkpoint of a new line, with the markers of the former still there
        former = random.pick(['process crash', 'power loss', 'zombie'] as const)
        return {
          fault: former,
          phase: random.pick(['publishing', 'committing'] as const),
          waitSteps: 0,
        }
      }
      if (fault === 'transactions time out') {
        // what is open then counts only between the barrier and its commit
        const when = random.pick(['publishing', 'committing', 'committing', phase] as const)
        return { fault, phase: when, waitSteps: random.below(waitStepsMax) }
      }
      return {
        fault,
        phase,
        waitSteps: phase === 'restoring' || phase === 'ending' ? 0 : random.below(waitStepsMax),
      }
    })
  }

  /** Whether none is left that strikes before the input has ended. */
  get waitsForEnd(): boolean {
    const [planned] = this.#planned
    return planned === undefined || planned.phase === 'ending'
  }

  /** The next fault. */
  get nextFault(): Fault | undefined {
    return this.#planned[0]?.fault
  }

  /** The fault to inflict now, if any. Asked once a step. */
  next(now: {
    readonly phase: Phase
    readonly isEnding: boolean
    readonly steps: number
    readonly checkpoints: number
    readonly struck: number
  }): Fault | undefined {
    const { phase, isEnding, steps, checkpoints, struck } = now
    const random = this.#random
    const [planned] = this.#planned
    // the last chance: only what strikes at once is sure to
    if (isEnding && struck === 0) {
      if (!random.chance(0.3)) return undefined
      return planned?.phase === 'ending' && random.chance(0.5)
        ? planned.fault
        : random.pick(AT_ONCE)
    }
    if (planned === undefined) return undefined
    // before the first checkpoint there is little to lose
    if (checkpoints === 0) return random.chance(0.0005) ? planned.fault : undefined
    const waited = steps - this.#sinceSteps
    if (waited < planned.waitSteps) return undefined
    if (phase !== planned.phase && waited < planned.waitSteps + this.#patienceSteps)
      return undefined
    const chance = phase === 'running' ? 0.01 : phase === 'ending' ? 0.2 : 0.05
    return random.chance(chance) ? planned.fault : undefined
  }

  /** The fault was inflicted. */
  done(steps: number): void {
    this.#planned.shift()
    this.#sinceSteps = steps
  }

  /** The fault can't be inflicted here: some other takes its place. */
  replace(): void {
    const [planned] = this.#planned
    if (planned !== undefined) {
      this.#planned[0] = { ...planned, fault: this.#random.pick(this.#faults) }
    }
  }
}

/** How often each fault struck in each phase. */
export class FaultTable {
  readonly #counts = new Map<string, number>()

  add(faults: readonly StruckFault[]): void {
    for (const [fault, phase] of faults) {
      const cell = `${fault}/${phase}`
      this.#counts.set(cell, (this.#counts.get(cell) ?? 0) + 1)
    }
  }

  count(fault: Fault, phase: Phase): number {
    return this.#counts.get(`${fault}/${phase}`) ?? 0
  }

  total(fault: Fault): number {
    return PHASES.reduce((sum, phase) => sum + this.count(fault, phase), 0)
  }

  toString(faults: readonly Fault[] = FAULTS): string {
    const row = (cells: readonly string[]): string =>
      cells.map((cell, index) => (index === 0 ? cell.padEnd(20) : cell.padStart(14))).join('')
    return [
      row(['fault', ...PHASES]),
      ...faults.map((fault) =>
        row([fault, ...PHASES.map((phase) => String(this.count(fault, phase)))]),
      ),
    ].join('\n')
  }
}
