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
