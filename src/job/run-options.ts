/** How a job is run, from what the job says and what its runner says. Pure but for the defaults of the machine. */
import type { ChannelBounds } from '../channel/channel.ts'
import { CHANNEL_BOUNDS_DEFAULT } from '../channel/channel.ts'
import type { LevelDbOptions } from '../contract/state-backend.ts'
import type { OnPartialCommit } from '../checkpoint/lost-output.ts'
import { ms, positiveMs } from '../core/duration.ts'
import type { Duration } from '../core/duration.ts'
import { EngineError } from '../core/errors.ts'
import { MAX_PARALLELISM_DEFAULT } from '../core/key-group.ts'
import type { Logger } from '../core/log.ts'
import { checkChoice, checkOptionNames } from '../core/options.ts'
import type {
  CheckpointOptions,
  JobDefaults,
  JobDefinition,
  RestartOptions,
} from '../plan/job-definition.ts'
import { checkpointOptionNames, jobDefaultNames } from '../plan/job-definition.ts'
import type { CheckpointSettings } from './checkpoint-coordinator.ts'

/** How a job is run. Every option has the same name on the command line (`--max-parallelism`). */
export interface RunOptions extends JobDefaults {
  /**
   * A savepoint or checkpoint to begin with: its path; `'latest'` (the default): the newest of the checkpoint directory, if
   * there is one; `'none'`: nothing, which refuses a directory that has checkpoints.
   */
  readonly from?: 'latest' | 'none' | (string & {})
  /** With `from: 'none'`: forget the checkpoints that are there. */
  readonly force?: boolean
  /**
   * Where output of the newest checkpoint was lost in part (a transaction timed out while the job was down): go on without it, or
   * go back and write all of it again. Default `'fail'`: stop with a report of topics and offsets.
   */
  readonly onPartialCommit?: OnPartialCommit
  /**
   * The job whose checkpoint directory was copied, or whose savepoint is restored, is over for good: its unfinished output is this
   * job's to end. Default false: what another job has begun is left alone.
   */
  readonly claim?: boolean
  /** Cancels the job. */
  readonly signal?: AbortSignal
  /** Where the engine says what it does. Default: nowhere. */
  readonly logger?: Logger
  /** How much a channel between two subtasks may hold. For tests and tuning. */
  readonly channels?: Partial<ChannelBounds>
}

/**
 * Where the subtasks run. Worker threads load the job again from its `module` (its default export), since functions
 * cannot be sent to a thread. On the command line the module is known and `--threads` is the machine's cores.
 */
export type Placement =
  | { readonly threads?: 0; readonly module?: undefined }
  | { readonly threads: number; readonly module: URL }

const runOptionNames: Readonly<Record<keyof RunOptions | keyof Placement | 'params', true>> = {
  ...jobDefaultNames,
  threads: true,
  module: true,
  params: true,
  from: true,
  force: true,
  onPartialCommit: true,
  claim: true,
  signal: true,
  logger: true,
  channels: true,
}

/** Everything decided. */
export interface ResolvedOptions {
  readonly parallelism: number
  readonly maxParallelism: number
  readonly threads: number
  readonly preAggregate: boolean
  readonly module: URL | undefined
  readonly state: 'memory' | 'leveldb'
  readonly leveldb: LevelDbOptions
  readonly directory: string | undefined
  readonly settings: CheckpointSettings | undefined
  readonly exactlyOnce: boolean
  readonly restart: RestartOptions
  readonly closeTimeoutMs: number
  readonly from: string
  readonly force: boolean
  readonly allowNonRestoredState: boolean
  readonly onPartialCommit: OnPartialCommit
  readonly claim: boolean
  readonly bounds: ChannelBounds
}

const RESTART_WITH_CHECKPOINTS: RestartOptions = {
  kind: 'exponential',
  delay: '1s',
  delayMax: '1min',
}

export function resolveOptions(
  job: JobDefinition,
  options: RunOptions & { readonly threads?: number; readonly module?: URL | undefined },
): ResolvedOptions {
  checkOptionNames(options, runOptionNames, 'run and start')
  const merged = { ...job.defaults, ...withoutUndefined(options) }
  const threads = wholeNumber('threads', options.threads ?? 0, 0)
  const { checkpoints } = merged
  checkChoice(merged.state ?? 'memory', ['memory', 'leveldb'], 'state')
  checkChoice(
    merged.onPartialCommit ?? 'fail',
    ['fail', 'accept-loss', 'accept-duplicates'],
    'onPartialCommit',
  )
  if (threads > 0 && options.module === undefined) {
    throw new EngineError(
      'THREADS_NEED_MODULE',
      `Job '${job.name}': worker threads load the job from its module; give module: new URL(...), or run it in the calling thread`,
      { job: job.name },
    )
  }
  return {
    parallelism: wholeNumber('parallelism', merged.parallelism ?? Math.max(1, threads), 1),
    maxParallelism: merged.maxParallelism ?? MAX_PARALLELISM_DEFAULT,
    threads,
    preAggregate: merged.preAggregate ?? true,
    module: options.module,
    state: merged.state ?? 'memory',
    leveldb: merged.leveldb ?? {},
    directory: checkpoints?.directory,
    settings: checkpoints === undefined ? undefined : resolveCheckpoints(checkpoints),
    exactlyOnce: (checkpoints?.guarantee ?? 'exactly-once') === 'exactly-once',
    restart: checkRestart(
      merged.restart ?? (checkpoints === undefined ? { kind: 'none' } : RESTART_WITH_CHECKPOINTS),
    ),
    closeTimeoutMs: positiveMs(merged.closeTimeout ?? '1min', 'closeTimeout'),
    from: merged.from ?? 'latest',
    force: merged.force ?? false,
    allowNonRestoredState: merged.allowNonRestoredState ?? false,
    onPartialCommit: merged.onPartialCommit ?? 'fail',
    claim: merged.claim ?? false,
    bounds: { ...CHANNEL_BOUNDS_DEFAULT, ...options.channels },
  }
}

function resolveCheckpoints(options: CheckpointOptions): CheckpointSettings {
  const duration = (value: Duration | undefined, fallback: Duration, name: string): number =>
    positiveMs(value ?? fallback, `checkpoints.${name}`)
  checkOptionNames(options, checkpointOptionNames, 'checkpoints')
  checkChoice(
    options.guarantee ?? 'exactly-once',
    ['exactly-once', 'at-least-once'],
    'checkpoints.guarantee',
  )
  if (typeof options.directory !== 'string' || options.directory === '') {
    throw new EngineError('OPTION_INVALID', 'checkpoints.directory must be the path of a directory')
  }
  const minPauseMs = ms(options.minPause ?? '0s')
  if (minPauseMs < 0) {
    throw new EngineError('OPTION_INVALID', 'checkpoints.minPause must not be negative')
  }
  return {
    intervalMs: duration(options.interval, '10s', 'interval'),
    minPauseMs,
    timeoutMs: duration(options.timeout, '10min', 'timeout'),
    failuresMax: wholeNumber('checkpoints.failuresMax', options.failuresMax ?? 0, 0),
    retainCount: wholeNumber('checkpoints.retainCount', options.retainCount ?? 1, 1),
    selfContainedEvery: wholeNumber(
      'checkpoints.selfContainedEvery',
      options.selfContainedEvery ?? 10,
      1,
    ),
  }
}

function checkRestart(restart: RestartOptions): RestartOptions {
  switch (restart.kind) {
    case 'fixed':
      wholeNumber('restart.attemptsMax', restart.attemptsMax, 0)
      positiveMs(restart.delay, 'restart.delay')
      break
    case 'exponential':
      positiveMs(restart.delay, 'restart.delay')
      positiveMs(restart.delayMax, 'restart.delayMax')
      break
    case 'failure-rate':
      wholeNumber('restart.failuresMax', restart.failuresMax, 0)
      positiveMs(restart.within, 'restart.within')
      positiveMs(restart.delay, 'restart.delay')
      break
    case 'none':
      break
    default:
      throw new EngineError(
        'OPTION_INVALID',
        `'${String((restart as { kind: unknown }).kind)}' is no restart strategy; use none, fixed, exponential or failure-rate`,
      )
  }
  return restart
}

function wholeNumber(name: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new EngineError(
    'OPTION_INVALID',
    `${name} must be a whole number from ${least}, but is ${value}`,
  )
}

function withoutUndefined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T
}
