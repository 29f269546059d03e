/** A job as every room but the API knows it: a name, defaults, and a function that makes its graph. */
import type { LevelDbOptions } from '../contract/state-backend.ts'
import type { Duration } from '../core/duration.ts'
import type { JobGraph } from './job-graph.ts'

export interface JobDefinition {
  /** Marks the default export of a job's module. */
  readonly millrace: 'job'
  readonly name: string
  readonly defaults: JobDefaults
  /** Makes the graph for the given parameters. Called once in every thread. */
  build(params: unknown): JobGraph
}

/** What a job says of how it is run; whoever runs it may say otherwise. */
export interface JobDefaults {
  /** Subtasks of each operator. Default: the number of threads; 1 in the calling thread. */
  readonly parallelism?: number
  /** Key groups; fixed for the life of the state. Default 128. */
  readonly maxParallelism?: number
  /** Default `'memory'`. */
  readonly state?: 'memory' | 'leveldb'
  /** With `state: 'leveldb'`: how much memory it takes. */
  readonly leveldb?: LevelDbOptions
  /** Default: none; a job without a directory restarts empty. */
  readonly checkpoints?: CheckpointOptions
  /** Default: exponential from 1 s to 1 min with checkpoints, else none. */
  readonly restart?: RestartOptions
  /**
   * How long subtasks that are to be restarted may take to close. Then their worker thread is ended, since a user function may never
   * return. Default `'1min'`.
   */
  readonly closeTimeout?: Duration
  /**
   * Whether windows whose aggregate is exact gather per key before the exchange, where there is more than one subtask, and send
   * partial results instead of records. Results are the same. Default true.
   */
  readonly preAggregate?: boolean
  /** State in a savepoint that no operator claims is an error unless true. */
  readonly allowNonRestoredState?: boolean
}

/** The names of `JobDefaults`, to find misspelt ones. */
export const jobDefaultNames: Readonly<Record<keyof JobDefaults, true>> = {
  parallelism: true,
  maxParallelism: true,
  state: true,
  leveldb: true,
  checkpoints: true,
  restart: true,
  closeTimeout: true,
  preAggregate: true,
  allowNonRestoredState: true,
}

/** Where checkpoints go, how often, and what a failed one means. */
export interface CheckpointOptions {
  readonly directory: string
  /** From the beginning of one to the beginning of the next. Default `'10s'`. */
  readonly interval?: Duration
  /** From the end of one to the beginning of the next, at least. Default `'0s'`. */
  readonly minPause?: Duration
  /** Default `'10min'`. */
  readonly timeout?: Duration
  /** Failed checkpoints in a row before the job fails. Default 0. */
  readonly failuresMax?: number
  /** Default 1. */
  readonly retainCount?: number
  /** Every so many checkpoints one shares no file with those before; it is kept until the next such one. Default 10. */
  readonly selfContainedEvery?: number
  /** Default `'exactly-once'`. At least once lets records of the next checkpoint into this one instead of holding channels back. */
  readonly guarantee?: 'exactly-once' | 'at-least-once'
}

/** The names of `CheckpointOptions`. */
export const checkpointOptionNames: Readonly<Record<keyof CheckpointOptions, true>> = {
  directory: true,
  interval: true,
  minPause: true,
  timeout: true,
  failuresMax: true,
  retainCount: true,
  selfContainedEvery: true,
  guarantee: true,
}

/** What happens after a retryable failure. */
export type RestartOptions =
  | { readonly kind: 'none' }
  /** After `delay`, at most `attemptsMax` times in the life of the process. */
  | { readonly kind: 'fixed'; readonly delay: Duration; readonly attemptsMax: number }
  /** Delays double from `delay` to `delayMax`, and begin anew once the job has run for `resetAfter` (default: ten times `delayMax`). */
  | {
      readonly kind: 'exponential'
      readonly delay: Duration
      readonly delayMax: Duration
      readonly resetAfter?: Duration
    }
  /** After `delay`, unless there were more than `failuresMax` failures `within` the last time. */
  | {
      readonly kind: 'failure-rate'
      readonly failuresMax: number
      readonly within: Duration
      readonly delay: Duration
    }
