/** What the commands' exit codes mean. Documented in docs/commands.md and in the help. */
import type { ErrorCode } from '../core/error-codes.ts'
import type { EngineError } from '../core/errors.ts'

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  job: 3,
  control: 4,
  cancelled: 5,
  deadline: 6,
} as const

export const exitCodeHelp: readonly (readonly [string, string])[] = [
  [
    '0',
    'the job finished, or was stopped with a last checkpoint; the command did what it was asked',
  ],
  ['1', 'the job failed; starting it again goes on from its last checkpoint and may succeed'],
  [
    '2',
    'the command line, the config file, the environment or the parameters are wrong, or ask for what is not there',
  ],
  [
    '3',
    'the job itself, or the state it should begin with, is wrong: starting it again will not help',
  ],
  ['4', 'no running job could be reached, or it refused'],
  ['5', 'the job was cancelled'],
  [
    '6',
    'SIGTERM or SIGINT was not followed within --stop-deadline, so the job was ended without a last checkpoint',
  ],
  ['130, 143', 'ended at once by a second SIGINT or SIGTERM, without a last checkpoint'],
]

const usageCodes: readonly ErrorCode[] = [
  'CONFIG_INVALID',
  'PARAMS_INVALID',
  'CHECKPOINT_DIRECTORY_NOT_EMPTY',
  'CHECKPOINT_OF_OTHER_JOB',
  'SAVEPOINT_NOT_FOUND',
]
const controlCodes: readonly ErrorCode[] = ['CONTROL_UNREACHABLE', 'CONTROL_REFUSED']

export function exitCodeOf({ code, origin, retryable }: EngineError): number {
  if (usageCodes.includes(code)) return EXIT.usage
  if (controlCodes.includes(code)) return EXIT.control
  if (code === 'JOB_CANCELLED') return EXIT.cancelled
  return origin === 'job' && !retryable ? EXIT.job : EXIT.failed
}

/** After these a supervisor starts no job again: the next start would end the same, or there is nothing left to do. */
export const lastExitCodes: readonly number[] = [EXIT.ok, EXIT.usage, EXIT.job, EXIT.cancelled]

/** Of a process that a signal ends: as shells have it. */
export function exitCodeOfSignal(signal: 'SIGINT' | 'SIGTERM'): number {
  return signal === 'SIGINT' ? 130 : 143
}
