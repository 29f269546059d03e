/**
 * Writer and reader of the rows of one record shape, as generated code.
 *
 * A row is a whole number of 8-byte words, in a frame of `Int32Array` and `Float64Array` views over the same memory:
 *   i32[0]     id of the shape
 *   i32[1...]  ints, booleans (0 or 1), lengths of strings in code units, lengths of `any` values in bytes; fields in order
 *   f64        doubles, after padding to 8 bytes
 * Strings stand one after the other in the frame's heap, `any` values in its side bytes.
 *
 * Invariants
 *  - A writer answers false and has appended nothing where the value is not exactly of the shape: another prototype,
 *    another field, another order, a value outside of its kind.
 *  - A reader makes the very object that was written, with the fields in the same order.
 */
import { generate } from '../core/generated-code.ts'
import { decodeValue, encodeValue } from '../core/value-codec.ts'
import { keepString } from '../core/value.ts'
import type { FieldKind, RecordShape } from './record-shape.ts'

/** What writers append to. Offsets count 4-byte words. */
export interface RowSink {
  offset: number
  heap: string
  int32: Int32Array
  float64: Float64Array
  side(bytes: Uint8Array): void
}

/** What readers take from. */
export interface RowSource {
  offset: number
  int32: Int32Array
  float64: Float64Array
  /** All strings of the frame in one. */
  heap: string
  heapOffset: number
  side(bytes: number): Uint8Array
}

export type RowWriter = (sink: RowSink, value: unknown) => boolean
export type RowReader = (source: RowSource) => unknown

interface Leaf {
  readonly kind: Exclude<FieldKind, RecordShape>
  /** Index among the 4-byte or among the 8-byte fields. */
  readonly slot: number
  readonly variable: string
}

/** How the leaves of a shape lie in a row. */
interface RowLayout {
  readonly root: readonly (Leaf | readonly unknown[])[]
  readonly leaves: readonly Leaf[]
  /** 4-byte words of a row, a multiple of 2. */
  readonly words: number
  readonly doublesAt: number
}

/** 4-byte words that a row of the shape takes. */
export function rowWords(shape: RecordShape): number {
  return layoutOf(shape).words
}

/** Makes the writer of a shape. */
export function rowWriter(shape: RecordShape, id: number): RowWriter {
  const layout = layoutOf(shape)
  const lines: string[] = []
  const names: string[][] = []
  let leafIndex = 0

  const readFields = (of: RecordShape, object: string): void => {
    const list = names.length
    names.push([...of.names])
    lines.push(
      `if (typeof ${object} !== 'object' || ${object} === null) return false`,
      `const p${list} = protoOf(${object})`,
      `if (p${list} !== plain && p${list} !== null) return false`,
      `let c${list} = 0`,
      `for (const k in ${object}) { if (k !== names${list}[c${list}]) return false; c${list}++ }`,
      `if (c${list} !== ${of.names.length}) return false`,
    )
    of.names.forEach((name, index) => {
      const kind = of.kinds[index] as FieldKind
      const field = `${object}[${JSON.stringify(name)}]`
      if (typeof kind === 'object') {
        const variable = `o${names.length}`
        lines.push(`const ${variable} = ${field}`)
        readFields(kind, variable)
      } else {
        const leaf = layout.leaves[leafIndex++] as Leaf
        lines.push(`const ${leaf.variable} = ${field}`, ...checkLeaf(leaf))
      }
    })
  }
  readFields(shape, 'value')

  lines.push('const i32 = sink.int32, q = sink.offset', `i32[q] = ${id}`)
  const strings = layout.leaves.filter((leaf) => leaf.kind === 'string')
  for (const leaf of layout.leaves) lines.push(writeLeaf(leaf, layout))
  if (strings.length > 0) {
    lines.push(`sink.heap += ${strings.map((leaf) => leaf.variable).join(' + ')}`)
  }
  lines.push(`sink.offset = q + ${layout.words}`, 'return true')

  const bindings: Record<string, unknown> = {
    protoOf: Object.getPrototypeOf,
    plain: Object.prototype,
    encode: encodeValue,
  }
  names.forEach((list, index) => (bindings[`names${index}`] = list))
  return generate<RowWriter>(
    `write ${shape.names.join(' ')}`,
    bindings,
    `return function (sink, value) {\n${lines.join('\n')}\n}`,
  )
}

/** Makes the reader of a shape. `keepsStrings`: strings get memory of their own, so that none pins its frame. */
export function rowReader(shape: RecordShape, keepsStrings: boolean): RowReader {
  const layout = layoutOf(shape)
  const lines = ['const i32 = source.int32, q = source.offset']
  const strings = layout.leaves.filter((leaf) => leaf.kind === 'string')
  if (strings.length > 0) {
    lines.push('const heap = source.heap', 'let h = source.heapOffset')
  }
  for (const leaf of layout.leaves) lines.push(readLeaf(leaf, layout, keepsStrings))
  if (strings.length > 0) lines.push('source.heapOffset = h')
  lines.push(`source.offset = q + ${layout.words}`)

  let leafIndex = 0
  const literal = (of: RecordShape): string => {
    const fields = of.names.map((name, index) => {
      const kind = of.kinds[index] as FieldKind
      const text =
        typeof kind === 'object' ? literal(kind) : (layout.leaves[leafIndex++] as Leaf).variable
      return `${JSON.stringify(name)}: ${text}`
    })
    return `{ ${fields.join(', ')} }`
  }
  lines.push(`return ${literal(shape)}`)
  return generate<RowReader>(
    `read ${shape.names.join(' ')}`,
    { decode: decodeValue, keep: keepString },
    `return function (source) {\n${lines.join('\n')}\n}`,
  )
}

function checkLeaf(leaf: Leaf): string[] {
  const v = leaf.variable
  switch (leaf.kind) {
    case 'int':
      return [
        `if (typeof ${v} !== 'number' || (${v} | 0) !== ${v} || (${v} === 0 && 1 / ${v} < 0)) return false`,
      ]
    case 'double':
      return [`if (typeof ${v} !== 'number') return false`]
    case 'string':
      return [`if (typeof ${v} !== 'string') return false`]
    case 'boolean':
      return [`if (typeof ${v} !== 'boolean') return false`]
    case 'any':
      return [`const b${v} = encode(${v})`]
  }
}

function writeLeaf(leaf: Leaf, layout: RowLayout): string {
  const at = `i32[q + ${1 + leaf.slot}]`
  switch (leaf.kind) {
    case 'int':
      return `${at} = ${leaf.variable}`
    case 'double':
      return `sink.float64[(q + ${layout.doublesAt} >> 1) + ${leaf.slot}] = ${leaf.variable}`
    case 'string':
      return `${at} = ${leaf.variable}.length`
    case 'boolean':
      return `${at} = ${leaf.variable} ? 1 : 0`
    case 'any':
      return `${at} = b${leaf.variable}.length; sink.side(b${leaf.variable})`
  }
}

function readLeaf(leaf: Leaf, layout: RowLayout, keepsStrings: boolean): string {
  const at = `i32[q + ${1 + leaf.slot}]`
  const v = leaf.variable
  switch (leaf.kind) {
    case 'int':
      return `const ${v} = ${at}`
    case 'double':
      return `const ${v} = source.float64[(q + ${layout.doublesAt} >> 1) + ${leaf.slot}]`
    case 'string':
      return `const l${v} = ${at}, ${v} = ${
        keepsStrings ? `keep(heap.substring(h, h + l${v}))` : `heap.substring(h, h + l${v})`
      }; h += l${v}`
    case 'boolean':
      return `const ${v} = ${at} === 1`
    case 'any':
      return `const ${v} = decode(source.side(${at}))`
  }
}

function layoutOf(shape: RecordShape): RowLayout {
  const leaves: Leaf[] = []
  let words = 0
  let doubles = 0
  const visit = (of: RecordShape): (Leaf | readonly unknown[])[] =>
    of.kinds.map((kind) => {
      if (typeof kind === 'object') return visit(kind)
      const slot = kind === 'double' ? doubles++ : words++
      const leaf: Leaf = { kind, slot, variable: `v${leaves.length}` }
      leaves.push(leaf)
      return leaf
    })
  const root = visit(shape)
  const doublesAt = 1 + words + ((1 + words) % 2)
  return { root, leaves, doublesAt, words: doublesAt + doubles * 2 }
}
