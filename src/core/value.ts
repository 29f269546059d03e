/**
 * The one closed model of what a value can be: null, undefined, boolean, number (with -0 and NaN), bigint of any size, string
 * by UTF-16 code units, Date, Uint8Array and the other typed arrays, Map, Set, array, plain object.
 *
 * Invariants
 *  - What a value is does not depend on parallelism, state backend, or whether it crossed a thread or a restart. So
 *    whatever cannot be carried exactly is refused where it is first seen, with its path and the remedy.
 *  - `copyValue` shares nothing that can change with its argument, and keeps the order of properties and entries.
 *  - Holes of arrays become `undefined`. A value that is referred to twice becomes two values; one that contains itself is refused.
 */
import { EngineError } from './errors.ts'

/** How deep values may be nested. */
export const VALUE_DEPTH_MAX = 100

/** V8 copies substrings shorter than this, and makes views of longer ones. */
const SLICED_LENGTH_MIN = 13

/** A typed array of the value model. */
export type TypedArray =
  | Uint8Array
  | Uint8ClampedArray
  | Uint16Array
  | Uint32Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array

type TypedArrayConstructor = { new (array: ArrayBuffer): TypedArray } & { readonly name: string }

const typedArrays: readonly TypedArrayConstructor[] = [
  Uint8Array,
  Uint8ClampedArray,
  Uint16Array,
  Uint32Array,
  Int8Array,
  Int16Array,
  Int32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
]
const typedArrayByPrototype = new Map<unknown, TypedArrayConstructor>(
  typedArrays.map((constructor) => [
    (constructor as unknown as { readonly prototype: unknown }).prototype,
    constructor,
  ]),
)
const typedArrayByName = new Map(typedArrays.map((constructor) => [constructor.name, constructor]))

/** The constructor of a typed array of the model, by its name. */
export function typedArrayOf(name: string): TypedArrayConstructor | undefined {
  return typedArrayByName.get(name)
}

/** What kind of object of the model this is; undefined where it is none. */
export type ObjectKind = 'object' | 'array' | 'date' | 'map' | 'set' | 'typed-array'

/** The kind of an object, by its prototype alone: neither subclasses nor objects of other realms pass. */
export function objectKind(value: object): ObjectKind | undefined {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return 'object'
  if (prototype === Array.prototype) return 'array'
  if (prototype === Date.prototype) return 'date'
  if (prototype === Map.prototype) return 'map'
  if (prototype === Set.prototype) return 'set'
  return typedArrayByPrototype.has(prototype) ? 'typed-array' : undefined
}

/** A copy that shares nothing mutable with `value`. Throws `VALUE_UNSUPPORTED` for what is not in the model. */
export function copyValue<T>(value: T): T {
  return (isPrimitive(value) ? value : copyAt(value as object, 0, '')) as T
}

/** A copy to be kept for long: like `copyValue`, and its strings are parts of no larger ones. */
export function keepValue<T>(value: T): T {
  if (typeof value === 'string') return keepString(value) as T
  return (isPrimitive(value) ? value : keepAt(copyAt(value as object, 0, '') as object)) as T
}

/**
 * The same text in memory of its own. V8 makes a long substring a view that keeps the whole text it was cut from: a name kept in
 * state would pin the frame it came in.
 */
export function keepString(text: string): string {
  return text.length < SLICED_LENGTH_MIN ? text : ` ${text}`.slice(1)
}

/** Throws `VALUE_UNSUPPORTED` for what is not in the model, naming the path to it. */
export function checkValue(value: unknown): void {
  if (!isPrimitive(value)) checkAt(value as object, 0, '')
}

/** Whether a value is one that cannot change; throws for functions and symbols. */
export function isPrimitive(value: unknown): boolean {
  switch (typeof value) {
    case 'number':
    case 'string':
    case 'boolean':
    case 'undefined':
    case 'bigint':
      return true
    case 'object':
      return value === null
    default:
      throw unsupported(value, '')
  }
}

/** The error for a value outside of the model; `path` is where in the record it stands. */
export function unsupported(value: unknown, path: string): EngineError {
  const where = path === '' ? 'The value' : `The field ${path.replace(/^\./, '')}`
  return new EngineError(
    'VALUE_UNSUPPORTED',
    `${where} is ${describe(value)}, which cannot be carried between threads or kept in state; ${remedy(value)}`,
  )
}

/** The error for a value that is nested too deep, most likely because it contains itself. */
export function tooDeep(path: string): EngineError {
  return new EngineError(
    'VALUE_UNSUPPORTED',
    `The value is nested deeper than ${VALUE_DEPTH_MAX} at ${path.slice(1, 60)}…; a value must not contain itself`,
  )
}

function copyAt(value: object, depth: number, path: string): unknown {
  if (depth > VALUE_DEPTH_MAX) throw tooDeep(path)
  switch (objectKind(value)) {
    case 'object': {
      const from = value as Record<string, unknown>
      const copy: Record<string, unknown> = {}
      for (const name in from) {
        const field = from[name]
        if (name === '__proto__') throw protoField(path)
        copy[name] = isLeaf(field, path, name)
          ? field
          : copyAt(field as object, depth + 1, `${path}.${name}`)
      }
      return copy
    }
    case 'array': {
      const from = value as readonly unknown[]
      const copy: unknown[] = []
      for (let i = 0; i < from.length; i++) {
        const item = from[i]
        copy.push(isLeaf(item, path, i) ? item : copyAt(item as object, depth + 1, `${path}[${i}]`))
      }
      return copy
    }
    case 'date':
      return new Date(value as Date)
    case 'map': {
      const copy = new Map<unknown, unknown>()
      for (const [key, item] of value as Map<unknown, unknown>) {
        copy.set(
          isLeaf(key, path, '<key>') ? key : copyAt(key as object, depth + 1, `${path}<key>`),
          isLeaf(item, path, '<value>')
            ? item
            : copyAt(item as object, depth + 1, `${path}<value>`),
        )
      }
      return copy
    }
    case 'set': {
      const copy = new Set<unknown>()
      for (const item of value as Set<unknown>) {
        copy.add(
          isLeaf(item, path, '<item>') ? item : copyAt(item as object, depth + 1, `${path}<item>`),
        )
      }
      return copy
    }
    case 'typed-array':
      return (value as TypedArray).slice()
    default:
      throw unsupported(value, path)
  }
}

/** Replaces the strings of a fresh copy by ones of their own. */
function keepAt(copy: object): object {
  if (Array.isArray(copy)) {
    const items = copy as unknown[]
    for (let i = 0; i < items.length; i++) items[i] = kept(items[i])
  } else if (copy instanceof Map) {
    const entries = [...(copy as Map<unknown, unknown>)]
    copy.clear()
    for (const [key, item] of entries) copy.set(kept(key), kept(item))
  } else if (copy instanceof Set) {
    const items = [...(copy as Set<unknown>)]
    copy.clear()
    for (const item of items) copy.add(kept(item))
  } else if (!ArrayBuffer.isView(copy) && !(copy instanceof Date)) {
    const fields = copy as Record<string, unknown>
    for (const name in fields) {
      const field = fields[name]
      if (typeof field === 'string') fields[name] = keepString(field)
      else if (typeof field === 'object' && field !== null) keepAt(field)
    }
  }
  return copy
}

function kept(value: unknown): unknown {
  if (typeof value === 'string') return keepString(value)
  return typeof value === 'object' && value !== null ? keepAt(value) : value
}

function checkAt(value: object, depth: number, path: string): void {
  if (depth > VALUE_DEPTH_MAX) throw tooDeep(path)
  switch (objectKind(value)) {
    case 'object': {
      const from = value as Record<string, unknown>
      for (const name in from) {
        const field = from[name]
        if (name === '__proto__') throw protoField(path)
        if (!isLeaf(field, path, name)) checkAt(field as object, depth + 1, `${path}.${name}`)
      }
      return
    }
    case 'array': {
      const from = value as readonly unknown[]
      for (let i = 0; i < from.length; i++) {
        const item = from[i]
        if (!isLeaf(item, path, i)) checkAt(item as object, depth + 1, `${path}[${i}]`)
      }
      return
    }
    case 'map':
      for (const [key, item] of value as Map<unknown, unknown>) {
        if (!isLeaf(key, path, '<key>')) checkAt(key as object, depth + 1, `${path}<key>`)
        if (!isLeaf(item, path, '<value>')) checkAt(item as object, depth + 1, `${path}<value>`)
      }
      return
    case 'set':
      for (const item of value as Set<unknown>) {
        if (!isLeaf(item, path, '<item>')) checkAt(item as object, depth + 1, `${path}<item>`)
      }
      return
    case 'date':
    case 'typed-array':
      return
    default:
      throw unsupported(value, path)
  }
}

function isLeaf(value: unknown, path: string, name: string | number): boolean {
  switch (typeof value) {
    case 'object':
      return value === null
    case 'function':
    case 'symbol':
      throw unsupported(value, leafPath(path, name))
    default:
      return true
  }
}

function leafPath(path: string, name: string | number): string {
  if (typeof name === 'number') return `${path}[${name}]`
  return name.startsWith('<') ? path + name : `${path}.${name}`
}

/** The error for a field that would change what an object inherits from. */
export function protoField(path: string): EngineError {
  return new EngineError(
    'VALUE_UNSUPPORTED',
    `The object${path === '' ? '' : ` ${path.slice(1)}`} has a field named __proto__; rename it before it enters the stream`,
  )
}

function describe(value: unknown): string {
  if (typeof value === 'function') return `a function${value.name === '' ? '' : ` (${value.name})`}`
  if (typeof value === 'symbol') return 'a symbol'
  if (value instanceof Promise) return 'a promise'
  const name = (value as { readonly constructor?: { readonly name?: string } }).constructor?.name
  return name === undefined || name === '' ? 'an object with a prototype of its own' : `a ${name}`
}

function remedy(value: unknown): string {
  if (typeof value === 'function' || typeof value === 'symbol') return 'leave it out of the record'
  if (value instanceof Promise) return 'user functions are synchronous: await it before the stream'
  if (Buffer.isBuffer(value)) return 'make it a Uint8Array: new Uint8Array(buffer)'
  if (value instanceof Error) return 'keep its message or stack as text'
  if (value instanceof RegExp) return 'keep its source as text'
  if (value instanceof ArrayBuffer) return 'wrap it: new Uint8Array(buffer)'
  return 'make it a plain object, for instance { ...value }'
}
