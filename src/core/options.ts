/** Checks what TypeScript checks already, for options that come from JavaScript, a file or a command line. */
import { EngineError } from './errors.ts'

/**
 * Throws `OPTION_INVALID` where `options` has a name that is not in `known`: a misspelt option would silently do nothing. `whose` is
 * what the message calls them: `run()`, `checkpoints`.
 */
export function checkOptionNames(
  options: object,
  known: Readonly<Record<string, true>>,
  whose: string,
): void {
  const unknown = Object.keys(options).filter((name) => !Object.hasOwn(known, name))
  if (unknown.length === 0) return
  const names = unknown.map((name) => `'${name}'`).join(', ')
  throw new EngineError(
    'OPTION_INVALID',
    `${names} ${unknown.length === 1 ? 'is no option' : 'are no options'} of ${whose}; ` +
      `correct the spelling: there are ${Object.keys(known).toSorted().join(', ')}`,
  )
}

/** Throws `OPTION_INVALID` where `value` is none of `choices`. */
export function checkChoice<T extends string>(value: T, choices: readonly T[], name: string): void {
  if (choices.includes(value)) return
  throw new EngineError(
    'OPTION_INVALID',
    `${name} must be one of ${choices.join(', ')}, but is '${String(value)}'`,
  )
}
