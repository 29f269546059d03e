/**
 * The canonical encoding of a value: MessagePack, with an extension for what MessagePack lacks. It keeps the value model
 * (value.ts) exactly, needs no shape or schema to be read, and is what state, snapshots and savepoints are written in.
 *
 * Invariants
 *  - decode(encode(v)) equals v in every way a program can see, but for shared references.
 *  - Bytes written by one version are read by all later ones: extension 0x4d holds [kind, data], kinds are only added.
 */
import { Packr, addExtension } from 'msgpackr'
import type { TypedArray } from './value.ts'
import {
  VALUE_DEPTH_MAX,
  objectKind,
  protoField,
  tooDeep,
  typedArrayOf,
  unsupported,
} from './value.ts'

/** What MessagePack cannot say by itself, on its way through the packer. */
class Escaped {
  readonly kind: string
  readonly data: unknown

  constructor(kind: string, data: unknown) {
    this.kind = kind
    this.data = data
  }
}

addExtension({
  Class: Escaped,
  type: 0x4d,
  write: (escaped: Escaped) => [escaped.kind, escaped.data],
  read: ([kind, data]: [string, unknown]) => restore(kind, data),
})

const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  variableMapSize: true,
  encodeUndefinedAsNil: false,
  int64AsType: 'bigint',
  copyBuffers: true,
  // a field of this name is a field like any other
  useToJSON: false,
})

const int64Min = -(2n ** 63n)
const uint64Max = 2n ** 64n - 1n
const byteOrderMark = 0xfeff

/** The canonical bytes of a value, as a buffer of its own. Throws `VALUE_UNSUPPORTED` for what is not in the model. */
export function encodeValue(value: unknown): Buffer {
  return packr.pack(escape(value, 0, ''))
}

/** The value that `bytes` were made from. Throws what msgpackr throws where they are no such bytes. */
export function decodeValue(bytes: Uint8Array): unknown {
  return packr.unpack(bytes)
}

/** The value itself where MessagePack says it exactly, else a copy in which the rest is escaped. */
function escape(value: unknown, depth: number, path: string): unknown {
  switch (typeof value) {
    case 'string':
      return isCarried(value) ? value : escapeString(value)
    case 'number':
      return value === 0 && 1 / value < 0 ? new Escaped('-0', null) : value
    case 'bigint':
      return value >= int64Min && value <= uint64Max ? value : new Escaped('n', value.toString(16))
    case 'object':
      return value === null ? null : escapeObject(value, depth, path)
    case 'function':
    case 'symbol':
      throw unsupported(value, path)
    default:
      return value
  }
}

/**
 * Whether MessagePack carries the text as it is. Lone surrogates have no UTF-8, and where msgpackr reads long strings without
 * its native part, it takes a byte order mark away.
 */
function isCarried(text: string): boolean {
  return text.charCodeAt(0) !== byteOrderMark && text.isWellFormed()
}

function escapeObject(value: object, depth: number, path: string): unknown {
  if (depth > VALUE_DEPTH_MAX) throw tooDeep(path)
  switch (objectKind(value)) {
    case 'object':
      return escapeFields(value as Record<string, unknown>, depth, path)
    case 'array':
      return escapeItems(value as readonly unknown[], depth, path)
    case 'date':
      return new Escaped('d', (value as Date).getTime())
    case 'map': {
      const flat: unknown[] = []
      for (const [key, item] of value as Map<unknown, unknown>) flat.push(key, item)
      return new Escaped('m', escapeItems(flat, depth, `${path}<entry>`))
    }
    case 'set':
      return new Escaped('s', escapeItems([...(value as Set<unknown>)], depth, `${path}<item>`))
    case 'typed-array': {
      const array = value as TypedArray
      const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
      return new Escaped(array.constructor.name, bytes)
    }
    default:
      throw unsupported(value, path)
  }
}

function escapeFields(value: Record<string, unknown>, depth: number, path: string): unknown {
  let copy: Record<string, unknown> | undefined
  for (const name in value) {
    if (name === '__proto__') throw protoField(path)
    if (!isCarried(name)) return escapeEntries(value, depth, path)
    const field = value[name]
    const escaped = escape(field, depth + 1, `${path}.${name}`)
    if (escaped !== field && !(typeof escaped === 'number' && Number.isNaN(escaped))) {
      copy ??= { ...value }
      copy[name] = escaped
    }
  }
  return copy ?? value
}

/** An object with a field whose name is not carried as it is, as a list of names and values. */
function escapeEntries(value: Record<string, unknown>, depth: number, path: string): Escaped {
  const flat: unknown[] = []
  for (const name in value) {
    if (name === '__proto__') throw protoField(path)
    flat.push(escape(name, depth, path), escape(value[name], depth + 1, `${path}.${name}`))
  }
  return new Escaped('o', flat)
}

function escapeItems(items: readonly unknown[], depth: number, path: string): unknown[] {
  return Array.from(items, (item, index) => escape(item, depth + 1, `${path}[${index}]`))
}

function escapeString(text: string): Escaped {
  return new Escaped('u', Buffer.from(text, 'utf16le'))
}

function restore(kind: string, data: unknown): unknown {
  switch (kind) {
    case '-0':
      return -0
    case 'n':
      return parseHex(data as string)
    case 'u':
      return Buffer.from(data as Uint8Array).toString('utf16le')
    case 'd':
      return new Date(data as number)
    case 'm': {
      const map = new Map<unknown, unknown>()
      const flat = data as readonly unknown[]
      for (let i = 0; i < flat.length; i += 2) map.set(flat[i], flat[i + 1])
      return map
    }
    case 's':
      return new Set(data as readonly unknown[])
    case 'o': {
      const object: Record<string, unknown> = {}
      const flat = data as readonly unknown[]
      for (let i = 0; i < flat.length; i += 2) {
        if (flat[i] === '__proto__') throw new TypeError('An object has a field named __proto__')
        object[flat[i] as string] = flat[i + 1]
      }
      return object
    }
    default: {
      const constructor = typedArrayOf(kind)
      if (constructor === undefined) throw new TypeError(`Unknown kind '${kind}' of value`)
      const bytes = data as Uint8Array
      return new constructor(Uint8Array.from(bytes).buffer)
    }
  }
}

function parseHex(hex: string): bigint {
  return hex.startsWith('-') ? -BigInt(`0x${hex.slice(1)}`) : BigInt(`0x${hex}`)
}
