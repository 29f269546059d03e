/**
 * What records of an edge look like: the names of their fields in order, and of each field the narrowest kind that holds all
 * values seen. Learned from the records themselves; pure.
 *
 * Kinds: `int` 32-bit integers but -0; `double` any number; `string`, `boolean`; an object with a shape of its own; `any`,
 * everything else, each value in the canonical encoding.
 */
import { objectKind } from '../core/value.ts'

export type FieldKind = 'int' | 'double' | 'string' | 'boolean' | 'any' | RecordShape

/** The fields of a plain object, in their order. */
export interface RecordShape {
  readonly names: readonly string[]
  readonly kinds: readonly FieldKind[]
}

/** More fields than this, nested ones included, are not worth a codec of their own. */
const FIELDS_MAX = 64
const DEPTH_MAX = 4

/** The shape of a value, or undefined if it is no plain object or too large for one. */
export function shapeOf(value: unknown): RecordShape | undefined {
  const kind = kindOf(value, 0)
  return typeof kind === 'object' && fieldCount(kind) <= FIELDS_MAX ? kind : undefined
}

/** Whether two shapes have the same fields on top, so that one can be widened to hold both. */
export function sameNames(a: RecordShape, b: RecordShape): boolean {
  return (
    a.names.length === b.names.length && a.names.every((name, index) => name === b.names[index])
  )
}

/** Whether two shapes have the same fields all the way down: widening makes no object of one an `any`. */
export function sameStructure(a: RecordShape, b: RecordShape): boolean {
  if (!sameNames(a, b)) return false
  return a.kinds.every((kind, index) => {
    const other = b.kinds[index] as FieldKind
    if (typeof kind !== 'object' || typeof other !== 'object') return typeof kind === typeof other
    return sameStructure(kind, other)
  })
}

/** The narrowest shape that holds what either holds; both have the same names. */
export function widen(a: RecordShape, b: RecordShape): RecordShape {
  return {
    names: a.names,
    kinds: a.kinds.map((kind, index) => widenKind(kind, b.kinds[index] ?? 'any')),
  }
}

/** Whether a value is a 32-bit integer that is not -0. */
export function isInt(value: number): boolean {
  return (value | 0) === value && (value !== 0 || 1 / value > 0)
}

function widenKind(a: FieldKind, b: FieldKind): FieldKind {
  if (a === b) return a
  if (isNumeric(a) && isNumeric(b)) return 'double'
  if (typeof a === 'object' && typeof b === 'object' && sameNames(a, b)) return widen(a, b)
  return 'any'
}

function isNumeric(kind: FieldKind): boolean {
  return kind === 'int' || kind === 'double'
}

function kindOf(value: unknown, depth: number): FieldKind {
  switch (typeof value) {
    case 'number':
      return isInt(value) ? 'int' : 'double'
    case 'string':
      return 'string'
    case 'boolean':
      return 'boolean'
    case 'object':
      return value === null || depth > DEPTH_MAX || objectKind(value) !== 'object'
        ? 'any'
        : shapeOfFields(value as Record<string, unknown>, depth)
    default:
      return 'any'
  }
}

function shapeOfFields(value: Record<string, unknown>, depth: number): FieldKind {
  const names: string[] = []
  const kinds: FieldKind[] = []
  for (const name in value) {
    if (name === '__proto__' || names.length === FIELDS_MAX) return 'any'
    names.push(name)
    kinds.push(kindOf(value[name], depth + 1))
  }
  return { names, kinds }
}

function fieldCount(shape: RecordShape): number {
  return shape.kinds.reduce(
    (count, kind) => count + (typeof kind === 'object' ? fieldCount(kind) : 1),
    0,
  )
}
