/** The figures of a job as its slots tell them, summed up. */
import type { ExecutionPlan } from '../plan/execution-plan.ts'
import { taskName } from '../plan/execution-plan.ts'
import type { NamedFigures } from '../runtime/slot-protocol.ts'
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

export class JobFigures {
  checkpoints = 0
  restarts = 0
  lastCheckpoint: CompletedCheckpoint | undefined
  lastSavepoint: CompletedCheckpoint | undefined
  /** What the last restart was for. */
  lastFailure: { readonly message: string; readonly atMs: number } | undefined
  readonly #plan: ExecutionPlan
  /** The last word of each subtask of each attempt: attempts that are over keep counting. */
  readonly #last = new Map<string, NamedFigures>()

  constructor(plan: ExecutionPlan) {
    this.#plan = plan
  }

  onFigures(subtasks: readonly NamedFigures[]): void {
    for (const each of subtasks) {
      this.#last.set(`${each.attempt}/${each.taskId}/${each.subtaskIndex}`, each)
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

  onRestart(failure: { readonly message: string; readonly atMs: number }): void {
    this.restarts += 1
    this.lastFailure = failure
  }

  totals(): FigureTotals {
    let recordsRead = 0
    let recordsWritten = 0
    let lateRecords = 0
    for (const { figures } of this.#last.values()) {
      recordsRead += figures.recordsRead
      for (const [name, value] of Object.entries(figures.values)) {
        if (name.endsWith('.recordsWritten')) recordsWritten += value
        if (name.endsWith('.lateRecords')) lateRecords += value
      }
    }
    return { recordsRead, recordsWritten, lateRecords, checkpoints: this.checkpoints }
  }

  /** The tasks, each over the subtasks of its last attempt. */
  tasks(): TaskFigures[] {
    return this.#plan.tasks.map((task) => {
      const newest = new Map<number, NamedFigures>()
      for (const each of this.#last.values()) {
        if (each.taskId === task.id) newest.set(each.subtaskIndex, each)
      }
      const all = [...newest.values()].map(({ figures }) => figures)
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
}
