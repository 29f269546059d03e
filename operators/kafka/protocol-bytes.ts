/** Kafka's basic types on the wire: big-endian integers, strings with a 16-bit and bytes with a 32-bit length, arrays with a count. */
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

  skip(bytes: number): void {
    this.#advance(bytes)
  }

  #advance(bytes: number): number {
    const start = this.#at
    this.#at += bytes
    if (this.#at > this.#bytes.length) throw new RangeError('The answer ends too early')
    return start
  }
}
