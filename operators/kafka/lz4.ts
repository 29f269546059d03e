/**
 * Decompression of LZ4 frames. Pure. Checksums within the frame are not looked at: the record batch around it has one.
 * Format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md and lz4_Block_format.md.
 */
const magic = 0x184d2204

/** Throws `RangeError` for what is no LZ4 frame, or is larger than `bytesMax`. */
export function decompressLz4(bytes: Uint8Array, bytesMax: number): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (bytes.length < 7 || view.getUint32(0, true) !== magic) throw new RangeError('No LZ4 frame')
  const flags = view.getUint8(4)
  const hasBlockChecksum = (flags & 0x10) !== 0
  const hasContentSize = (flags & 0x08) !== 0
  const hasDictionary = (flags & 0x01) !== 0
  let at = 7 + (hasContentSize ? 8 : 0) + (hasDictionary ? 4 : 0)
  const output = new Output(bytes.length * 4, bytesMax)
  for (;;) {
    const header = view.getUint32(at, true)
    at += 4
    if (header === 0) return output.bytes.subarray(0, output.length)
    const length = header & 0x7fff_ffff
    if (at + length > bytes.length) throw damaged()
    const block = bytes.subarray(at, at + length)
    if (header >>> 31 === 1) output.append(block)
    else decompressBlock(block, output)
    at += length + (hasBlockChecksum ? 4 : 0)
  }
}

/** Grows; blocks may refer back into those before. */
class Output {
  bytes: Uint8Array
  length = 0
  readonly #bytesMax: number

  constructor(bytes: number, bytesMax: number) {
    this.bytes = new Uint8Array(Math.min(bytes, bytesMax))
    this.#bytesMax = bytesMax
  }

  reserve(bytes: number): void {
    const needed = this.length + bytes
    if (needed <= this.bytes.length) return
    if (needed > this.#bytesMax) {
      throw new RangeError(`LZ4 data of more than ${this.#bytesMax} bytes`)
    }
    const larger = new Uint8Array(Math.min(this.#bytesMax, Math.max(needed, this.bytes.length * 2)))
    larger.set(this.bytes.subarray(0, this.length))
    this.bytes = larger
  }

  append(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.bytes.set(bytes, this.length)
    this.length += bytes.length
  }
}

function decompressBlock(block: Uint8Array, output: Output): void {
  for (let at = 0; at < block.length;) {
    const token = block[at++] as number
    let literals = token >>> 4
    if (literals === 15) {
      let more = 255
      while (more === 255) literals += more = block[at++] ?? 0
    }
    if (at + literals > block.length) throw damaged()
    output.append(block.subarray(at, at + literals))
    at += literals
    if (at === block.length) return // the last sequence has no match
    const distance = (block[at] as number) | ((block[at + 1] ?? 0) << 8)
    at += 2
    let count = (token & 15) + 4
    if (count === 19) {
      let more = 255
      while (more === 255) count += more = block[at++] ?? 0
    }
    if (distance === 0 || distance > output.length) throw damaged()
    output.reserve(count)
    const bytes = output.bytes
    let written = output.length
    for (const end = written + count; written < end; written++) {
      bytes[written] = bytes[written - distance] as number
    }
    output.length = written
  }
}

function damaged(): RangeError {
  return new RangeError('Damaged LZ4 data')
}
