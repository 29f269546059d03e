/**
 * Kafka's basic types on the wire: big-endian integers, strings with a 16-bit and bytes with a 32-bit length, arrays with a count. And
 * those of flexible versions: compact strings and arrays, whose varint length is one more than it says, and tagged fields.
 */
import { ByteWriter } from '../../src/core/byte-writer.ts'

export class ProtocolWriter extends ByteWriter {
  int8(value: number): this {
    this.uint8(value & 0xff)
    return this
  }

  int16(value: number): this {
    this.uint16(value & 0xffff)
    return this
  }

  int32(value: number): this {
    this.uint32(value >>> 0)
    return this
  }

  int64(value: bigint): this {
    this.reserve(8)
    this.length = this.buffer.writeBigInt64BE(value, this.length)
    return this
  }

  string(value: string | null): this {
    if (value === null) return this.int16(-1)
    const bytes = Buffer.byteLength(value)
    this.int16(bytes)
    this.reserve(bytes)
    this.length += this.buffer.write(value, this.length)
    return this
  }

  array<T>(items: readonly T[], write: (item: T) => void): this {
    this.int32(items.length)
    for (const item of items) write(item)
    return this
  }

  compactString(value: string): this {
    const bytes = Buffer.byteLength(value)
    this.#unsignedVarint(bytes + 1)
    this.reserve(bytes)
    this.length += this.buffer.write(value, this.length)
    return this
  }

  compactArray<T>(items: readonly T[], write: (item: T) => void): this {
    this.#unsignedVarint(items.length + 1)
    for (const item of items) write(item)
    return this
  }

  /** No tagged fields. */
  tags(): this {
    return this.int8(0)
  }

  #unsignedVarint(value: number): void {
    let rest = value
    for (; rest >= 0x80; rest >>>= 7) this.uint8((rest & 0x7f) | 0x80)
    this.uint8(rest)
  }
}

/** Throws `RangeError` where the bytes end too early. */
export class ProtocolReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  int8(): number {
    return this.#bytes.readInt8(this.#advance(1))
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#advance(2))
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#advance(4))
  }

  int64(): bigint {
    return this.#bytes.readBigInt64BE(this.#advance(8))
  }

  string(): string | null {
    const length = this.int16()
    if (length < 0) return null
    const start = this.#advance(length)
    return this.#bytes.toString('utf8', start, this.#at)
  }

  /** A view of the bytes, not copied; none where they are null. */
  bytes(): Uint8Array {
    const length = Math.max(0, this.int32())
    const start = this.#advance(length)
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, length)
  }

  array<T>(read: () => T): T[] {
    const count = this.int32()
    const items: T[] = []
    for (let i = 0; i < count; i++) items.push(read())
    return items
  }

  compactString(): string | null {
    const length = this.#unsignedVarint() - 1
    if (length < 0) return null
    const start = this.#advance(length)
    return this.#bytes.toString('utf8', start, this.#at)
  }

  compactArray<T>(read: () => T): T[] {
    const count = this.#unsignedVarint() - 1
    const items: T[] = []
    for (let i = 0; i < count; i++) items.push(read())
    return items
  }

  /** Passes over tagged fields, or has those read that are known: `read` gets the tag. */
  skipTags(read?: (tag: number) => void): void {
    const count = this.#unsignedVarint()
    for (let i = 0; i < count; i++) {
      const tag = this.#unsignedVarint()
      const end = this.#unsignedVarint() + this.#at
      read?.(tag)
      this.#advance(end - this.#at)
    }
  }

  skip(bytes: number): void {
    this.#advance(bytes)
  }

  #unsignedVarint(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.#bytes.readUInt8(this.#advance(1))
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value >>> 0
      if (shift > 21) throw new RangeError('The answer has a number that is too long')
    }
  }

  #advance(bytes: number): number {
    const start = this.#at
    this.#at += bytes
    if (this.#at > this.#bytes.length) throw new RangeError('The answer ends too early')
    return start
  }
}
