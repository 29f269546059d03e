/**
 * A pack: cells of up to some tens of integer keys whose values are numbers, kept and written as one.
 *
 * Keys are 32-bit integers, each once, in no order. A value that is no number is `ELSEWHERE` here and lies in a cell of its own.
 *
 * Bytes, numbers low byte first:
 *   kind 1                how values are written: 0, 1, 2 as unsigned integers of 1, 2 or 4 bytes, 3 as doubles, 4 as doubles with flags
 *   keys, 4 each
 *   values
 *   flags, 1 each         of kind 4: 1 where the value is elsewhere
 */
import { InvariantError } from '../../src/core/errors.ts'

/** Stands for a value that lies in a cell of its own. */
export const ELSEWHERE = undefined
export type Elsewhere = typeof ELSEWHERE

/** What a pack and its entry of the cache take, and each of its cells with room to grow. */
const PACK_BYTES = 320
const CELL_BYTES = 24

const kind = { uint8: 0, uint16: 1, uint32: 2, double: 3, flagged: 4 } as const
/** Bytes of one cell by kind. */
const cellBytes = [5, 6, 8, 12, 13] as const

export class NumberPack {
  keys: number[] = []
  values: (number | Elsewhere)[] = []

  /** Where the key is, or -1. */
  indexOf(key: number): number {
    const { keys } = this
    for (let i = 0; i < keys.length; i++) if (keys[i] === key) return i
    return -1
  }

  add(key: number, value: number | Elsewhere): void {
    this.keys.push(key)
    this.values.push(value)
  }

  /** The last cell takes the place of the one that goes. */
  removeAt(index: number): void {
    const key = this.keys.pop() as number
    const value = this.values.pop()
    if (index === this.keys.length) return
    this.keys[index] = key
    this.values[index] = value
  }

  /** About how much memory it takes. */
  get memoryBytes(): number {
    return PACK_BYTES + CELL_BYTES * this.keys.length
  }
}

export function encodePack({ keys, values }: NumberPack): Buffer {
  const count = keys.length
  const form = formOf(values)
  const bytes = Buffer.allocUnsafe(1 + count * (cellBytes[form] as number))
  bytes[0] = form
  let at = 1
  for (let i = 0; i < count; i++, at += 4) put32(bytes, at, keys[i] as number)
  switch (form) {
    case kind.uint8:
      for (let i = 0; i < count; i++) bytes[at++] = values[i] as number
      break
    case kind.uint16:
      for (let i = 0; i < count; i++) {
        const value = values[i] as number
        bytes[at++] = value
        bytes[at++] = value >>> 8
      }
      break
    case kind.uint32:
      for (let i = 0; i < count; i++, at += 4) put32(bytes, at, values[i] as number)
      break
    default:
      for (let i = 0; i < count; i++) at = bytes.writeDoubleLE(values[i] ?? 0, at)
      if (form === kind.double) break
      for (let i = 0; i < count; i++) bytes[at++] = values[i] === ELSEWHERE ? 1 : 0
  }
  return bytes
}

export function decodePack(bytes: Buffer): NumberPack {
  const form = bytes[0] as number
  const width = cellBytes[form]
  const count = width === undefined ? 0.5 : (bytes.length - 1) / width
  if (!Number.isInteger(count)) {
    throw new InvariantError(`A pack of ${bytes.length} bytes and kind ${form} is none`)
  }
  const pack = new NumberPack()
  const valuesAt = 1 + count * 4
  for (let i = 0; i < count; i++) {
    pack.add(get32(bytes, 1 + i * 4), valueAt(bytes, form, valuesAt, i, count))
  }
  return pack
}

/** Visits the cells whose values are not elsewhere. */
export function eachOfPack(bytes: Buffer, visit: (key: number, value: number) => void): void {
  const { keys, values } = decodePack(bytes)
  keys.forEach((key, index) => {
    const value = values[index]
    if (value !== ELSEWHERE) visit(key, value)
  })
}

function valueAt(
  bytes: Buffer,
  form: number,
  valuesAt: number,
  index: number,
  count: number,
): number | Elsewhere {
  switch (form) {
    case kind.uint8:
      return bytes[valuesAt + index] as number
    case kind.uint16: {
      const at = valuesAt + index * 2
      return (bytes[at] as number) | ((bytes[at + 1] as number) << 8)
    }
    case kind.uint32:
      return get32(bytes, valuesAt + index * 4) >>> 0
    case kind.flagged:
      if (bytes[valuesAt + count * 8 + index] === 1) return ELSEWHERE
  }
  return bytes.readDoubleLE(valuesAt + index * 8)
}

/** The smallest kind that says all of the values exactly. */
function formOf(values: readonly (number | Elsewhere)[]): number {
  let bits = 0
  let areIntegers = true
  for (const value of values) {
    if (value === ELSEWHERE) return kind.flagged
    if (value >>> 0 === value && (value !== 0 || 1 / value > 0)) bits |= value
    else areIntegers = false
  }
  if (!areIntegers) return kind.double
  return bits >>> 8 === 0 ? kind.uint8 : bits >>> 16 === 0 ? kind.uint16 : kind.uint32
}

function put32(bytes: Buffer, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
}

function get32(bytes: Buffer, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  )
}
