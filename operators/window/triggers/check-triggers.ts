/** What composite triggers are made of. */
import type { Trigger } from '../../../src/contract/trigger.ts'
import { EngineError } from '../../../src/core/errors.ts'

/** The triggers that a composite was given; there must be some. */
export function checkTriggers<T>(
  name: string,
  triggers: readonly Trigger<T>[],
): readonly Trigger<T>[] {
  if (triggers.length > 0) return triggers
  throw new EngineError('OPTION_INVALID', `${name} needs at least one trigger`)
}

/** The one percentile of the parts of a composite; undefined where none has one. */
export function samePercentile(
  name: string,
  percentiles: readonly (number | undefined)[],
): number | undefined {
  const [first, ...others] = new Set(percentiles.filter((each) => each !== undefined))
  if (others.length === 0) return first
  throw new EngineError(
    'OPTION_INVALID',
    `${name} was given triggers with the percentiles ${[first, ...others].join(' and ')}; a window follows one of them only`,
  )
}
