/**
 * Every setting of a run, once: its key in a config file, its option on the command line, its environment variable, what it may
 * be and what it is by default. The command line, the reader of config files, the reader of the environment and the test of
 * docs/commands.md all go by this table.
 *
 * The environment variable is the option's name: `--checkpoint-interval` is `MILLRACE_CHECKPOINT_INTERVAL`. No name ends in _PORT
 * or holds _SERVICE_: those are what Kubernetes sets by itself for a service that is called millrace.
 */
import { z } from 'zod'
import type { Duration } from '../core/duration.ts'
import { ms } from '../core/duration.ts'
import type { LevelDbOptions } from '../contract/state-backend.ts'

/** Everything that can be set, as a config file has it. */
export interface Configuration {
  readonly parallelism?: number
  readonly maxParallelism?: number
  readonly threads?: number
  readonly state?: 'memory' | 'leveldb'
  readonly leveldb?: LevelDbOptions
  readonly checkpoints?: {
    readonly directory?: string
    readonly interval?: Duration
    readonly minPause?: Duration
    readonly timeout?: Duration
    readonly failuresMax?: number
    readonly retainCount?: number
    readonly selfContainedEvery?: number
    readonly guarantee?: 'exactly-once' | 'at-least-once'
  }
  readonly savepoints?: string
  readonly restart?: {
    readonly kind?: RestartKind
    readonly delay?: Duration
    readonly delayMax?: Duration
    readonly resetAfter?: Duration
    readonly attemptsMax?: number
    readonly failuresMax?: number
    readonly within?: Duration
  }
  readonly closeTimeout?: Duration
  readonly from?: string
  readonly force?: boolean
  readonly allowNonRestoredState?: boolean
  readonly onPartialCommit?: 'fail' | 'accept-loss' | 'accept-duplicates'
  readonly claim?: boolean
  readonly preAggregate?: boolean
  readonly control?: number | 'off'
  readonly supervise?: boolean
  readonly supervisor?: {
    readonly restartsMax?: number
    readonly within?: Duration
    readonly delay?: Duration
    readonly delayMax?: Duration
    readonly maxOldSpaceMiB?: number
  }
  readonly stopDeadline?: Duration
  readonly http?: { readonly listen?: number | string; readonly token?: string }
  readonly logs?: { readonly format?: LogFormat; readonly level?: LogLevel }
  readonly params?: Readonly<Record<string, unknown>>
}

export type LogFormat = 'text' | 'json'
export type LogLevel = 'info' | 'warn' | 'error'
export type RestartKind = 'none' | 'fixed' | 'exponential' | 'failure-rate'

/** One setting. */
export interface Setting {
  /** In a config file: `checkpoints.interval`. */
  readonly key: string
  /** On the command line: `--checkpoint-interval`. */
  readonly flag: string
  /** Stands for the value in help; none: the option is a switch. */
  readonly placeholder: string | undefined
  readonly schema: z.ZodType
  /** What the schema wants, to stand after "is not". */
  readonly expected: string
  /** Of a file's name: in a config file it is relative to that file. */
  readonly isPath: boolean
  /** Its value is never shown. */
  readonly isSecret: boolean
  readonly group: SettingGroup
  readonly help: string
}

export type SettingGroup =
  'Where it runs' | 'State' | 'Beginning' | 'Checkpoints' | 'Failures' | 'As a service'

interface Value {
  readonly placeholder: string | undefined
  readonly schema: z.ZodType
  readonly expected: string
  readonly isPath?: boolean
  readonly isSecret?: boolean
}

const wholeNumber = (least: number): Value => ({
  placeholder: 'n',
  schema: z.int().min(least),
  expected: `a whole number from ${least}`,
})
const bytes: Value = {
  placeholder: 'bytes',
  schema: z.int().min(1),
  expected: 'a whole number of bytes',
}
const choice = (...words: readonly [string, ...string[]]): Value => ({
  placeholder: words.join('|'),
  schema: z.enum(words),
  expected: `one of ${words.join(', ')}`,
})
const duration = (isZeroAllowed = false): Value => ({
  placeholder: 'duration',
  schema: z.string().refine((text) => {
    const value = durationMs(text)
    return value !== undefined && (isZeroAllowed ? value >= 0 : value > 0)
  }),
  expected: `a duration${isZeroAllowed ? '' : ' above 0'} with its unit, like '250ms', '10s', '5min', '1h' or '7d'`,
})
const path = (placeholder: string, expected: string): Value => ({
  placeholder,
  schema: z.string().min(1),
  expected,
  isPath: true,
})
const flag: Value = { placeholder: undefined, schema: z.boolean(), expected: 'true or false' }

const inGroup =
  (group: SettingGroup) =>
  (key: string, flagName: string, value: Value, help: string): Setting => ({
    key,
    flag: flagName,
    isPath: false,
    isSecret: false,
    ...value,
    group,
    help,
  })
const where = inGroup('Where it runs')
const state = inGroup('State')
const beginning = inGroup('Beginning')
const checkpoints = inGroup('Checkpoints')
const failures = inGroup('Failures')
const service = inGroup('As a service')

export const HTTP_TOKEN_FLAG = '--http-token'

/** In the order of the help. */
export const settings: readonly Setting[] = [
  where(
    'parallelism',
    '--parallelism',
    wholeNumber(1),
    'subtasks of each operator (default: the number of threads)',
  ),
  where(
    'maxParallelism',
    '--max-parallelism',
    wholeNumber(1),
    'key groups; fixed for the life of the state (default: 128)',
  ),
  where(
    'threads',
    '--threads',
    wholeNumber(0),
    'worker threads; 0: everything in the calling thread (default: one per core, but not more than subtasks of an operator)',
  ),
  where(
    'preAggregate',
    '--pre-aggregate',
    flag,
    'send partial results of windows over an exchange instead of records, where that gives exactly the same (default: yes)',
  ),
  where(
    'control',
    '--control',
    {
      placeholder: 'port|off',
      schema: z.union([z.literal('off'), z.int().min(0).max(65_535)]),
      expected: "a port from 0 (any) to 65535, or 'off'",
    },
    'the port on 127.0.0.1 by which list, savepoint, stop … find the job (default: 0, any)',
  ),
  state('state', '--state', choice('memory', 'leveldb'), 'where state is kept (default: memory)'),
  state(
    'leveldb.cacheBytesMax',
    '--leveldb-cache',
    bytes,
    'cells kept in memory (default: 64 MiB)',
  ),
  state(
    'leveldb.dirtyBytesMax',
    '--leveldb-dirty',
    bytes,
    'changes not written yet (default: 3/4 of the cache)',
  ),
  state(
    'leveldb.blockCacheBytes',
    '--leveldb-block-cache',
    bytes,
    'blocks of the database kept uncompressed (default: 8 MiB)',
  ),
  state(
    'leveldb.writeBufferBytes',
    '--leveldb-write-buffer',
    bytes,
    "the database's own buffer for writes (default: 4 MiB)",
  ),
  state(
    'leveldb.tablesOpenMax',
    '--leveldb-tables',
    wholeNumber(1),
    'table files that the database keeps open (default: 1500, on Windows 256)',
  ),
  beginning(
    'from',
    '--from',
    path('latest|none|path', "'latest', 'none' or the path of a savepoint or checkpoint"),
    'latest: the newest checkpoint of the directory, if there is one; none: nothing, which refuses a directory that has checkpoints; ' +
      'else the path of a savepoint or of a checkpoint (default: latest)',
  ),
  beginning('force', '--force', flag, 'with --from none: forget the checkpoints that are there'),
  beginning(
    'allowNonRestoredState',
    '--allow-non-restored-state',
    flag,
    'drop state that no operator of the job claims, instead of refusing to start',
  ),
  beginning(
    'onPartialCommit',
    '--on-partial-commit',
    choice('fail', 'accept-loss', 'accept-duplicates'),
    'where output of the checkpoint was lost in part: stop with a report; go on without the lost part; or go back and write all of ' +
      'it again (default: fail)',
  ),
  beginning(
    'claim',
    '--claim',
    flag,
    'the job that the checkpoint directory or savepoint was copied from is over for good: its unfinished output is ended here',
  ),
  checkpoints(
    'checkpoints.directory',
    '--checkpoint-dir',
    path('dir|none', "a directory, or 'none'"),
    'where checkpoints go; none: take none (default: .millrace/checkpoints/JOB if the job is unbounded or anything else ' +
      'is said of checkpoints; else none)',
  ),
  checkpoints(
    'checkpoints.interval',
    '--checkpoint-interval',
    duration(),
    'from the beginning of one to the beginning of the next (default: 10s)',
  ),
  checkpoints(
    'checkpoints.minPause',
    '--checkpoint-min-pause',
    duration(true),
    'from the end of one to the beginning of the next, at least (default: 0s)',
  ),
  checkpoints(
    'checkpoints.timeout',
    '--checkpoint-timeout',
    duration(),
    'when a checkpoint is given up (default: 10min)',
  ),
  checkpoints(
    'checkpoints.failuresMax',
    '--checkpoint-failures',
    wholeNumber(0),
    'failed checkpoints in a row that the job survives (default: 0)',
  ),
  checkpoints(
    'checkpoints.retainCount',
    '--checkpoint-retain',
    wholeNumber(1),
    'checkpoints that are kept (default: 1)',
  ),
  checkpoints(
    'checkpoints.selfContainedEvery',
    '--checkpoint-self-contained-every',
    wholeNumber(1),
    'every so many checkpoints one shares no file with those before (default: 10)',
  ),
  checkpoints(
    'checkpoints.guarantee',
    '--guarantee',
    choice('exactly-once', 'at-least-once'),
    'what a checkpoint promises (default: exactly-once)',
  ),
  checkpoints(
    'savepoints',
    '--savepoint-dir',
    path('dir', 'a directory'),
    "where 'millrace savepoint' puts savepoints if it is not told (default: .millrace/savepoints/JOB)",
  ),
  failures(
    'restart.kind',
    '--restart',
    choice('none', 'fixed', 'exponential', 'failure-rate'),
    'what happens after a failure that a restart can help (default: exponential with checkpoints, else none)',
  ),
  failures(
    'restart.delay',
    '--restart-delay',
    duration(),
    'fixed, failure-rate: before each restart; exponential: before the first (default: 1s)',
  ),
  failures(
    'restart.delayMax',
    '--restart-delay-max',
    duration(),
    'exponential: the longest delay (default: 1min)',
  ),
  failures(
    'restart.resetAfter',
    '--restart-reset-after',
    duration(),
    'exponential: delays begin anew when the job has run so long (default: ten times the longest delay)',
  ),
  failures(
    'restart.attemptsMax',
    '--restart-attempts',
    wholeNumber(0),
    'fixed: restarts in the life of the process (default: 10)',
  ),
  failures(
    'restart.failuresMax',
    '--restart-failures',
    wholeNumber(0),
    'failure-rate: failures that are survived within the time given (default: 10)',
  ),
  failures(
    'restart.within',
    '--restart-within',
    duration(),
    'failure-rate: the time in which failures are counted (default: 10min)',
  ),
  failures(
    'closeTimeout',
    '--close-timeout',
    duration(),
    'how long subtasks that are restarted may take to close before their worker thread is ended (default: 1min)',
  ),
  service(
    'supervise',
    '--supervise',
    flag,
    'run the job in a process of its own, and start that again after a crash (default: with --http yes, else no)',
  ),
  service(
    'supervisor.restartsMax',
    '--supervisor-restarts',
    wholeNumber(0),
    'restarts of the process within the time given, before the supervisor gives up (default: 10)',
  ),
  service(
    'supervisor.within',
    '--supervisor-within',
    duration(),
    'the time in which restarts of the process are counted (default: 10min)',
  ),
  service(
    'supervisor.delay',
    '--supervisor-delay',
    duration(),
    'before the first restart of the process; twice as long before each further one (default: 1s)',
  ),
  service(
    'supervisor.delayMax',
    '--supervisor-delay-max',
    duration(),
    'the longest delay before a restart of the process (default: 1min)',
  ),
  service(
    'supervisor.maxOldSpaceMiB',
    '--max-old-space',
    { placeholder: 'MiB', schema: z.int().min(16), expected: 'a whole number of MiB from 16' },
    'memory limit of each thread of the job: what Node calls max-old-space-size (default: that of Node)',
  ),
  service(
    'stopDeadline',
    '--stop-deadline',
    duration(),
    'how long a job may take to stop after SIGTERM or SIGINT, before it is ended without a last checkpoint (default: 30s)',
  ),
  service(
    'http.listen',
    '--http',
    {
      placeholder: 'host:port|off',
      schema: z.union([
        z.int().min(0).max(65_535),
        z.string().refine((text) => {
          const [, port] = /^(?:(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+):)?(\d{1,5})$/.exec(text) ?? []
          return text === 'off' || (port !== undefined && Number(port) <= 65_535)
        }),
      ]),
      expected: "an address like 127.0.0.1:8080, a port of this machine, or 'off'",
    },
    'where /health, /ready, /metrics and the control routes are answered (default: off)',
  ),
  service(
    'http.token',
    HTTP_TOKEN_FLAG,
    { placeholder: 'token', schema: z.string().min(1), expected: 'a text', isSecret: true },
    'whoever has it may save and stop the job over HTTP; better given by its variable (default: one is made, and kept in a file)',
  ),
  service(
    'logs.format',
    '--log-format',
    choice('text', 'json'),
    'how log lines are written to standard error (default: text)',
  ),
  service(
    'logs.level',
    '--log-level',
    choice('info', 'warn', 'error'),
    'the least that is logged (default: info)',
  ),
]

/** The parameters of the job: a setting of its own kind, since each source adds to them. */
export const PARAMS_KEY = 'params'
export const PARAMS_FLAG = '--params'
/** Names the config file; so it stands in none. */
export const CONFIG_FLAG = '--config'

/** The environment variable of an option. */
export function variableOf(flagName: string): string {
  return `MILLRACE_${flagName.slice(2).replaceAll('-', '_').toUpperCase()}`
}

/** The fields of `restart` that a strategy has, beside `kind`, with what they are by default. */
export const restartFields: Readonly<
  Record<RestartKind, Readonly<Record<string, number | Duration | undefined>>>
> = {
  none: {},
  fixed: { delay: '1s', attemptsMax: 10 },
  exponential: { delay: '1s', delayMax: '1min', resetAfter: undefined },
  'failure-rate': { delay: '1s', failuresMax: 10, within: '10min' },
}

function durationMs(text: string): number | undefined {
  try {
    return ms(text as Duration)
  } catch {
    // the caller says what it should have been
    return undefined
  }
}
