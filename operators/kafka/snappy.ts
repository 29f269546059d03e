/**
 * Decompression of Snappy, as Kafka's clients write it: raw, or in the frames of snappy-java. Pure.
 * Formats: https://github.com/google/snappy/blob/main/format_description.txt; SnappyOutputStream of snappy-java.
 */
const frameMagic = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]
const frameHeaderBytes = 16

/** Throws `RangeError` for what is no Snappy, or is larger than `bytesMax`. */
export function decompressSnappy(bytes: Uint8Array, bytesMax: number): Uint8Array {
  if (!frameMagic.every((byte, i) => bytes[i] === byte)) return decompressBlock(bytes, bytesMax)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const blocks: Uint8Array[] = []
  let total = 0
  for (let at = frameHeaderBytes; at < bytes.length;) {
    const length = view.getInt32(at)
    at += 4
    const block = decompressBlock(bytes.subarray(at, at + length), bytesMax - total)
    blocks.push(block)
    total += block.length
    at += length
  }
  return Buffer.concat(blocks)
}

function decompressBlock(bytes: Uint8Array, bytesMax: number): Uint8Array {
  let at = 0
  let length = 0
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++]
    if (byte === undefined || shift > 28) throw new RangeError('Snappy data without a length')
    length += (byte & 0x7f) * 2 ** shift
    if (byte < 0x80) break
  }
  if (length > bytesMax) throw new RangeError(`Snappy data of more than ${bytesMax} bytes`)
  const out = new Uint8Array(length)
  let written = 0
  while (at < bytes.length) {
    const tag = bytes[at++] as number
    let count = tag >>> 2
    if ((tag & 3) === 0) {
      if (count >= 60) {
        const lengthBytes = count - 59
        count = littleEndian(bytes, at, lengthBytes)
        at += lengthBytes
      }
      count++
      if (at + count > bytes.length || written + count > length) throw damaged()
      out.set(bytes.subarray(at, at + count), written)
      at += count
      written += count
      continue
    }
    let distance: number
    if ((tag & 3) === 1) {
      count = 4 + ((tag >>> 2) & 7)
      distance = ((tag >>> 5) << 8) | (bytes[at++] ?? 0)
    } else {
      const offsetBytes = (tag & 3) === 2 ? 2 : 4
      count++
      distance = littleEndian(bytes, at, offsetBytes)
      at += offsetBytes
    }
    if (distance === 0 || distance > written || written + count > length) throw damaged()
    for (const end = written + count; written < end; written++) {
      out[written] = out[written - distance] as number
    }
  }
  if (written !== length) throw damaged()
  return out
}

function littleEndian(bytes: Uint8Array, at: number, count: number): number {
  let value = 0
  for (let i = 0; i < count; i++) value += (bytes[at + i] ?? 0) * 2 ** (8 * i)
  return value
}

function damaged(): RangeError {
  return new RangeError('Damaged Snappy data')
}
