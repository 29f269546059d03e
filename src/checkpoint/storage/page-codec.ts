/**
 * One page of keyed state as bytes: the canonical encoding of [state, keys, subs, values]. Columns of numbers, the common case,
 * become typed arrays, which cost next to nothing to write and read.
 */
import type { StatePage } from '../../contract/snapshot-storage.ts'
import type { AnyKey } from '../../core/key.ts'
import { decodeValue, encodeValue } from '../../core/value-codec.ts'

export function encodePage({ state, keys, subs, values }: StatePage): Buffer {
  return encodeValue([state, packed(keys), packed(subs ?? []), packed(values ?? [])])
}

export function decodePage(group: number, bytes: Uint8Array): StatePage {
  const [state, keys, subs, values] = decodeValue(bytes) as [string, unknown, unknown, unknown]
  const unpackedSubs = unpacked(subs) as number[]
  const unpackedValues = unpacked(values)
  return {
    group,
    state,
    keys: unpacked(keys) as AnyKey[],
    ...(unpackedSubs.length === 0 ? {} : { subs: unpackedSubs }),
    ...(unpackedValues.length === 0 ? {} : { values: unpackedValues }),
  }
}

function packed(column: readonly unknown[]): unknown {
  let isInts = true
  for (const each of column) {
    if (typeof each !== 'number') return [Array.from(column)]
    if ((each | 0) !== each || (each === 0 && 1 / each < 0)) isInts = false
  }
  return isInts ? Int32Array.from(column as number[]) : Float64Array.from(column as number[])
}

function unpacked(column: unknown): unknown[] {
  return Array.isArray(column) ? (column[0] as unknown[]) : Array.from(column as Float64Array)
}
