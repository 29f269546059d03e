/** A buffer that grows. Its bytes are valid until the next `reset`. Used from one thread. */
export class ByteWriter {
  buffer: Buffer
  length = 0

  constructor(bytes = 256) {
    this.buffer = Buffer.allocUnsafe(bytes)
  }

  reset(): void {
    this.length = 0
  }

  /** Makes room for `bytes` more. */
  reserve(bytes: number): void {
    const needed = this.length + bytes
    if (needed <= this.buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, this.buffer.length * 2))
    this.buffer.copy(larger, 0, 0, this.length)
    this.buffer = larger
  }

  uint8(value: number): void {
    this.reserve(1)
    this.buffer[this.length++] = value
  }

  uint16(value: number): void {
    this.reserve(2)
    this.length = this.buffer.writeUInt16BE(value, this.length)
  }

  uint32(value: number): void {
    this.reserve(4)
    this.length = this.buffer.writeUInt32BE(value, this.length)
  }

  bytes(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.buffer.set(bytes, this.length)
    this.length += bytes.length
  }

  /** The bytes written so far, not copied. */
  view(): Buffer {
    return this.buffer.subarray(0, this.length)
  }

  /** The bytes written so far, copied. */
  copy(): Buffer {
    return Buffer.from(this.view())
  }
}
