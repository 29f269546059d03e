/**
 * CRC-32C (Castagnoli), the checksum of record batches: sixteen bytes at a time over sixteen tables, read as four words. Every byte that
 * is read from or written to Kafka passes through here, so its speed bounds the connector's.
 */
const polynomial = 0x82f63b78
const tableCount = 16
const tables = makeTables()
/** Words have the machine's order of bytes; the tables want the lowest first. */
const hasLowestFirst = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1

/** The checksum of `bytes` from `start` to `end`, as an unsigned number. */
export function crc32c(bytes: Uint8Array, start: number = 0, end: number = bytes.length): number {
  const table = tables
  let crc = -1
  let i = start
  if (hasLowestFirst && end - start >= 64) {
    const { buffer, byteOffset } = bytes
    for (; ((byteOffset + i) & 3) !== 0; i++) {
      crc = (crc >>> 8) ^ (table[(crc ^ (bytes[i] as number)) & 0xff] as number)
    }
    const words = new Int32Array(buffer, byteOffset + i, ((end - i) >>> 4) << 2)
    for (let w = 0; w < words.length; w += 4) {
      const a = crc ^ (words[w] as number)
      const b = words[w + 1] as number
      const c = words[w + 2] as number
      const d = words[w + 3] as number
      crc =
        (table[0xf00 | (a & 0xff)] as number) ^
        (table[0xe00 | ((a >>> 8) & 0xff)] as number) ^
        (table[0xd00 | ((a >>> 16) & 0xff)] as number) ^
        (table[0xc00 | (a >>> 24)] as number) ^
        (table[0xb00 | (b & 0xff)] as number) ^
        (table[0xa00 | ((b >>> 8) & 0xff)] as number) ^
        (table[0x900 | ((b >>> 16) & 0xff)] as number) ^
        (table[0x800 | (b >>> 24)] as number) ^
        (table[0x700 | (c & 0xff)] as number) ^
        (table[0x600 | ((c >>> 8) & 0xff)] as number) ^
        (table[0x500 | ((c >>> 16) & 0xff)] as number) ^
        (table[0x400 | (c >>> 24)] as number) ^
        (table[0x300 | (d & 0xff)] as number) ^
        (table[0x200 | ((d >>> 8) & 0xff)] as number) ^
        (table[0x100 | ((d >>> 16) & 0xff)] as number) ^
        (table[d >>> 24] as number)
    }
    i += words.length * 4
  }
  for (; i < end; i++) crc = (crc >>> 8) ^ (table[(crc ^ (bytes[i] as number)) & 0xff] as number)
  return ~crc >>> 0
}

/** Table k at 256 * k says what a byte does that is followed by k more. */
function makeTables(): Int32Array {
  const table = new Int32Array(tableCount * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? polynomial : 0)
    table[byte] = crc
  }
  for (let i = 256; i < table.length; i++) {
    const before = table[i - 256] as number
    table[i] = (before >>> 8) ^ (table[before & 0xff] as number)
  }
  return table
}
