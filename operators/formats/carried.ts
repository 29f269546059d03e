/**
 * Whether a format of the outside can say a value. Formats know less than the value model: what JSON has no word for, it would
 * silently change (a Map becomes `{}`, NaN becomes null). So a value is looked through before it is written, and refused with the
 * path and the remedy, like everything else that would not arrive as it is.
 *
 * Costs one walk over the value; nothing is allocated unless something is refused.
 */
import { EngineError } from '../../src/core/errors.ts'
import { VALUE_DEPTH_MAX, objectKind } from '../../src/core/value.ts'

/**
 * What a format says of everything but null, plain objects and arrays: undefined where it carries it, else what it is and
 * what to do instead, as the end of a sentence. `undefined` as a field is left out and not asked about.
 */
export type Complaint = (leaf: unknown) => string | undefined

/** What is wrong, and the way to it from the inside out. */
interface Misfit {
  readonly complaint: string
  readonly steps: string[]
}

/** Throws `VALUE_UNSUPPORTED` for a value that has something in it that `format` does not carry. */
export function checkCarried(value: unknown, format: string, complaint: Complaint): void {
  const misfit = misfitIn(value, complaint, 0)
  if (misfit === undefined) return
  const path = misfit.steps.reverse().join('').replace(/^\./, '')
  throw new EngineError(
    'VALUE_UNSUPPORTED',
    `${path === '' ? 'The value' : `The field ${path}`} cannot be written as ${format}: it is ${misfit.complaint}`,
  )
}

function misfitIn(value: unknown, complaint: Complaint, depth: number): Misfit | undefined {
  const kind = typeof value === 'object' && value !== null ? objectKind(value) : undefined
  if (kind === 'object') return misfitInFields(value as object, complaint, depth)
  if (kind === 'array') return misfitInItems(value as readonly unknown[], complaint, depth)
  if (value === null) return undefined
  const text = complaint(value)
  return text === undefined ? undefined : { complaint: text, steps: [] }
}

function misfitInFields(object: object, complaint: Complaint, depth: number): Misfit | undefined {
  if (depth > VALUE_DEPTH_MAX) return tooDeep
  const fields = object as Readonly<Record<string, unknown>>
  for (const name in fields) {
    const field = fields[name]
    if (field === undefined || typeof field === 'boolean') continue
    const misfit = misfitIn(field, complaint, depth + 1)
    if (misfit !== undefined) return within(misfit, `.${name}`)
  }
  return undefined
}

function misfitInItems(
  items: readonly unknown[],
  complaint: Complaint,
  depth: number,
): Misfit | undefined {
  if (depth > VALUE_DEPTH_MAX) return tooDeep
  for (let i = 0; i < items.length; i++) {
    const misfit = misfitIn(items[i], complaint, depth + 1)
    if (misfit !== undefined) return within(misfit, `[${i}]`)
  }
  return undefined
}

/** The way into a value that contains itself has no end: it is left out. */
function within(misfit: Misfit, step: string): Misfit {
  if (misfit !== tooDeep) misfit.steps.push(step)
  return misfit
}

const tooDeep: Misfit = {
  complaint: `nested deeper than ${VALUE_DEPTH_MAX}; a value must not contain itself`,
  steps: [],
}
