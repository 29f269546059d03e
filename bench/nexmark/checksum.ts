/** Rows and checksum of a query's output: the sum of all rows' hashes modulo 2^32, so that the order does not matter. */
import { fmix32 } from '../../examples/auction/events.ts'

/** A row of integers, each cut to its low 32 bits. */
export function rowHash(row: readonly number[]): number {
  let h = 0
  for (const field of row) h = fmix32((h + Math.imul(low32(field), 0x9e3779b1) + 1) | 0)
  return h
}

function low32(field: number): number {
  return Math.abs(field) < 0x8000_0000 ? field | 0 : Number(BigInt.asIntN(32, BigInt(field)))
}
