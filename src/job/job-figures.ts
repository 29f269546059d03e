/**
 * The figures of a job as its slots tell them, summed up.
 *
 * Invariants
 *  - What an attempt counted stays in the sums when the next one begins: they only grow.
 *  - Memory is bounded by the number of subtasks, however often the job restarts: of each, the attempts that are over are one sum,
 *    and only the last word of the present attempt and of the one before it are kept (that one may come late).
 */
import type { ExecutionPlan } from '../plan/execution-plan.ts'
import { taskName } from '../plan/execution-plan.ts'
import type { NamedFigures } from '../runtime/slot-protocol.ts'
import type { OperatorWatermarks } from '../runtime/subtask-metrics.ts'
import type { CompletedCheckpoint } from './checkpoint-coordinator.ts'

/** Totals since the job was started by this process. */
export interface FigureTotals {
  readonly recordsRead: number
  readonly recordsWritten: number
  readonly lateRecords: number
  readonly checkpoints: number
}

/** What is known of one task now. */
export interface TaskFigures {
  readonly taskId: number
  readonly name: string
  readonly parallelism: number
  readonly recordsIn: number
  readonly recordsOut: number
  /** The lowest of its subtasks. */
  readonly watermarkMs: number
  readonly stateCells: number
}

/** What is known of one subtask now. Counts are over all its attempts, the rest is of the last one. */
export interface SubtaskTotals {
  readonly taskId: number
  readonly subtaskIndex: number
  readonly recordsIn: number
  readonly recordsOut: number
  readonly watermarkMs: number
  readonly stateCells: number
  /** Of its operators that have a uid. */
  readonly watermarks: readonly OperatorWatermarks[]
  /** Counters of its operators: `<operator>.<name>`. */
  readonly counts: Readonly<Record<string, number>>
  /** Gauges of its operators, by the same names. */
  readonly gauges: Readonly<Record<string, number>>
}

interface Counts {
  recordsRead: number
  recordsIn: number
  recordsOut: number
  readonly values: Map<string, number>
}

/** The attempts of one subtask. */
interface Attempts {
  /** Of those before `former`. */
  readonly over: Counts
  former: NamedFigures | undefined
  last: NamedFigures
}

export class JobFigures {
  checkpoints = 0
  checkpointFailures = 0
  restarts = 0
  lastCheckpoint: CompletedCheckpoint | undefined
  lastSavepoint: CompletedCheckpoint | undefined
  /** What the last restart was for. */
  lastFailure: { readonly message: string; readonly atMs: number } | undefined
  readonly #plan: ExecutionPlan
  readonly #subtasks = new Map<string, Attempts>()

  constructor(plan: ExecutionPlan) {
    this.#plan = plan
  }

  onFigures(subtasks: readonly NamedFigures[]): void {
    for (const each of subtasks) {
      const key = `${each.taskId}/${each.subtaskIndex}`
      const known = this.#subtasks.get(key)
      if (known === undefined) {
        this.#subtasks.set(key, { over: noCounts(), former: undefined, last: each })
      } else if (known.last.attempt === each.attempt) {
        known.last = each
      } else if (known.former?.attempt === each.attempt) {
        known.former = each
      } else {
        add(known.over, known.former)
        known.former = known.last
        known.last = each
      }
    }
  }

  onCheckpoint(checkpoint: CompletedCheckpoint): void {
    if (checkpoint.kind === 'savepoint') {
      this.lastSavepoint = checkpoint
      return
    }
    this.checkpoints += 1
    this.lastCheckpoint = checkpoint
  }

  onCheckpointFailed(): void {
    this.checkpointFailures += 1
  }

  onRestart(failure: { readonly message: string; readonly atMs: number }): void {
    this.restarts += 1
    this.lastFailure = failure
  }

  totals(): FigureTotals {
    let recordsRead = 0
    let recordsWritten = 0
    let lateRecords = 0
    for (const attempts of this.#subtasks.values()) {
      const counts = countsOf(attempts)
      recordsRead += counts.recordsRead
      for (const [name, value] of counts.values) {
        if (name.endsWith('.recordsWritten')) recordsWritten += value
        if (name.endsWith('.lateRecords')) lateRecords += value
      }
    }
    return { recordsRead, recordsWritten, lateRecords, checkpoints: this.checkpoints }
  }

  /** The tasks, each over the subtasks of its last attempt. */
  tasks(): TaskFigures[] {
    return this.#plan.tasks.map((task) => {
      const all = [...this.#subtasks.values()]
        .filter(({ last }) => last.taskId === task.id)
        .map(({ last }) => last.figures)
      const sum = (pick: (figures: NamedFigures['figures']) => number): number =>
        all.reduce((total, figures) => total + pick(figures), 0)
      return {
        taskId: task.id,
        name: taskName(task),
        parallelism: task.parallelism,
        recordsIn: sum((figures) => figures.recordsIn + figures.recordsRead),
        recordsOut: sum((figures) => figures.recordsOut),
        watermarkMs: Math.min(...all.map((figures) => figures.watermarkMs), Infinity),
        stateCells: sum((figures) => figures.stateCells),
      }
    })
  }

  /** The subtasks, each over all its attempts. */
  subtasks(): SubtaskTotals[] {
    return [...this.#subtasks.values()].map((attempts) => {
      const { taskId, subtaskIndex, figures } = attempts.last
      const counts = countsOf(attempts)
      return {
        taskId,
        subtaskIndex,
        recordsIn: counts.recordsIn + counts.recordsRead,
        recordsOut: counts.recordsOut,
        watermarkMs: figures.watermarkMs,
        stateCells: figures.stateCells,
        watermarks: figures.watermarks,
        counts: Object.fromEntries(counts.values),
        gauges: figures.gauges,
      }
    })
  }
}

function noCounts(): Counts {
  return { recordsRead: 0, recordsIn: 0, recordsOut: 0, values: new Map() }
}

function countsOf({ over, former, last }: Attempts): Counts {
  const sum: Counts = { ...over, values: new Map(over.values) }
  add(sum, former)
  add(sum, last)
  return sum
}

function add(sum: Counts, named: NamedFigures | undefined): void {
  if (named === undefined) return
  const { recordsRead, recordsIn, recordsOut, values } = named.figures
  sum.recordsRead += recordsRead
  sum.recordsIn += recordsIn
  sum.recordsOut += recordsOut
  for (const [name, value] of Object.entries(values)) {
    sum.values.set(name, (sum.values.get(name) ?? 0) + value)
  }
}
