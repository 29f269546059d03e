/** Lengths of time as text with a unit, the same in code, config files and on the command line. */
import { EngineError } from './errors.ts'

/**
 * A length of time with its unit: `'250ms'`, `'10s'`, `'5min'`, `'1h'`, `'7d'` (a day is 24 hours).
 * Anything that is not a finite number before the unit fails the build with `DURATION_INVALID`.
 */
export type Duration = `${number}${'ms' | 's' | 'min' | 'h' | 'd'}`

const unitMs = { ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 } as const
const pattern = /^(-?\d+(?:\.\d+)?)(ms|s|min|h|d)$/

/**
 * A duration in milliseconds, for arithmetic on timestamps inside user functions.
 *
 * @example
 * ms('1.5s') // 1500
 */
export function ms(duration: Duration): number {
  const match = pattern.exec(duration)
  const value = Number(match?.[1])
  const unit = match?.[2]
  if (!Number.isFinite(value) || unit === undefined || !(unit in unitMs)) {
    throw new EngineError(
      'DURATION_INVALID',
      `'${String(duration)}' is no duration; write a number and a unit, like '250ms', '10s', '5min', '1h' or '7d'`,
    )
  }
  return Math.round(value * unitMs[unit as keyof typeof unitMs])
}

/** A duration that must be above zero; `option` names it in the error. */
export function positiveMs(duration: Duration, option: string): number {
  const value = ms(duration)
  if (value <= 0) {
    throw new EngineError('OPTION_INVALID', `${option} must be longer than 0, but is '${duration}'`)
  }
  return value
}

/** The text of a number of milliseconds in its largest whole unit. */
export function formatMs(value: number): string {
  if (value !== 0) {
    if (value % unitMs.d === 0) return `${value / unitMs.d}d`
    if (value % unitMs.h === 0) return `${value / unitMs.h}h`
    if (value % unitMs.min === 0) return `${value / unitMs.min}min`
    if (value % unitMs.s === 0) return `${value / unitMs.s}s`
  }
  return `${value}ms`
}
