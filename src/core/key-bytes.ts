/**
 * The one canonical, order-preserving byte form of a key: `compareKeys(a, b)` has the sign of comparing the bytes, and no
 * key's bytes are a prefix of another's.
 *
 *   null 01 | false 02 | true 03
 *   number 04, 8 bytes: IEEE 754 big-endian, sign bit flipped if positive, all bits if negative
 *   bigint 05, 4 bytes: 2^31 +/- count of magnitude bytes; magnitude big-endian, complemented if negative
 *   string 06, WTF-8 (UTF-8 in which a lone surrogate has its three bytes), 00 as 00 ff, ended by 00 00
 *   tuple  07, its parts, ended by 00
 */
import type { ByteWriter } from './byte-writer.ts'
import { InvariantError } from './errors.ts'
import type { AnyKey, Key, KeyPart } from './key.ts'

const tag = { null: 1, false: 2, true: 3, number: 4, bigint: 5, string: 6, tuple: 7 } as const

/** Appends the canonical bytes of a valid key. */
export function writeKey(out: ByteWriter, key: AnyKey): void {
  switch (typeof key) {
    case 'number':
      return writeNumber(out, key)
    case 'string':
      return writeString(out, key)
    case 'bigint':
      return writeBigint(out, key)
    case 'boolean':
      return out.uint8(key ? tag.true : tag.false)
    default:
      if (key === null) return out.uint8(tag.null)
      out.uint8(tag.tuple)
      for (const part of key) writeKey(out, part)
      out.uint8(0)
  }
}

/** Reads keys back; `offset` moves behind what was read. */
export class KeyReader {
  offset = 0
  readonly #bytes: Buffer

  constructor(bytes: Buffer, offset = 0) {
    this.#bytes = bytes
    this.offset = offset
  }

  read(): AnyKey {
    const bytes = this.#bytes
    const kind = bytes[this.offset++]
    switch (kind) {
      case tag.null:
        return null
      case tag.false:
        return false
      case tag.true:
        return true
      case tag.number:
        return this.#number()
      case tag.bigint:
        return this.#bigint()
      case tag.string:
        return this.#string()
      case tag.tuple: {
        const parts: KeyPart[] = []
        while (bytes[this.offset] !== 0) parts.push(this.read() as KeyPart)
        this.offset++
        return parts as unknown as Key
      }
      default:
        throw new InvariantError(`Key bytes begin with the unknown tag ${kind}`)
    }
  }

  #number(): number {
    const bytes = this.#bytes
    let high = bytes.readUInt32BE(this.offset)
    let low = bytes.readUInt32BE(this.offset + 4)
    this.offset += 8
    if (high >= 0x8000_0000) {
      high = (high ^ 0x8000_0000) >>> 0
    } else {
      high = ~high >>> 0
      low = ~low >>> 0
    }
    scratch.setUint32(0, high)
    scratch.setUint32(4, low)
    return scratch.getFloat64(0)
  }

  #bigint(): bigint {
    const bytes = this.#bytes
    const signedLength = bytes.readUInt32BE(this.offset) - 0x8000_0000
    this.offset += 4
    const length = Math.abs(signedLength)
    const magnitude = bytes.subarray(this.offset, this.offset + length)
    this.offset += length
    if (length === 0) return 0n
    const hex =
      signedLength < 0
        ? Buffer.from(magnitude.map((byte) => ~byte & 0xff)).toString('hex')
        : magnitude.toString('hex')
    const value = BigInt(`0x${hex}`)
    return signedLength < 0 ? -value : value
  }

  #string(): string {
    const bytes = this.#bytes
    const start = this.offset
    let end = start
    let hasEscape = false
    for (;;) {
      end = bytes.indexOf(0, end)
      if (end < 0) throw new InvariantError('Key bytes end inside a string')
      if (bytes[end + 1] !== 0xff) break
      hasEscape = true
      end += 2
    }
    this.offset = end + 2
    const raw = bytes.subarray(start, end)
    return decodeWtf8(hasEscape ? unescapeZeros(raw) : raw)
  }
}

const scratch = new DataView(new ArrayBuffer(8))

function writeNumber(out: ByteWriter, key: number): void {
  out.uint8(tag.number)
  scratch.setFloat64(0, key === 0 ? 0 : key)
  const high = scratch.getUint32(0)
  const low = scratch.getUint32(4)
  if (high >= 0x8000_0000) {
    out.uint32(~high >>> 0)
    out.uint32(~low >>> 0)
  } else {
    out.uint32((high | 0x8000_0000) >>> 0)
    out.uint32(low)
  }
}

function writeBigint(out: ByteWriter, key: bigint): void {
  out.uint8(tag.bigint)
  const isNegative = key < 0n
  let hex = (isNegative ? -key : key).toString(16)
  if (hex.length % 2 === 1) hex = `0${hex}`
  const magnitude = key === 0n ? Buffer.alloc(0) : Buffer.from(hex, 'hex')
  out.uint32(0x8000_0000 + (isNegative ? -magnitude.length : magnitude.length))
  out.bytes(isNegative ? magnitude.map((byte) => ~byte & 0xff) : magnitude)
}

function writeString(out: ByteWriter, key: string): void {
  out.uint8(tag.string)
  const units = key.length
  out.reserve(units * 3 + 2)
  const buffer = out.buffer
  let position = out.length
  for (let i = 0; i < units; i++) {
    const code = key.charCodeAt(i)
    if (code > 0x7f) {
      position = writeWtf8(buffer, position, key, i)
      if (isPair(key, i)) i++
    } else {
      buffer[position++] = code
      if (code === 0) buffer[position++] = 0xff
    }
  }
  buffer[position++] = 0
  buffer[position++] = 0
  out.length = position
}

function isPair(text: string, index: number): boolean {
  return (text.codePointAt(index) as number) > 0xffff
}

function writeWtf8(buffer: Buffer, at: number, text: string, index: number): number {
  const point = text.codePointAt(index) as number
  let position = at
  if (point < 0x800) {
    buffer[position++] = 0xc0 | (point >> 6)
  } else if (point < 0x10000) {
    buffer[position++] = 0xe0 | (point >> 12)
    buffer[position++] = 0x80 | ((point >> 6) & 0x3f)
  } else {
    buffer[position++] = 0xf0 | (point >> 18)
    buffer[position++] = 0x80 | ((point >> 12) & 0x3f)
    buffer[position++] = 0x80 | ((point >> 6) & 0x3f)
  }
  buffer[position++] = 0x80 | (point & 0x3f)
  return position
}

function decodeWtf8(bytes: Buffer): string {
  const text = bytes.toString('utf8')
  return text.includes('\ufffd') ? decodeWithSurrogates(bytes) : text
}

/** The slow way, for text in which a lone surrogate may stand. */
function decodeWithSurrogates(bytes: Buffer): string {
  let text = ''
  for (let i = 0; i < bytes.length;) {
    const first = bytes[i] as number
    const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
    let point = length === 1 ? first : first & (0x7f >> length)
    for (let k = 1; k < length; k++) point = (point << 6) | ((bytes[i + k] as number) & 0x3f)
    text += String.fromCodePoint(point)
    i += length
  }
  return text
}

function unescapeZeros(bytes: Buffer): Buffer {
  const out = Buffer.allocUnsafe(bytes.length)
  let length = 0
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number
    out[length++] = byte
    if (byte === 0) i++
  }
  return out.subarray(0, length)
}
